//! Limits for the log lines that clients and guests can cause at will: a browser with a dead
//! cookie, one that has changed since its session began, an application that reports events, a
//! request that fails or is refused, and each request while the store fails.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The time to which a limit applies.
const WINDOW: Duration = Duration::from_secs(60);

/// Decides which lines are logged: up to a number of lines in a minute.
pub struct LogLimit {
    max_lines: usize,
    window: Mutex<Window>,
}

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    /// The number of lines that were logged.
    lines: usize,
    /// The keys of those lines that have one.
    keys: HashSet<String>,
    left_out: u64,
}

/// Whether to log a line.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// The line is to be logged. In the minute before, this number of lines was left out
    /// because there were too many.
    Log(u64),
    /// The line is to be left out.
    LeaveOut,
}

impl LogLimit {
    /// Creates a limit of this number of lines in a minute.
    pub fn new(max_lines: usize) -> Self {
        Self {
            max_lines,
            window: Mutex::default(),
        }
    }

    /// Returns whether a line without a key is logged now. If lines about `what` were left out in
    /// the minute before, this logs how many.
    pub fn allows_line(&self, what: &str) -> bool {
        match self.decide(None, Instant::now()) {
            Decision::LeaveOut => false,
            Decision::Log(0) => true,
            Decision::Log(left_out) => {
                tracing::warn!(left_out, "there were more {what} than are logged");
                true
            }
        }
    }

    /// Decides about a line at the time `now`. A key gets at most one line in a minute.
    pub fn decide(&self, key: Option<String>, now: Instant) -> Decision {
        let mut window = self.window.lock();
        let is_over = |began: Instant| now.saturating_duration_since(began) >= WINDOW;
        let mut left_out_before = 0;
        if window.began.is_none_or(is_over) {
            left_out_before = window.left_out;
            *window = Window {
                began: Some(now),
                ..Window::default()
            };
        }
        if key.as_ref().is_some_and(|key| window.keys.contains(key)) {
            return Decision::LeaveOut;
        }
        if window.lines >= self.max_lines {
            window.left_out += 1;
            return Decision::LeaveOut;
        }
        window.lines += 1;
        window.keys.extend(key);
        Decision::Log(left_out_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_gets_one_line_in_a_minute_and_all_together_a_hundred() {
        let (limit, start) = (LogLimit::new(100), Instant::now());
        let decide = |key: u32, seconds| {
            let now = start + Duration::from_secs(seconds);
            limit.decide(Some(key.to_string()), now)
        };
        assert_eq!(decide(0, 0), Decision::Log(0));
        assert_eq!(decide(0, 59), Decision::LeaveOut);
        assert_eq!(decide(0, 60), Decision::Log(0));
        let decisions: Vec<_> = (1..200).map(|key| decide(key, 61)).collect();
        assert!(
            decisions[..99]
                .iter()
                .all(|decision| *decision == Decision::Log(0))
        );
        assert!(
            decisions[99..]
                .iter()
                .all(|decision| *decision == Decision::LeaveOut)
        );
        assert_eq!(decide(1, 119), Decision::LeaveOut);
        assert_eq!(decide(1, 120), Decision::Log(100));
        assert_eq!(decide(2, 120), Decision::Log(0));
    }

    #[test]
    fn lines_without_a_key_are_only_counted() {
        let (limit, start) = (LogLimit::new(2), Instant::now());
        let decide = |seconds| limit.decide(None, start + Duration::from_secs(seconds));
        let decisions = [0, 0, 0, 59].map(decide);
        let (log, leave_out) = (Decision::Log(0), Decision::LeaveOut);
        assert_eq!(
            decisions,
            [log, Decision::Log(0), leave_out, Decision::LeaveOut]
        );
        assert_eq!(decide(60), Decision::Log(2));
        assert_eq!(decide(60), Decision::Log(0));
    }
}
