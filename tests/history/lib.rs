//! Histories: what several clients do with a few sessions at the same time, and a checker that
//! says whether the results are linearizable.
//!
//! A history is linearizable if there is an order of the operations that respects real time
//! (an operation that returned before another one was called comes first), and in which each
//! result is what the contract of [`SessionStore`](session3_store::SessionStore) says. Each
//! session is checked for itself, since no operation uses two of them.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod checker;
mod client;
mod failover;
mod history;
mod model;
mod operation;
mod recorder;
mod remote;
mod subject;
mod violation;

#[cfg(test)]
mod tests;

pub use checker::check;
pub use failover::{Failover, first_loss};
pub use history::{History, Summary};
pub use operation::{Action, Content, Operation, Outcome};
pub use recorder::{Plan, Recorder, record};
pub use remote::{Remote, serve};
pub use subject::Subject;
pub use violation::Violation;

/// Returns how much a test does: `short`, or more if `TORTURE` is `long`.
pub fn amount(short: u64) -> u64 {
    if session3_test_support::random::is_long() {
        30 * short
    } else {
        short
    }
}
