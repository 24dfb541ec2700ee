//! The floors: what a store sends at least, through the same client library and with the same hops
//! between threads, without its checks, limits and repetitions.

pub mod mysql;
pub mod postgres;
pub mod redis;
pub mod sqlite;

use std::sync::atomic::{AtomicU64, Ordering};

use session3_store::SessionId;

/// Returns a number that no other change has.
fn nonce() -> u128 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).into()
}

/// Returns an ID in the order of its digits.
#[expect(clippy::big_endian_bytes, reason = "the stores write IDs so")]
fn bytes(id: &SessionId) -> [u8; 16] {
    id.to_bits().to_be_bytes()
}
