//! Listeners, which accept connections.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};

use crate::handshake::{Accepted, Handshake};
use crate::socket_file::{self, SocketFile};
use crate::{Address, BindError, LocalAddress, Peer, TlsConfig, TrustedProxies, passed, tcp};

/// A socket that listens.
#[derive(Debug)]
pub(crate) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// What a server accepts connections from: one socket, and what a client must do before its
/// first request.
///
/// The file of a Unix socket that [`bind`](Self::bind) made is removed when the listener is
/// dropped, unless another file has replaced it.
///
/// The `Display` of a listener is the URL for its clients, such as `https://127.0.0.1:8443/`, or
/// `unix:/run/app.sock`. The [documentation of the crate](crate) has a complete example.
#[derive(Debug)]
pub struct Listener {
    // Fields are dropped in this order, which `SocketFile` needs.
    _file: Option<SocketFile>,
    socket: Socket,
    local: LocalAddress,
    handshake: Handshake,
}

impl Listener {
    /// Listens on an address, which needs one socket for each IP address of a host, and one for
    /// each socket that systemd passed.
    ///
    /// The first call for an address of systemd removes two variables from the environment of
    /// the process. Call it before the program starts other threads that use the environment.
    ///
    /// # Errors
    ///
    /// If the operating system refuses, another process listens on the address, or systemd
    /// passed no such socket.
    pub async fn bind(address: &Address) -> Result<Vec<Self>, BindError> {
        match address {
            Address::Tcp { host, port } => {
                let failed = |source| BindError::Tcp {
                    host: host.clone(),
                    port: *port,
                    source,
                };
                let sockets = tcp::bind(host, *port).await.map_err(failed)?;
                let listeners = sockets
                    .into_iter()
                    .map(|socket| Self::new(Socket::Tcp(socket), None));
                listeners.collect::<io::Result<_>>().map_err(failed)
            }
            Address::Unix { path, mode } => {
                let (socket, file) = socket_file::bind(path, *mode).await?;
                let failed = |source| BindError::Unix {
                    path: path.clone(),
                    source,
                };
                let listener = Self::new(Socket::Unix(socket), Some(file));
                Ok(vec![listener.map_err(failed)?])
            }
            Address::Systemd { name } => {
                let sockets = passed::take(name.as_deref())?;
                let failed = |source| BindError::Activated {
                    name: address.to_string(),
                    source,
                };
                let listeners = sockets.into_iter().map(|socket| Self::new(socket, None));
                listeners.collect::<io::Result<_>>().map_err(failed)
            }
        }
    }

    fn new(socket: Socket, file: Option<SocketFile>) -> io::Result<Self> {
        let local = match &socket {
            Socket::Tcp(listener) => listener.local_addr()?.into(),
            Socket::Unix(listener) => local_path(&listener.local_addr()?),
        };
        Ok(Self {
            _file: file,
            socket,
            local,
            handshake: Handshake::default(),
        })
    }

    /// Encrypts all connections. By default, they are not encrypted.
    pub fn tls(mut self, config: TlsConfig) -> Self {
        self.handshake.tls = Some(config);
        self
    }

    /// Expects a header of the PROXY protocol, version 1 or 2, at the beginning of every
    /// connection, before TLS. The header names the client, which becomes the
    /// [peer](crate::Connection::peer). By default, none is expected.
    ///
    /// Only these proxies may connect: the header of any other peer could name any client.
    pub fn proxy_protocol(mut self, proxies: TrustedProxies) -> Self {
        self.handshake.proxies = Some(proxies);
        self
    }

    /// Sets how long a client may take for the header of the PROXY protocol and the handshake of
    /// TLS together: 10 seconds by default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake.timeout = timeout;
        self
    }

    /// Returns what the listener listens on, with the port that was chosen for port 0.
    pub fn local(&self) -> &LocalAddress {
        &self.local
    }

    /// Accepts a connection. This does not wait for anything that the client sends: call
    /// [`Accepted::handshake`] in a task of the connection.
    ///
    /// If the future is dropped, no connection is lost.
    ///
    /// # Errors
    ///
    /// If the operating system has no room for another connection, or the client has closed it
    /// already. Try again after a moment.
    pub async fn accept(&self) -> io::Result<Accepted> {
        let (stream, peer, local) = match &self.socket {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // A listener on all addresses accepts connections to any of them.
                let local = stream.local_addr();
                let local = local.map_or_else(|_| self.local.clone(), Into::into);
                (stream.into(), peer.into(), local)
            }
            Socket::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                (stream.into(), Peer::Unix, self.local.clone())
            }
        };
        Ok(Accepted {
            stream,
            peer,
            local,
            handshake: self.handshake.clone(),
        })
    }
}

/// A listener that something else has made, such as a test.
impl TryFrom<TcpListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: TcpListener) -> io::Result<Self> {
        Self::new(Socket::Tcp(listener), None)
    }
}

/// A listener that something else has made. Its file is not removed.
impl TryFrom<UnixListener> for Listener {
    type Error = io::Error;

    fn try_from(listener: UnixListener) -> io::Result<Self> {
        Self::new(Socket::Unix(listener), None)
    }
}

fn local_path(address: &tokio::net::unix::SocketAddr) -> LocalAddress {
    LocalAddress::Unix(address.as_pathname().map_or_else(PathBuf::new, Into::into))
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.local, &self.handshake.tls) {
            (LocalAddress::Ip(address), None) => write!(f, "http://{address}/"),
            (LocalAddress::Ip(address), Some(_)) => write!(f, "https://{address}/"),
            (local, _) => local.fmt(f),
        }
    }
}
