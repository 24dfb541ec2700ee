//! The sessions that the benchmarks use.

use std::cell::Cell;

use session3_store::{SessionId, SessionState};

/// The bytes of a state's data.
pub const SIZE: usize = 700;
/// The user of the sessions that have one.
pub const USER: &str = "somebody";
/// The expiry of old sessions.
const EXPIRED: u64 = 1;
/// The expiry of all other sessions.
pub const EXPIRES: u64 = 1 << 50;

/// Returns the ID of a session. The IDs are spread like random ones.
pub fn id(number: u64) -> SessionId {
    let number = u128::from(number) + 1;
    SessionId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Returns whether a session is one of the old ones, which a sweep deletes.
pub fn is_old(number: u64) -> bool {
    number % 2 == 1
}

/// Returns a state that stays.
pub fn state(has_user: bool) -> SessionState {
    SessionState {
        user: has_user.then(|| USER.to_owned()),
        expires: EXPIRES,
        data: vec![b'x'; SIZE],
    }
}

/// Returns a state that a sweep deletes.
pub fn old_state() -> SessionState {
    SessionState {
        expires: EXPIRED,
        ..state(false)
    }
}

/// A generator of random session numbers, which are the same in each run.
pub struct Order(Cell<u64>);

impl Default for Order {
    fn default() -> Self {
        Self(Cell::new(0x9e37_79b9_7f4a_7c15))
    }
}

impl Order {
    /// Returns a random number below `limit`, by Marsaglia's xorshift.
    pub fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state % limit
    }
}
