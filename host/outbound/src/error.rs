//! Why a request failed.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use thiserror::Error;

use crate::address::AddressClass;
use crate::host::Host;
use crate::target::Target;

/// An error of any type.
pub type BoxError = Box<dyn Error + Send + Sync>;

/// Why a request failed. Each message is one line that names the host and the port, and never
/// a path, a query, a header or a user. [`source`](Error::source) has the cause, which may
/// contain text of the server.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutboundError {
    /// The request is one that is never sent, for this reason.
    #[error("the request of the application is not sent: {0}")]
    InvalidRequest(&'static str),
    /// The URL has no valid host, such as an IP address in an odd spelling.
    #[error("the application may not call the host {host}: {reason}")]
    #[non_exhaustive]
    InvalidHost {
        /// The host, in quotes and with control characters escaped.
        host: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// No rule allows the host at this port.
    #[error(
        "the application may not call {0}: allow it with --allow-outbound {rule}",
        rule = .0.rule_for(.0.host())
    )]
    Denied(Target),
    /// The address is not one of the public internet, and no rule is about it.
    #[error(
        "the application may not call {target}{at}, {class}: allow it with --allow-outbound {rule}",
        at = at(target, *address),
        rule = target.rule_for(&Host::Address(*address))
    )]
    #[non_exhaustive]
    ProhibitedAddress {
        /// What the request is for.
        target: Target,
        /// The address of the URL, or the one that its name has.
        address: IpAddr,
        /// What the address is.
        class: AddressClass,
    },
    /// As many requests are under way as [`Options`](crate::Options) allow.
    #[error(
        "{target} is not called because {limit} requests of the application are under way, which \
         is the limit"
    )]
    #[non_exhaustive]
    TooManyRequests {
        /// What the request is for.
        target: Target,
        /// The limit.
        limit: usize,
    },
    /// The name could not be resolved, or has no address.
    #[error("the name of {0} cannot be resolved")]
    Dns(Target, #[source] io::Error),
    /// The name was not resolved in time.
    #[error("the name of {0} was not resolved in time")]
    DnsTimeout(Target),
    /// The server refused the connection.
    #[error("{0} refuses the connection")]
    ConnectionRefused(Target, #[source] io::Error),
    /// The server could not be reached.
    #[error("{0} cannot be reached")]
    Unreachable(Target, #[source] io::Error),
    /// There was no connection in time, including the handshake of TLS.
    #[error("there was no connection to {0} in time")]
    ConnectTimeout(Target),
    /// The server closed or reset the connection before the end of the response.
    #[error("{0} closed the connection before the end of its response")]
    ConnectionClosed(Target, #[source] BoxError),
    /// The server's certificate is not valid for the host, or no trusted authority issued it.
    #[error("the certificate of {0} is not accepted")]
    TlsCertificate(Target, #[source] io::Error),
    /// The server does not speak TLS, or has no version or cipher suite in common.
    #[error("TLS with {0} failed")]
    TlsProtocol(Target, #[source] BoxError),
    /// The server did not take the request in time.
    #[error("{0} did not take the request in time")]
    WriteTimeout(Target, #[source] BoxError),
    /// The server did not begin its response in time, or did not end its headers in time.
    #[error("{0} did not answer in time")]
    FirstByteTimeout(Target),
    /// The server paused for too long within the body of its response.
    #[error("{0} paused for too long within its response")]
    BetweenBytesTimeout(Target),
    /// The headers of the response are too large or too many.
    #[error("the headers of the response of {0} are too large")]
    ResponseHeadersTooLarge(Target),
    /// The body of the request failed, or its length is not its `Content-Length`. The source is
    /// the error of the body.
    #[error("the body of the request to {0} failed")]
    RequestBody(Target, #[source] BoxError),
    /// The server violated HTTP.
    #[error("the response of {0} is not valid HTTP")]
    Protocol(Target, #[source] BoxError),
}

impl OutboundError {
    /// Returns whether the rules were the reason, so that an operator can allow the request.
    pub fn is_denial(&self) -> bool {
        matches!(
            self,
            Self::Denied(_) | Self::ProhibitedAddress { .. } | Self::InvalidHost { .. }
        )
    }

    /// Returns the name of the variant as a label of the metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::InvalidRequest(_) => "invalid-request",
            Self::InvalidHost { .. } => "invalid-host",
            Self::Denied(_) => "denied",
            Self::ProhibitedAddress { .. } => "prohibited-address",
            Self::TooManyRequests { .. } => "too-many-requests",
            Self::Dns(..) => "dns",
            Self::DnsTimeout(_) => "dns-timeout",
            Self::ConnectionRefused(..) => "connection-refused",
            Self::Unreachable(..) => "unreachable",
            Self::ConnectTimeout(_) => "connect-timeout",
            Self::ConnectionClosed(..) => "connection-closed",
            Self::TlsCertificate(..) => "tls-certificate",
            Self::TlsProtocol(..) => "tls-protocol",
            Self::WriteTimeout(..) => "write-timeout",
            Self::FirstByteTimeout(_) => "first-byte-timeout",
            Self::BetweenBytesTimeout(_) => "between-bytes-timeout",
            Self::ResponseHeadersTooLarge(_) => "response-headers-too-large",
            Self::RequestBody(..) => "request-body",
            Self::Protocol(..) => "protocol",
        }
    }
}

/// Returns the address of a target in words, unless the target is this address.
fn at(target: &Target, address: IpAddr) -> String {
    match Host::Address(address) {
        host if host == *target.host() => String::new(),
        host => format!(" at {host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(uri: &str) -> Target {
        Target::from_uri(&uri.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_denial_names_the_rule_that_allows_the_request() {
        let denied = |uri: &str| OutboundError::Denied(target(uri)).to_string();
        assert_eq!(
            denied("https://api.example.com/secret?secret"),
            "the application may not call api.example.com:443: allow it with --allow-outbound \
             api.example.com"
        );
        assert_eq!(
            denied("http://[::1]:8080/"),
            "the application may not call [::1]:8080: allow it with --allow-outbound [::1]:8080"
        );
        let prohibited = |uri: &str, address: &str| {
            let error = OutboundError::ProhibitedAddress {
                target: target(uri),
                address: address.parse().unwrap(),
                class: AddressClass::Private,
            };
            error.to_string()
        };
        assert_eq!(
            prohibited("http://db.example/", "10.0.0.1"),
            "the application may not call db.example:80 at 10.0.0.1, a private address: allow it \
             with --allow-outbound 10.0.0.1"
        );
        assert_eq!(
            prohibited("http://[fd00::1]:81/", "fd00::1"),
            "the application may not call [fd00::1]:81, a private address: allow it with \
             --allow-outbound [fd00::1]:81"
        );
    }
}
