//! The host of a URL or of a rule, in its only canonical spelling.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest DNS name, in bytes.
const MAX_NAME: usize = 253;
/// The longest label of a DNS name, in bytes.
const MAX_LABEL: usize = 63;

const INVALID: &str = "it is neither a DNS name nor an IP address";
const NOT_ASCII: &str = "it is not ASCII; write an international name as punycode, `xn--…`";
const ODD_ADDRESS: &str = "write an IPv4 address as four decimal numbers, such as 127.0.0.1";
const BRACKETS: &str = "write an IPv6 address in brackets, such as [::1]";

/// A host in its only canonical spelling, so that two spellings of one host are equal.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Host {
    /// A DNS name in lower case, without a dot at its end.
    Name(String),
    /// An IP address. An IPv4 address that was written as IPv6, such as `::ffff:127.0.0.1`, is
    /// an IPv4 address here, since a connection to it is one over IPv4.
    Address(IpAddr),
}

impl Host {
    /// Reads a host as it stands in a URL. The error says what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        if let Some(address) = text.strip_prefix('[') {
            let address = address.strip_suffix(']').ok_or(INVALID)?;
            let address: Ipv6Addr = address.parse().map_err(|_| INVALID)?;
            return Ok(Self::Address(address.to_canonical()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(address) = name.parse::<Ipv4Addr>() {
            return Ok(Self::Address(address.into()));
        }
        if name.contains(':') {
            return Err(BRACKETS);
        }
        parse_name(name).map(Self::Name)
    }

    /// Returns whether the host is the name `localhost`.
    pub(crate) fn is_localhost(&self) -> bool {
        matches!(self, Self::Name(name) if name == "localhost")
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// Returns a DNS name in lower case.
pub(crate) fn parse_name(name: &str) -> Result<String, &'static str> {
    if !name.is_ascii() {
        return Err(NOT_ASCII);
    }
    if name.is_empty() || name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return Err(INVALID);
    }
    if ends_in_number(name) {
        return Err(ODD_ADDRESS);
    }
    Ok(name.to_ascii_lowercase())
}

fn is_label(label: &str) -> bool {
    // Names of machines have no underscores, but those of services and containers may.
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=MAX_LABEL).contains(&label.len()) && label.bytes().all(is_allowed)
}

/// Returns whether resolvers may take a name for an IPv4 address, such as `127.1`, `0x7f.1`,
/// `0177.0.0.1` and `2130706433`. The URL standard of WHATWG has the same condition.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    let is_decimal = last.bytes().all(|byte| byte.is_ascii_digit());
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    let is_hexadecimal =
        hexadecimal.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    is_decimal || is_hexadecimal
}

/// Returns the beginning of a text in quotes, with control characters escaped.
pub(crate) fn quoted(text: &str) -> String {
    const MAX_CHARACTERS: usize = 100;
    match text.char_indices().nth(MAX_CHARACTERS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_spelling() {
        for text in ["api.example.com", "API.Example.COM", "api.example.com."] {
            let host = Host::parse(text).unwrap();
            assert_eq!(host, Host::Name("api.example.com".into()), "{text}");
            assert_eq!(host.to_string(), "api.example.com");
        }
        for text in ["localhost", "LOCALHOST."] {
            assert!(Host::parse(text).unwrap().is_localhost(), "{text}");
        }
        for text in [
            "xn--bcher-kva.example",
            "my_service",
            "1.example",
            "0x7f.example",
            "a-b",
        ] {
            assert_eq!(Host::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_has_one_spelling() {
        let cases = [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("[::ffff:127.0.0.1]", "127.0.0.1"),
            ("[::ffff:7f00:1]", "127.0.0.1"),
            ("[0:0:0:0:0:FFFF:7F00:0001]", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[FD00:EC2::254]", "[fd00:ec2::254]"),
            ("[::127.0.0.1]", "[::7f00:1]"),
        ];
        for (text, canonical) in cases {
            let host = Host::parse(text).unwrap();
            assert!(matches!(host, Host::Address(_)), "{text}");
            assert_eq!(host.to_string(), canonical);
        }
    }

    #[test]
    fn an_odd_spelling_of_an_address_is_refused() {
        let cases = [
            "2130706433",
            "0x7f000001",
            "0X7F000001",
            "017700000001",
            "127.1",
            "127.0.1",
            "0x7f.1",
            "127.0.0.0x1",
            "0177.0.0.1",
            "127.0.0.01",
            "127.0.0.1.1",
            "256.0.0.1",
            "1.2.3.4.5.",
            "0x",
            "example.0x",
            "example.1",
        ];
        for text in cases {
            assert_eq!(Host::parse(text), Err(ODD_ADDRESS), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let label = "a".repeat(64);
        let long = "a.".repeat(128);
        let cases = [
            "",
            ".",
            "..",
            "a..b",
            ".a",
            "a b",
            "a\nb",
            "a%2eb",
            "a/b",
            "user@a",
            "*.a",
            "[::1",
            "[::1%25eth0]",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "[]",
            "[::1]]",
            &label,
            &long,
        ];
        for text in cases {
            assert_eq!(Host::parse(text), Err(INVALID), "{text}");
        }
        assert_eq!(Host::parse("bücher.example"), Err(NOT_ASCII));
        // Full-width digits, which some resolvers turn into ASCII.
        assert_eq!(Host::parse("１２７.0.0.1"), Err(NOT_ASCII));
        assert_eq!(Host::parse("::1"), Err(BRACKETS));
    }

    #[test]
    fn a_text_is_quoted_escaped_and_shortened() {
        assert_eq!(quoted("a\"\n\u{9b}"), "\"a\\\"\\n\\u{9b}\"");
        assert_eq!(
            quoted(&"ü".repeat(101)),
            format!("\"{}\"…", "ü".repeat(100))
        );
    }
}
