//! The place in the component's data where a host writes the operator's session
//! policy: what `default-config` returns, and what no application may weaken.
//! Hosts share this file.
//!
//! So the manager imports nothing for it, and a joined component carries it
//! along to hosts that know nothing of it. All that can be worked out before is
//! the host's: here are numbers and texts, since a decoder for more would be a
//! tenth of the component.
//!
//! Behind the marker come: one byte, [`VERSION`], or 0 while nothing is written;
//! the limits of [`LIMITED`]; the [`NUMBERS`] of the default configuration; its
//! texts, each behind its length: the cookie's name, path and domain, which is
//! empty for none. Numbers and lengths have four bytes, the lowest first.

/// What stands before the place.
pub const MARKER: &[u8; 16] = b"<session policy>";
/// The bytes of the place, behind the marker.
pub const ROOM: usize = 1024;
/// Of what is written there.
pub const VERSION: u8 = 1;

/// What an operator can limit. As numbers, the smaller are the stricter:
///
/// - 0 for what is on, 1 for what is off;
/// - 0 for `strict`, 1 for `lax`, 2 for `none`;
/// - seconds, or a count; for a max-age that there is not, 0; for what never
///   happens, or has no bound, `u32::MAX`;
/// - 0 for `end` and `fail`, 1 for `report`, 2 for `ignore`.
pub const LIMITED: [&str; 13] = [
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
    "max-sessions-per-user",
    "on-client-change",
    "on-damage",
];

/// The numbers of a configuration, in the order of its fields in the WIT: 1 for
/// yes, 0 for no; the index of a choice; 0 for what there is not.
pub const NUMBERS: usize = 14;
