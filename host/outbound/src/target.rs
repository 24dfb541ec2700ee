//! The host and the port that a request is for.

use std::fmt;

use http::Uri;
use http::uri::Scheme;

use crate::error::OutboundError;
use crate::host::{Host, quoted};

/// The ports of a rule without a port: those of `http` and `https`.
pub(crate) const DEFAULT_PORTS: [u16; 2] = [80, 443];

/// The host and the port that a request is for.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Target {
    host: Host,
    port: u16,
}

impl Target {
    /// Reads the target of an absolute URI.
    pub(crate) fn from_uri(uri: &Uri) -> Result<Self, OutboundError> {
        let default_port = if uri.scheme() == Some(&Scheme::HTTP) {
            80
        } else if uri.scheme() == Some(&Scheme::HTTPS) {
            443
        } else {
            return Err(OutboundError::InvalidRequest(
                "the scheme of its URL is neither http nor https",
            ));
        };
        let Some(authority) = uri.authority() else {
            return Err(OutboundError::InvalidRequest("its URL has no host"));
        };
        if authority.as_str().contains('@') {
            return Err(OutboundError::InvalidRequest(
                "its URL has a user name or a password",
            ));
        }
        let host = Host::parse(authority.host()).map_err(|reason| OutboundError::InvalidHost {
            host: quoted(authority.host()),
            reason,
        })?;
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("" | ":") => default_port,
            _ => match authority.port_u16() {
                Some(port) if port > 0 => port,
                _ => return Err(OutboundError::InvalidRequest("its URL has no valid port")),
            },
        };
        Ok(Self { host, port })
    }

    /// Returns the host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Returns the port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the rule that allows a host at the port of this target.
    pub(crate) fn rule_for(&self, host: &Host) -> String {
        if DEFAULT_PORTS.contains(&self.port) {
            host.to_string()
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// Returns the authority of this target in a URL with this scheme.
    pub(crate) fn authority(&self, scheme: &Scheme) -> String {
        let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        if self.port == default_port {
            self.host.to_string()
        } else {
            self.to_string()
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Result<String, String> {
        let target = Target::from_uri(&uri.parse().unwrap());
        target
            .map(|target| target.to_string())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_target_has_the_port_of_its_scheme_unless_the_url_has_one() {
        let cases = [
            ("http://example.com", "example.com:80"),
            ("https://Example.com./path", "example.com:443"),
            ("http://example.com:/", "example.com:80"),
            ("http://example.com:443/", "example.com:443"),
            ("http://127.0.0.1:8080/", "127.0.0.1:8080"),
            ("https://[::1]/", "[::1]:443"),
            ("https://[::1]:8443/", "[::1]:8443"),
            ("http://[::ffff:127.0.0.1]:1/", "127.0.0.1:1"),
        ];
        for (uri, expected) in cases {
            assert_eq!(target(uri).unwrap(), expected, "{uri}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused_without_its_secrets() {
        let cases = [
            "ftp://example.com/secret",
            "/secret",
            "example.com:80",
            "http://user:secret@example.com/",
            "http://secret@example.com/",
            "http://127.0.0.1:80@secret/",
            "http://example.com:0/secret",
            "http://example.com:65536/secret",
            "http://127.1/secret?secret",
            "http://a_%00.example/secret",
        ];
        for uri in cases {
            let Ok(uri) = uri.parse::<Uri>() else {
                continue;
            };
            let error = Target::from_uri(&uri).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn the_rule_of_a_target_names_the_port_only_if_it_must() {
        let rule = |uri: &str| {
            let target = Target::from_uri(&uri.parse().unwrap()).unwrap();
            target.rule_for(target.host())
        };
        assert_eq!(rule("https://a.example/"), "a.example");
        assert_eq!(rule("http://a.example:8080/"), "a.example:8080");
        assert_eq!(rule("http://[::1]:8080/"), "[::1]:8080");
    }
}
