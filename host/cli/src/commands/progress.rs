//! A progress bar, for who sits and waits: on a terminal, after a second.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What takes no longer needs no bar.
const PATIENCE: Duration = Duration::from_secs(1);
/// Of a bar.
const STEPS: u64 = 1000;

/// Shows on standard error how far a command is, until it is dropped.
pub struct Progress {
    bar: ProgressBar,
    start: Instant,
    is_wanted: bool,
}

impl Progress {
    /// For work of known length.
    pub fn bar() -> Self {
        Self::new(Some(STEPS), "{bar:40} {percent} %")
    }

    /// For work that nobody knows the length of.
    pub fn counter() -> Self {
        Self::new(None, "{spinner} {human_pos} sessions")
    }

    /// That shows nothing.
    pub fn none() -> Self {
        let mut progress = Self::counter();
        progress.is_wanted = false;
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
            is_wanted: stderr().is_terminal(),
        }
    }

    /// How much is done, from 0 to 1.
    pub fn set(&self, done: f64) {
        self.show((done * STEPS as f64) as u64);
    }

    /// How many sessions are done.
    pub fn count(&self, sessions: u64) {
        self.show(sessions);
    }

    fn show(&self, position: u64) {
        if self.is_wanted && self.bar.is_hidden() && self.start.elapsed() >= PATIENCE {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.set_position(position);
    }

    /// Takes the bar away while something else is printed.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
