//! A limit for log lines that clients cause with each request: a browser with a dead cookie, or
//! one that has changed since its session began.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The time in which a session gets one line.
const WINDOW: Duration = Duration::from_secs(60);
/// The number of lines in that time.
const MAX_LINES: usize = 100;

/// Decides which lines are logged: one for each key in a minute, and a hundred in all.
#[derive(Default)]
pub struct LogLimit(Mutex<Window>);

#[derive(Default)]
struct Window {
    began: Option<Instant>,
    logged: HashSet<String>,
    left_out: u64,
}

/// Whether to log a line.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// The line is to be logged. Before it, this number of other sessions got no line.
    Log(u64),
    /// The line is to be left out.
    LeaveOut,
}

impl LogLimit {
    /// Decides about a line with this key at the time `now`.
    pub fn decide(&self, key: String, now: Instant) -> Decision {
        let mut window = self.0.lock();
        let is_over = |began: Instant| now.saturating_duration_since(began) >= WINDOW;
        let mut left_out_before = 0;
        if window.began.is_none_or(is_over) {
            left_out_before = std::mem::take(&mut window.left_out);
            window.began = Some(now);
            window.logged.clear();
        }
        if window.logged.contains(&key) {
            return Decision::LeaveOut;
        }
        if window.logged.len() >= MAX_LINES {
            window.left_out += 1;
            return Decision::LeaveOut;
        }
        window.logged.insert(key);
        Decision::Log(left_out_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_session_gets_one_line_in_a_minute_and_all_together_a_hundred() {
        let (limit, start) = (LogLimit::default(), Instant::now());
        let decide = |key: u32, seconds| {
            let now = start + Duration::from_secs(seconds);
            limit.decide(key.to_string(), now)
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
}
