//! The headers that no application may get from outside.

use http::header::{HeaderMap, HeaderName};

/// The beginning of `X-Forwarded-For` and its relatives, which say how the client reached the
/// first proxy: `-Proto`, `-Host`, `-Port`, `-Server`, `-Ssl`, `-Scheme`, `-Prefix`, `-By` and
/// more.
const PREFIX: &str = "x-forwarded-";

/// The names of other headers in which some proxy names a client, its scheme or its host, and
/// which some framework or library believes.
const NAMES: [&str; 34] = [
    // RFC 7239, and what was in use before it.
    "forwarded",
    "forwarded-for",
    "forwarded-for-ip",
    "x-forwarded",
    // The client's address: nginx, Apache and others.
    "client-ip",
    "x-client-ip",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-originating-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "x-proxyuser-ip",
    "remote-addr",
    "remote-host",
    // WebLogic.
    "proxy-client-ip",
    "wl-proxy-client-ip",
    "wl-proxy-ssl",
    // Content delivery networks and clouds.
    "cf-connecting-ip",
    "cf-connecting-ipv6",
    "cf-pseudo-ipv4",
    "cf-visitor",
    "true-client-ip",
    "fastly-client-ip",
    "fly-client-ip",
    "x-appengine-user-ip",
    "x-azure-clientip",
    "x-azure-socketip",
    "x-envoy-external-address",
    // The scheme and the host.
    "front-end-https",
    "x-url-scheme",
    "x-scheme",
    "x-host",
    "x-original-host",
];

/// Removes all headers in which a proxy may have named the client.
pub(super) fn remove(headers: &mut HeaderMap) {
    let found = headers.keys().filter(|name| names_client(name.as_str()));
    let found: Vec<HeaderName> = found.cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Returns whether a name in lower case is to be removed. CGI, and with it WSGI, does not
/// distinguish `_` from `-`.
fn names_client(name: &str) -> bool {
    let is = |known: &str, name: &[u8]| {
        let mut bytes = known.bytes().zip(name);
        known.len() == name.len()
            && bytes.all(|(known, byte)| known == *byte || (known == b'-' && *byte == b'_'))
    };
    let name = name.as_bytes();
    let beginning = name.get(..PREFIX.len());
    beginning.is_some_and(|beginning| is(PREFIX, beginning))
        || NAMES.iter().any(|known| is(known, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_about_the_client_are_removed_and_no_others() {
        for name in NAMES {
            assert!(names_client(name), "{name}");
        }
        for name in [
            "x-forwarded-for",
            "x_forwarded_for",
            "x-forwarded_proto",
            "x-forwarded-prefix",
            "x_real_ip",
        ] {
            assert!(names_client(name), "{name}");
        }
        for name in [
            "host",
            "via",
            "cookie",
            "accept",
            "x-real",
            "x-real-ips",
            "x-forward",
            "xreal-ip",
            "x-request-id",
            "x-requested-with",
            "origin",
            "authorization",
        ] {
            assert!(!names_client(name), "{name}");
        }
    }

    #[test]
    fn all_lines_of_a_header_are_removed() {
        let mut headers = HeaderMap::new();
        for value in ["1", "2"] {
            headers.append("x-real-ip", value.parse().unwrap());
            headers.append("accept", value.parse().unwrap());
        }
        remove(&mut headers);
        assert_eq!(headers.len(), 2);
    }
}
