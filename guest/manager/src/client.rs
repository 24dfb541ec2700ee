//! The client of a session: the remote address and the user agent of the request that
//! started it.

use crate::bindings::exports::session3::sessions::manager::Request;
use crate::state::State;

/// The number of bytes of a remote address or a user agent that a session keeps. Robots
/// send user agents of any length.
const MAX_LENGTH: usize = 512;

/// Returns the part of a remote address or a user agent that a session keeps.
pub fn kept_part(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_LENGTH))
        .unwrap_or(text)
}

/// Returns whether the request comes from another client than the one that started the
/// session. It compares only what both requests contain.
pub fn is_other_client(state: &State, request: &Request) -> bool {
    let differ = |a: &Option<String>, b: &Option<String>| match (a, b) {
        // Records of earlier releases contain more than the part that is kept now.
        (Some(a), Some(b)) => kept_part(a) != kept_part(b),
        _ => false,
    };
    differ(&state.remote_address, &request.remote_address)
        || differ(&state.user_agent, &request.user_agent)
}
