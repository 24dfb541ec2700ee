//! Log lines about requests that the rules do not allow.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::error::OutboundError;

/// The time in which a host gets one line.
const WINDOW: Duration = Duration::from_secs(60);
/// The number of hosts that get a line within a minute. An application can ask for any number
/// of hosts.
const MAX_HOSTS: usize = 100;

/// Decides which denials are logged: for each host and port one, then at most one a minute.
#[derive(Default)]
pub struct Denials(Mutex<State>);

#[derive(Default)]
struct State {
    /// When each host had its last line.
    logged: HashMap<String, Instant>,
    left_out: u64,
}

/// Whether to log a line.
#[derive(Debug, PartialEq)]
enum Decision {
    /// The line is to be logged. Since the line before, this number of lines was left out
    /// because there were too many hosts.
    Log(u64),
    LeaveOut,
}

impl Denials {
    /// Logs an error if it is a denial.
    pub fn log(&self, error: &OutboundError) {
        let Some(host) = host(error) else {
            return;
        };
        if let Decision::Log(left_out) = self.decide(host, Instant::now()) {
            if left_out > 0 {
                tracing::warn!(left_out, "more hosts were denied than are logged");
            }
            tracing::warn!("{error}");
        }
    }

    fn decide(&self, host: String, now: Instant) -> Decision {
        let mut state = self.0.lock();
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < WINDOW;
        if state.logged.get(&host).is_some_and(is_recent) {
            return Decision::LeaveOut;
        }
        if state.logged.len() >= MAX_HOSTS {
            state.logged.retain(|_, at| is_recent(at));
        }
        if state.logged.len() >= MAX_HOSTS {
            state.left_out += 1;
            return Decision::LeaveOut;
        }
        state.logged.insert(host, now);
        Decision::Log(std::mem::take(&mut state.left_out))
    }
}

/// Returns the host of a denial.
fn host(error: &OutboundError) -> Option<String> {
    match error {
        OutboundError::Denied(target) | OutboundError::ProhibitedAddress { target, .. } => {
            Some(target.to_string())
        }
        OutboundError::InvalidHost { host, .. } => Some(host.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_gets_one_line_in_a_minute_and_all_together_a_hundred() {
        let (denials, start) = (Denials::default(), Instant::now());
        let decide = |host: usize, seconds| {
            denials.decide(host.to_string(), start + Duration::from_secs(seconds))
        };
        assert_eq!(decide(0, 0), Decision::Log(0));
        assert_eq!(decide(0, 59), Decision::LeaveOut);
        assert_eq!(decide(0, 60), Decision::Log(0));
        for host in 1..MAX_HOSTS {
            assert_eq!(decide(host, 61), Decision::Log(0));
        }
        for host in MAX_HOSTS..3 * MAX_HOSTS {
            assert_eq!(decide(host, 62), Decision::LeaveOut);
        }
        assert_eq!(denials.0.lock().logged.len(), MAX_HOSTS);
        // The line of the first host is a minute old, which makes room for one.
        assert_eq!(decide(1000, 120), Decision::Log(200));
        assert_eq!(decide(1001, 120), Decision::LeaveOut);
        assert_eq!(decide(1001, 121), Decision::Log(1));
    }
}
