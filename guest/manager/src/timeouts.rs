//! Timeouts: when a session expires, and when a request notes that it used the session.

use crate::bindings::exports::session3::sessions::manager::Config;
use crate::bindings::session3::sessions::{events::EndReason, store::StoredSession};
use crate::config::milliseconds;
use crate::state::State;

/// Returns why a session has timed out at the time `now`, or `None` if it has not.
pub fn timed_out(
    config: &Config,
    stored: &StoredSession,
    state: &State,
    now: u64,
) -> Option<EndReason> {
    let absolute = milliseconds(config.absolute_timeout);
    if now >= state.created.saturating_add(absolute) {
        Some(EndReason::TooOld)
    } else if now >= stored.state.expires {
        Some(EndReason::Idle)
    } else {
        None
    }
}

/// Returns from when on the store may delete a session that is used at the time `now`.
/// `is_new` says whether the request came without a session.
pub fn expires(config: &Config, state: &State, is_new: bool, now: u64) -> u64 {
    let timeout = if is_new || !state.has_more_than_form_tokens() {
        config.first_use_timeout.min(config.idle_timeout)
    } else {
        config.idle_timeout
    };
    let absolute = state
        .created
        .saturating_add(milliseconds(config.absolute_timeout));
    now.saturating_add(milliseconds(timeout)).min(absolute)
}

/// Returns whether a touch is due at the time `now`, for a session that was last used at
/// `last_used`. `expires` is the stored expiry, and `new_expires` is the one after a touch.
pub fn is_touch_due(
    config: &Config,
    last_used: u64,
    expires: u64,
    new_expires: u64,
    now: u64,
) -> bool {
    let touch_after = milliseconds(config.touch_after);
    // The first use changes the timeout, and has to be noted however soon it comes.
    now.saturating_sub(last_used) >= touch_after
        || new_expires.saturating_sub(expires) > touch_after
}
