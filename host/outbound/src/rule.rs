//! One rule: a host and its ports.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

use crate::host::{Host, parse_name, quoted};
use crate::target::{DEFAULT_PORTS, Target};

/// Which host a rule allows, and at which ports: `HOST[:PORT]`.
///
/// | host | allows |
/// | --- | --- |
/// | `api.example.com` | this name |
/// | `*.example.com` | every name below `example.com`, but not `example.com` itself |
/// | `localhost` | this name, also if it is a loopback address |
/// | `192.0.2.1`, `[2001:db8::1]` | this address |
/// | `10.0.0.0/8`, `[fd00::]/8` | the addresses of this network |
///
/// A name without a dot, such as `db`, is looked up with the search list of the system, and one with
/// a dot without it.
///
/// Without a port, a rule allows the ports 80 and 443. The port of a network stands after the
/// length of its prefix: `10.0.0.0/8:8080`, `[fd00::]/8:8080`.
///
/// ```
/// use session3_outbound::Rule;
///
/// let rule: Rule = "*.Example.com:8443".parse()?;
/// assert_eq!(rule.to_string(), "*.example.com:8443");
///
/// let error = "https://example.com/".parse::<Rule>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "\"https://example.com/\" is not HOST[:PORT]: write the host without `https://`"
/// );
/// # Ok::<(), session3_outbound::RuleError>(())
/// ```
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Rule {
    hosts: Hosts,
    /// `None` stands for the default ports.
    port: Option<u16>,
}

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
enum Hosts {
    Name(String),
    /// The names below this one.
    Below(String),
    Network(IpNet),
}

/// Why a text is not a rule, in one line.
#[derive(Clone, Debug, Error, Eq, PartialEq)]
#[error("{rule} is not HOST[:PORT]: {reason}")]
pub struct RuleError {
    rule: String,
    reason: &'static str,
}

const PORT: &str = "the port is not a number from 1 to 65535";
const PREFIX: &str = "the length of the prefix is not a number that the address allows";
const NOT_A_NETWORK: &str = "only an IP address has a `/` and the length of a prefix";

impl Rule {
    /// Reads a rule, `HOST[:PORT]`.
    ///
    /// # Errors
    ///
    /// The error says what is wrong with the host or the port.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        parse(text).map_err(|reason| RuleError {
            rule: quoted(text),
            reason,
        })
    }

    /// Returns whether this rule allows a target by its name or its address.
    pub(crate) fn allows(&self, target: &Target) -> bool {
        let is_host = match (&self.hosts, target.host()) {
            (Hosts::Name(name), Host::Name(host)) => name == host,
            (Hosts::Below(name), Host::Name(host)) => is_below(host, name),
            (Hosts::Network(network), Host::Address(address)) => network.contains(address),
            _ => false,
        };
        is_host && self.allows_port(target.port())
    }

    /// Returns the network of a rule that allows this port.
    pub(crate) fn network_at(&self, port: u16) -> Option<&IpNet> {
        match &self.hosts {
            Hosts::Network(network) if self.allows_port(port) => Some(network),
            _ => None,
        }
    }

    fn allows_port(&self, port: u16) -> bool {
        match self.port {
            Some(allowed) => allowed == port,
            None => DEFAULT_PORTS.contains(&port),
        }
    }
}

fn is_below(host: &str, name: &str) -> bool {
    host.strip_suffix(name)
        .and_then(|label| label.strip_suffix('.'))
        .is_some_and(|label| !label.is_empty())
}

fn parse(text: &str) -> Result<Rule, &'static str> {
    check_spelling(text)?;
    let end = match text.find(']') {
        Some(bracket) => bracket + 1,
        None => text.find(['/', ':']).unwrap_or(text.len()),
    };
    let (host, rest) = text.split_at(end);
    let (prefix, port) = match rest.strip_prefix('/') {
        Some(rest) => match rest.split_once(':') {
            Some((prefix, port)) => (Some(prefix), Some(port)),
            None => (Some(rest), None),
        },
        None if rest.is_empty() => (None, None),
        None => (None, Some(rest.strip_prefix(':').ok_or(PORT)?)),
    };
    let hosts = match prefix {
        Some(prefix) => network(host, prefix)?,
        None => hosts(host)?,
    };
    let port = port.map(parse_port).transpose()?;
    Ok(Rule { hosts, port })
}

/// Recognizes what operators may write in place of a rule.
fn check_spelling(text: &str) -> Result<(), &'static str> {
    if text.starts_with("https://") {
        return Err("write the host without `https://`");
    }
    if text.contains("://") {
        return Err("write the host without a scheme");
    }
    if text.contains('@') {
        return Err("write the host without a user");
    }
    if !text.starts_with('[') && text.matches(':').count() > 1 {
        return Err("write an IPv6 address in brackets, such as [::1] or [fd00::]/8");
    }
    Ok(())
}

fn hosts(text: &str) -> Result<Hosts, &'static str> {
    if let Some(name) = text.strip_prefix("*.") {
        let name = name.strip_suffix('.').unwrap_or(name);
        return parse_name(name).map(Hosts::Below);
    }
    if text.contains('*') {
        return Err("`*` may only stand for all labels before a name, as in `*.example.com`");
    }
    if text.contains('[') && text.contains('/') {
        return Err("write the length of the prefix behind the bracket, as in [fd00::]/8");
    }
    match Host::parse(text)? {
        Host::Name(name) => Ok(Hosts::Name(name)),
        Host::Address(address) => Ok(Hosts::Network(address.into())),
    }
}

fn network(host: &str, prefix: &str) -> Result<Hosts, &'static str> {
    let Ok(Host::Address(address)) = Host::parse(host) else {
        return Err(NOT_A_NETWORK);
    };
    if address.is_ipv4() && host.starts_with('[') {
        return Err("write a network of IPv4 addresses as IPv4, such as 10.0.0.0/8");
    }
    let prefix = digits(prefix).and_then(|prefix| u8::try_from(prefix).ok());
    let network = IpNet::new(address, prefix.ok_or(PREFIX)?).map_err(|_| PREFIX)?;
    if network.trunc() != network {
        return Err("the address has bits behind the prefix; write the first of the network");
    }
    Ok(Hosts::Network(network))
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    digits(text).filter(|port| *port > 0).ok_or(PORT)
}

/// Reads a number without a sign.
fn digits(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        Self::parse(text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.hosts {
            Hosts::Name(name) => f.write_str(name)?,
            Hosts::Below(name) => write!(f, "*.{name}")?,
            Hosts::Network(network) => {
                match network.addr() {
                    IpAddr::V4(address) => write!(f, "{address}")?,
                    IpAddr::V6(address) => write!(f, "[{address}]")?,
                }
                if network.prefix_len() < network.max_prefix_len() {
                    write!(f, "/{}", network.prefix_len())?;
                }
            }
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use ipnet::Ipv4Net;
    use proptest::prelude::*;

    use super::*;
    use crate::random::runner;

    fn allows(rule: &str, uri: &str) -> bool {
        let target = Target::from_uri(&uri.parse().unwrap()).unwrap();
        Rule::parse(rule).unwrap().allows(&target)
    }

    #[test]
    fn a_rule_has_one_spelling() {
        let cases = [
            ("API.Example.com", "api.example.com"),
            ("example.com.:80", "example.com:80"),
            ("*.Example.com.:80", "*.example.com:80"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1/32:1", "127.0.0.1:1"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.0.0.0/8:65535", "10.0.0.0/8:65535"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("[0:0:0:0:0:0:0:1]", "[::1]"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::ffff:127.0.0.1]:8080", "127.0.0.1:8080"),
            ("[FD00::]/8", "[fd00::]/8"),
            ("[fd00::]/8:443", "[fd00::]/8:443"),
        ];
        for (text, expected) in cases {
            let rule = Rule::parse(text).unwrap();
            assert_eq!(rule.to_string(), expected, "{text}");
            assert_eq!(Rule::parse(expected).unwrap(), rule, "{text}");
        }
    }

    #[test]
    fn the_error_says_what_is_wrong_in_one_line() {
        let cases = [
            ("", "neither a DNS name nor"),
            ("*", "`*` may only"),
            ("*.", "neither a DNS name nor"),
            ("*example.com", "`*` may only"),
            ("api.*.com", "`*` may only"),
            ("*.*.com", "neither a DNS name nor"),
            ("*.1", "four decimal numbers"),
            ("http://example.com", "without a scheme"),
            ("https://example.com", "without `https://`"),
            ("user@example.com", "without a user"),
            ("example.com/path", "only an IP address has a `/`"),
            ("example.com/8", "only an IP address has a `/`"),
            ("example.com:", "the port is not"),
            ("example.com:0", "the port is not"),
            ("example.com:+80", "the port is not"),
            ("example.com:65536", "the port is not"),
            ("example.com:http", "the port is not"),
            ("example.com:*", "the port is not"),
            ("[::1]8080", "the port is not"),
            ("10.0.0.0/8:", "the port is not"),
            ("::1", "in brackets"),
            ("fd00::/8", "in brackets"),
            ("[fd00::/8]", "behind the bracket"),
            ("[::1", "neither a DNS name nor"),
            ("10.0.0.0/33", "the length of the prefix"),
            ("10.0.0.0/", "the length of the prefix"),
            ("10.0.0.0/+8", "the length of the prefix"),
            ("[fd00::]/129", "the length of the prefix"),
            ("[fd00::]/999", "the length of the prefix"),
            ("10.0.0.1/8", "bits behind the prefix"),
            ("[::ffff:10.0.0.0]/104", "as IPv4"),
            ("127.1", "four decimal numbers"),
            ("0x7f.1", "four decimal numbers"),
            ("2130706433:80", "four decimal numbers"),
            ("bücher.example", "punycode"),
            ("a\nb", "neither a DNS name nor"),
        ];
        for (text, expected) in cases {
            let error = Rule::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(!error.contains('\n'), "{error}");
            assert!(error.starts_with(&format!("{text:?} is not HOST[:PORT]: ")));
        }
    }

    #[test]
    fn a_name_allows_itself_at_the_default_ports() {
        assert!(allows("example.com", "http://example.com/"));
        assert!(allows("example.com", "https://EXAMPLE.com./"));
        assert!(allows("example.com", "http://example.com:443/"));
        assert!(!allows("example.com", "http://example.com:8080/"));
        assert!(!allows("example.com", "http://api.example.com/"));
        assert!(!allows("example.com", "http://example.com.evil.example/"));
        assert!(!allows("example.com", "http://badexample.com/"));
    }

    #[test]
    fn a_port_allows_only_itself() {
        assert!(allows("example.com:8080", "http://example.com:8080/"));
        assert!(allows("example.com:80", "http://example.com/"));
        assert!(!allows("example.com:80", "https://example.com/"));
        assert!(!allows("example.com:8080", "http://example.com/"));
        assert!(allows("10.0.0.0/8:81", "http://10.1.2.3:81/"));
        assert!(!allows("10.0.0.0/8:81", "http://10.1.2.3/"));
    }

    #[test]
    fn a_wildcard_allows_names_below_only() {
        assert!(allows("*.example.com", "http://api.example.com/"));
        assert!(allows("*.example.com", "http://a.b.Example.com./"));
        assert!(!allows("*.example.com", "http://example.com/"));
        assert!(!allows("*.example.com", "http://badexample.com/"));
        assert!(!allows(
            "*.example.com",
            "http://api.example.com.evil.example/"
        ));
        assert!(!allows("*.example.com", "http://api.example.com:8080/"));
    }

    #[test]
    fn addresses_and_networks_allow_addresses_only() {
        assert!(allows("127.0.0.1", "http://127.0.0.1/"));
        assert!(allows("127.0.0.1", "http://[::ffff:127.0.0.1]/"));
        assert!(allows("10.0.0.0/8", "http://10.255.255.255/"));
        assert!(!allows("10.0.0.0/8", "http://11.0.0.0/"));
        assert!(!allows("10.0.0.0/8", "http://[::10.0.0.1]/"));
        assert!(allows("[fd00::]/8", "http://[fdff::1]/"));
        assert!(!allows("[fd00::]/8", "http://[fe00::1]/"));
        assert!(!allows("0.0.0.0/0", "http://example.com/"));
        assert!(!allows("0.0.0.0/0", "http://[2a00::1]/"));
        assert!(!allows("localhost", "http://127.0.0.1/"));
    }

    #[test]
    fn no_text_makes_the_parser_panic() {
        let test = |text: String| {
            if let Ok(rule) = Rule::parse(&text) {
                prop_assert_eq!(Rule::parse(&rule.to_string()), Ok(rule));
            }
            Ok(())
        };
        let texts = "[\\[\\]:/.*@0-9a-fx-]{0,24}|.{0,24}";
        runner(2_000).run(&texts, test).unwrap();
    }

    #[test]
    fn a_network_allows_what_ipnet_contains() {
        let test = |(bits, prefix, other, is_near): (u32, u8, u32, bool)| {
            let network = Ipv4Net::new(bits.into(), prefix).unwrap().trunc();
            // Half of the addresses differ from those of the network only near its border.
            let near = bits ^ (other & 3).rotate_right(prefix.into());
            let other = Ipv4Addr::from(if is_near { near } else { other });
            let is_allowed = allows(&network.to_string(), &format!("http://{other}/"));
            prop_assert_eq!(is_allowed, network.contains(&other));
            Ok(())
        };
        let values = (any::<u32>(), 0u8..=32, any::<u32>(), any::<bool>());
        runner(2_000).run(&values, test).unwrap();
    }
}
