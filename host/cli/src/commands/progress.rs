//! A progress bar on standard error, which appears only on a terminal and after a second.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::sleep;

/// How long a command runs before its progress is shown.
const DELAY: Duration = Duration::from_secs(1);
/// How often a spinner moves.
const TICK: Duration = Duration::from_millis(100);
/// The number of steps of a bar.
const STEPS: u64 = 1000;

/// The progress of a command, which is shown on standard error until this value is dropped.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    is_enabled: bool,
}

impl Progress {
    /// Creates a bar, for work whose length is known.
    pub fn bar() -> Self {
        Self::new(Some(STEPS), "{bar:40} {percent} %")
    }

    /// Creates a counter of sessions, for work whose length is unknown.
    pub fn counter() -> Self {
        Self::new(None, "{spinner} {human_pos} sessions")
    }

    /// Creates progress that is never shown.
    pub fn disabled() -> Self {
        let mut progress = Self::counter();
        progress.is_enabled = false;
        progress
    }

    fn new(length: Option<u64>, template: &str) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self {
            bar,
            start: Instant::now(),
            is_enabled: stderr().is_terminal(),
        }
    }

    /// Sets which part of the work of a bar is done, from 0 to 1.
    pub fn set(&self, done: f64) {
        self.show((done * STEPS as f64) as u64);
    }

    /// Sets how many sessions of a counter are done.
    pub fn count(&self, sessions: u64) {
        self.show(sessions);
    }

    fn show(&self, position: u64) {
        if self.is_enabled && self.bar.is_hidden() && self.start.elapsed() >= DELAY {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }

    /// Hides the progress while `print` prints something else, and returns its result.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

/// Does work that may block the thread, and returns its result. A spinner shows `message` and the
/// time that has passed.
pub async fn spin<T>(message: String, work: impl FnOnce() -> T) -> T {
    let progress = Progress::new(None, "{spinner} {msg}, {elapsed}");
    progress.bar.set_message(message);
    let (bar, is_enabled) = (progress.bar.clone(), progress.is_enabled);
    let shown = tokio::spawn(async move {
        sleep(DELAY).await;
        if is_enabled {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    });
    let result = work();
    shown.abort();
    // Otherwise the spinner could appear after it was cleared.
    let _ = shown.await;
    result
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
