//! The users with the most sessions, in bounded memory.

use std::collections::HashMap;

/// The number of users that are remembered at a time.
const CAPACITY: usize = 4096;

/// Finds candidates for the users with the most sessions by the algorithm of Misra and Gries: each
/// user with more sessions than [`missed`](Self::missed) is among the candidates. The counts are
/// lower bounds; as long as there are at most [`CAPACITY`] users, they are exact.
#[derive(Default)]
pub struct Busiest {
    counts: HashMap<String, u64>,
    /// How often all counts were reduced.
    reductions: u64,
}

impl Busiest {
    /// Counts a session of a user.
    pub fn add(&mut self, user: &str) {
        if let Some(count) = self.counts.get_mut(user) {
            *count += 1;
        } else if self.counts.len() < CAPACITY {
            self.counts.insert(user.to_owned(), 1);
        } else {
            self.reductions += 1;
            self.counts.retain(|_, count| {
                *count -= 1;
                *count > 0
            });
        }
    }

    /// Returns how many sessions a user can have who is not among the candidates. That is at most
    /// the number of all sessions divided by [`CAPACITY`].
    pub fn missed(&self) -> u64 {
        self.reductions
    }

    /// Returns the candidates with the highest counts, and these counts, in descending order.
    pub fn top(self, limit: usize) -> Vec<(String, u64)> {
        let mut top: Vec<_> = self.counts.into_iter().collect();
        top.sort_by(|(user, count), (other, others)| others.cmp(count).then(user.cmp(other)));
        top.truncate(limit);
        top
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_users_are_counted_exactly() {
        let mut busiest = Busiest::default();
        for user in ["bob", "alice", "bob", "carol"] {
            busiest.add(user);
        }
        let expected = [("bob".into(), 2), ("alice".into(), 1)];
        assert_eq!(busiest.missed(), 0);
        assert_eq!(busiest.top(2), expected);
    }

    #[test]
    fn a_busy_user_is_found_among_many_others() {
        let mut busiest = Busiest::default();
        for number in 0..100_000 {
            busiest.add(&format!("user {number}"));
            if number % 100 == 0 {
                busiest.add("busy");
            }
        }
        assert!(busiest.counts.len() <= CAPACITY);
        assert!(busiest.missed() <= 101_000 / CAPACITY as u64);
        assert_eq!(busiest.top(1)[0].0, "busy");
    }
}
