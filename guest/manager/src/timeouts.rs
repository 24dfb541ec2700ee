//! Timeouts: when a session expires, and when a request notes that it used the session.

use crate::bindings::exports::session3::sessions::manager::{Config, RememberConfig};
use crate::bindings::session3::sessions::{events::EndReason, store::StoredSession};
use crate::config::milliseconds;
use crate::state::State;

/// Returns the times of a remembered session, or `None` if the session is not remembered.
fn remembered<'a>(config: &'a Config, state: &State) -> Option<&'a RememberConfig> {
    config.remember.as_ref().filter(|_| state.is_remembered)
}

/// Returns the lifetime of the session's cookie, in seconds; `None` if the cookie ends with
/// the browser.
pub fn max_age(config: &Config, state: &State) -> Option<u32> {
    remembered(config, state).map_or(config.cookie.max_age, |times| Some(times.max_age))
}

/// Returns when the session reaches its absolute timeout.
fn end(config: &Config, state: &State) -> u64 {
    let remembered = remembered(config, state);
    let timeout = remembered.map_or(config.absolute_timeout, |times| times.absolute_timeout);
    state.created.saturating_add(milliseconds(timeout))
}

/// Returns why a session has timed out at the time `now`, or `None` if it has not.
pub fn timed_out(
    config: &Config,
    stored: &StoredSession,
    state: &State,
    now: u64,
) -> Option<EndReason> {
    if now >= end(config, state) {
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
    let remembered = remembered(config, state);
    let idle = remembered.map_or(config.idle_timeout, |times| times.idle_timeout);
    let timeout = if state.has_info() && !state.has_more_than_form_tokens() {
        // A visitor may leave a log-in page open for longer than the idle timeout.
        config.first_use_timeout
    } else if is_new || !state.has_info() {
        config.first_use_timeout.min(idle)
    } else {
        idle
    };
    let expires = now.saturating_add(milliseconds(timeout));
    expires.min(end(config, state))
}

/// Returns whether a touch is due at the time `now`, for a session that was last used at
/// `last_used`. `expires` is the stored expiry, and `new_expires` is the one after a touch.
///
/// The first use changes the timeout, and has to be noted however soon it comes. A stored
/// expiry that is later than a touch would make it comes from a host whose clock was ahead, or
/// from a more lenient configuration.
pub fn is_touch_due(
    config: &Config,
    last_used: u64,
    expires: u64,
    new_expires: u64,
    now: u64,
) -> bool {
    let touch_after = milliseconds(config.touch_after);
    now.saturating_sub(last_used) >= touch_after || new_expires.abs_diff(expires) > touch_after
}
