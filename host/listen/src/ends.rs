//! The two ends of a connection: the client's and the server's.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

/// The client's end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A client with an IP address. The address is never an IPv4 address in the form of IPv6,
    /// such as `::ffff:192.0.2.1`, which a listener for both families sees.
    Ip(SocketAddr),
    /// A process on this machine, through a Unix socket.
    Unix,
    /// A client of a proxy that says in the PROXY protocol that it does not know the client's
    /// address. It is never a trusted proxy.
    Unknown,
}

impl Peer {
    /// Returns the IP address, which only [`Peer::Ip`] has.
    ///
    /// ```
    /// use session3_listen::Peer;
    ///
    /// let peer = Peer::from("[::ffff:192.0.2.1]:4000".parse::<std::net::SocketAddr>()?);
    /// assert_eq!(peer.ip(), Some([192, 0, 2, 1].into()));
    /// assert_eq!(Peer::Unix.ip(), None);
    /// # Ok::<(), std::net::AddrParseError>(())
    /// ```
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            Self::Unix | Self::Unknown => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix => f.write_str("a client of a Unix socket"),
            Self::Unknown => f.write_str("a client that its proxy does not know"),
        }
    }
}

/// The server's end of a connection, or what a server listens on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LocalAddress {
    /// An IP address without the scope that a link-local IPv6 address may have.
    Ip(SocketAddr),
    /// The path of a Unix socket; empty if it has none.
    Unix(PathBuf),
}

impl LocalAddress {
    /// Returns the host and the port under which a client of this address reaches the server,
    /// which is `localhost` for a Unix socket.
    pub fn authority(&self) -> String {
        match self {
            Self::Ip(address) => address.to_string(),
            Self::Unix(_) => "localhost".into(),
        }
    }
}

impl From<SocketAddr> for LocalAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl fmt::Display for LocalAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
