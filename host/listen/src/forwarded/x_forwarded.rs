//! `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`, which no standard defines.

use http::header::{HeaderMap, HeaderName};
use http::uri::{Authority, Scheme};

use super::{FORWARDED_FOR, FORWARDED_PROTO, Hop, MAX_ENTRIES, client_of, node, scheme};
use crate::TrustedProxies;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Returns the client that the headers of a trusted proxy name, or the peer if they name none,
/// without the [`host`].
pub(super) fn client(headers: &HeaderMap, peer: Hop, proxies: &TrustedProxies) -> Hop {
    let hops = entries(headers, &FORWARDED_FOR).map(|entry| {
        Some(Hop {
            address: node::parse(entry?)?,
            scheme: None,
            host: None,
        })
    });
    let (place, hop) = client_of(hops, peer, proxies);
    Hop {
        address: hop.address,
        scheme: scheme_at(headers, place),
        host: None,
    }
}

fn scheme_at(headers: &HeaderMap, place: usize) -> Option<Scheme> {
    let entry = entries(headers, &FORWARDED_PROTO).take(place + 1).last()?;
    scheme(entry?)
}

/// Returns the host that a trusted proxy names, if it is the only one.
pub(super) fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut values = headers.get_all(FORWARDED_HOST).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => super::host(value.to_str().ok()?.trim()),
        _ => None,
    }
}

/// Returns the entries of a list, from its end. An entry that is not text is `None`.
fn entries<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> impl Iterator<Item = Option<&'a str>> + use<'a> {
    let lines = headers.get_all(name).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    let entries = entries.take(MAX_ENTRIES).map(<[u8]>::trim_ascii);
    let entries = entries.filter(|entry| !entry.is_empty());
    entries.map(|entry| str::from_utf8(entry).ok())
}
