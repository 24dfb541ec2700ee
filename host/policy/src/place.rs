//! The place in the session manager's data where a host writes the operator's policy: what
//! `default-config` returns, and what no application can weaken.
//!
//! The manager imports nothing for its policy, and a composed component carries the policy
//! along to hosts that know nothing of it. The host computes everything that it can, and
//! writes plain numbers and texts: a decoder for more would be a tenth of the component.
//!
//! Behind the [`MARKER`] come: one byte, [`VERSION`], or 0 while no policy is written; the
//! limits of the fields in [`LIMITED`]; the [`NUMBERS`] of the default configuration; its
//! texts, each behind its length, which are the cookie's name, path and domain (empty for
//! none). Numbers and lengths have four bytes, in little-endian order.

/// The bytes before the place.
pub const MARKER: &[u8; 16] = b"<session policy>";
/// The size of the place behind the marker, in bytes.
pub const ROOM: usize = 1024;
/// The version of this layout.
pub const VERSION: u8 = 2;

/// The fields that an operator can limit. As numbers, smaller values are stricter:
///
/// - a flag is 0 if it is on, 1 if it is off;
/// - `strict` is 0, `lax` is 1, `none` is 2;
/// - times are in seconds; no max-age is 0, and so are the times of sessions that cannot be
///   remembered; a renewal that never happens, or a count without a bound, is `u32::MAX`;
/// - `end` and `fail` are 0, `report` is 1, `ignore` is 2;
/// - `no-store` is 0, `private` is 1.
pub const LIMITED: [&str; 18] = [
    "cookie secure",
    "cookie http-only",
    "cookie same-site",
    "cookie partitioned",
    "cookie max-age",
    "idle-timeout",
    "absolute-timeout",
    "first-use-timeout",
    "renew-after",
    "renew-grace",
    "remember idle-timeout",
    "remember absolute-timeout",
    "remember max-age",
    "max-sessions-per-user",
    "on-client-change",
    "on-damage",
    "user-caching",
    "clear-cache",
];

/// The count of numbers in a configuration, which come in the order of its fields in the
/// WIT: a flag is 1 or 0, a choice is its index, an absent value is 0.
pub const NUMBERS: usize = 19;
