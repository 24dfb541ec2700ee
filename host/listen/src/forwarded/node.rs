//! The names of clients and proxies in headers (RFC 7239 §6), in `X-Forwarded-For` also without
//! the brackets of IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Reads a node. Returns `Some(None)` if the node hides its address, and `None` if the text is
/// malformed.
pub(super) fn parse(text: &str) -> Option<Option<IpAddr>> {
    if let Some(rest) = text.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        return is_port(port).then_some(Some(ipv6(address)?));
    }
    // An IPv6 address without brackets has no port.
    if text.matches(':').count() > 1 {
        return Some(Some(ipv6(text)?));
    }
    let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
    if !is_port(port) {
        return None;
    }
    match name.parse::<Ipv4Addr>() {
        Ok(address) => Some(Some(address.into())),
        Err(_) => (name.eq_ignore_ascii_case("unknown") || is_obfuscated(name)).then_some(None),
    }
}

/// Reads an IPv6 address, and leaves its zone out, which has a meaning for the proxy only
/// (RFC 4007 §11).
fn ipv6(text: &str) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let is_zone = !zone.is_empty() && zone.bytes().all(|byte| is_plain(byte) || byte == b'%');
    let address = address.parse::<Ipv6Addr>().ok()?;
    is_zone.then_some(IpAddr::from(address).to_canonical())
}

/// Returns whether this is nothing, or a colon and a port.
fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else {
        return text.is_empty();
    };
    let is_digits = port.bytes().all(|byte| byte.is_ascii_digit());
    is_obfuscated(port) || ((1..=5).contains(&port.len()) && is_digits)
}

/// Returns whether this is an identifier that hides a node or a port (RFC 7239 §6.3).
fn is_obfuscated(text: &str) -> bool {
    let name = text.strip_prefix('_');
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(is_plain))
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nodes_are_read() {
        for (text, address) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:80", "192.0.2.1"),
            ("192.0.2.1:_p", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:DB8::1]", "2001:db8::1"),
            ("[2001:db8::1]:47011", "2001:db8::1"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0]:1", "fe80::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:c000:201]", "192.0.2.1"),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(parse(text), Some(Some(address)), "{text}");
        }
        for text in ["unknown", "UNKNOWN", "unknown:80", "_hidden", "_a.b-c:_d"] {
            assert_eq!(parse(text), Some(None), "{text}");
        }
    }

    #[test]
    fn malformed_nodes_are_refused() {
        for text in [
            "",
            ":",
            ":80",
            "_",
            "hidden",
            "example.org",
            "192.0.2",
            "192.0.2.256",
            "192.0.2.01",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:123456",
            "192.0.2.1:-1",
            "192.0.2.1/32",
            "192.0.2.1%0",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[]",
            "[]:80",
            "[2001:db8::1]80",
            "[2001:db8::1]:",
            "[::1]]",
            "2001:db8::1:",
            "2001:db8::1%",
            "fe80::1%a b",
            "::1::",
            "[::1%]",
            "1 2",
            "\"192.0.2.1\"",
            "_a b",
            "unknown:",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_a_panic(text in "[0-9a-f:.%\\[\\]_]{0,40}|\\PC{0,20}") {
            let _ = parse(&text);
        }

        #[test]
        fn every_address_is_read(address: IpAddr, port: u16) {
            let expected = Some(Some(address.to_canonical()));
            prop_assert_eq!(parse(&address.to_string()), expected);
            let with_port = std::net::SocketAddr::new(address, port);
            prop_assert_eq!(parse(&with_port.to_string()), expected);
        }
    }
}
