//! The client of a session: the remote address and the user agent of the request that
//! started it.

use crate::bindings::exports::session3::sessions::manager::Request;
use crate::state::State;

/// The number of bytes of a remote address or a user agent that a session keeps. Robots
/// send user agents of any length.
const MAX_LENGTH: usize = 512;
/// The prefix of IPv4 addresses that are mapped to IPv6.
const MAPPED: &str = "::ffff:";

/// Returns the part of a remote address or a user agent that a session keeps.
pub fn kept_part(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_LENGTH))
        .unwrap_or(text)
}

/// Returns the form in which addresses are compared. A server that listens on an IPv6 socket
/// sees an IPv4 client's address mapped to IPv6 (RFC 4291 §2.5.5.2). Software writes such an
/// address with its last 32 bits in decimal (RFC 5952 §5).
fn plain_address(text: &str) -> &str {
    let (prefix, rest) = text.split_at_checked(MAPPED.len()).unwrap_or_default();
    let is_mapped = prefix.eq_ignore_ascii_case(MAPPED) && rest.contains('.');
    if is_mapped { rest } else { kept_part(text) }
}

/// Returns whether the request comes from another client than the one that started the
/// session. It compares only what both requests contain.
pub fn is_other_client(state: &State, request: &Request) -> bool {
    // Records of earlier releases contain more than the part that is kept now.
    let has_moved = match (&state.remote_address, &request.remote_address) {
        (Some(first), Some(now)) => plain_address(first) != plain_address(now),
        _ => false,
    };
    let has_other_agent = match (&state.user_agent, &request.user_agent) {
        (Some(first), Some(now)) => kept_part(first) != kept_part(now),
        _ => false,
    };
    has_moved || has_other_agent
}
