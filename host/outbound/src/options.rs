//! The limits of all requests, and the time limits of one request.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::resolve::{Resolve, SystemResolver};

/// The limits of all requests of an application.
///
/// ```
/// use std::time::Duration;
///
/// use session3_outbound::Options;
///
/// let options = Options::default()
///     .connect_timeout(Duration::from_secs(3))
///     .max_requests(32)
///     .ca_file("/etc/shop/authorities.pem".into());
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) dns_timeout: Duration,
    pub(crate) timeouts: Limits,
    pub(crate) max_requests: usize,
    pub(crate) max_response_header_bytes: usize,
    pub(crate) max_kept_connections: usize,
    pub(crate) idle_timeout: Duration,
    pub(crate) ca_file: Option<PathBuf>,
    pub(crate) resolver: Arc<dyn Resolve>,
}

/// The time limits that an application asks for in one request. Each is capped by that of
/// [`Options`], which also applies in place of `None`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    /// How long to wait for a connection: for a name server, TCP and TLS together.
    pub connect: Option<Duration>,
    /// How long to wait for the response and its headers, from the moment at which there is a
    /// connection or at which the server took the latest part of the request's body.
    pub first_byte: Option<Duration>,
    /// How long to wait for the next part of the response's body.
    pub between_bytes: Option<Duration>,
}

/// The time limits of one request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Limits {
    pub connect: Duration,
    pub first_byte: Duration,
    pub between_bytes: Duration,
}

impl Limits {
    /// Returns the limits of a request that asks for these.
    pub fn capped(self, asked: Timeouts) -> Self {
        let cap = |asked: Option<Duration>, cap| asked.map_or(cap, |asked| asked.min(cap));
        Self {
            connect: cap(asked.connect, self.connect),
            first_byte: cap(asked.first_byte, self.first_byte),
            between_bytes: cap(asked.between_bytes, self.between_bytes),
        }
    }
}

impl Options {
    /// Sets how long a name server may take: 5 seconds by default. The time limit for
    /// connecting applies as well.
    pub fn dns_timeout(mut self, timeout: Duration) -> Self {
        self.dns_timeout = timeout;
        self
    }

    /// Sets how long connecting may take, including the name server and TLS: 10 seconds by
    /// default.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.connect = timeout;
        self
    }

    /// Sets how long a server may take until the end of its response's headers: 60 seconds by
    /// default. The time starts again whenever the server takes a part of the request's body.
    pub fn first_byte_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.first_byte = timeout;
        self
    }

    /// Sets how long a server may pause within the body of its response, and how long it may
    /// refuse to take more of a request: 60 seconds by default.
    pub fn between_bytes_timeout(mut self, timeout: Duration) -> Self {
        self.timeouts.between_bytes = timeout;
        self
    }

    /// Sets how many requests may be under way at once: 256 by default. A request is under way
    /// until the body of its response and that of the request have ended or were dropped. One
    /// more request fails at once and does not wait, so that the application notices.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.max_requests = requests;
        self
    }

    /// Sets the largest size of the headers of a response, in bytes: 64 KiB by default, and
    /// 8 KiB at least. Each header counts with 32 bytes more than its name and its value. There
    /// may be 100 headers with HTTP/1.1.
    pub fn max_response_header_bytes(mut self, bytes: usize) -> Self {
        self.max_response_header_bytes = bytes;
        self
    }

    /// Sets how many connections to all servers together may be kept for later requests: 256 by
    /// default. One that is in use counts as well. Other connections are closed after one
    /// request, and have HTTP/1.1, since a connection of HTTP/2 would be shared.
    pub fn max_kept_connections(mut self, connections: usize) -> Self {
        self.max_kept_connections = connections;
        self
    }

    /// Sets how long a connection is kept while there is no request: 30 seconds by default.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets a file with the certificates of the authorities to trust, in PEM. It replaces those
    /// of the system.
    pub fn ca_file(mut self, path: PathBuf) -> Self {
        self.ca_file = Some(path);
        self
    }

    /// Sets what resolves names, in place of the system.
    pub fn resolver(mut self, resolver: impl Resolve) -> Self {
        self.resolver = Arc::new(resolver);
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dns_timeout: Duration::from_secs(5),
            timeouts: Limits {
                connect: Duration::from_secs(10),
                first_byte: Duration::from_secs(60),
                between_bytes: Duration::from_secs(60),
            },
            max_requests: 256,
            max_response_header_bytes: 64 << 10,
            max_kept_connections: 256,
            idle_timeout: Duration::from_secs(30),
            ca_file: None,
            resolver: Arc::new(SystemResolver::default()),
        }
    }
}

/// Why no requests can be made. Each message is one line.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The certificates of the authorities cannot be read.
    #[error(
        "the file {} cannot be used: {}; name a file with certificates of authorities in PEM",
        .0.display(),
        .1
    )]
    CaFile(PathBuf, String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cannot_exceed_the_limits() {
        let limits = Options::default().timeouts;
        assert_eq!(limits.capped(Timeouts::default()), limits);
        let second = Duration::from_secs(1);
        let asked = Timeouts {
            connect: Some(second),
            first_byte: Some(Duration::MAX),
            between_bytes: Some(Duration::ZERO),
        };
        let expected = Limits {
            connect: second,
            between_bytes: Duration::ZERO,
            ..limits
        };
        assert_eq!(limits.capped(asked), expected);
    }
}
