//! What happens between the acceptance of a connection and its first request.

use std::io;
use std::time::Duration;

use thiserror::Error;
use tokio::time::timeout;

use crate::proxy_header::{self, ProxyHeaderError};
use crate::{LocalAddress, Peer, Stream, TlsConfig, TrustedProxies, plain_http};

/// How long a client may take by default.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The type of the first record of TLS.
const TLS_HANDSHAKE: u8 = 22;

/// What a client must do before its first request.
#[derive(Clone, Debug)]
pub(crate) struct Handshake {
    pub(crate) tls: Option<TlsConfig>,
    /// The proxies that send a header of the PROXY protocol.
    pub(crate) proxies: Option<TrustedProxies>,
    pub(crate) timeout: Duration,
}

impl Default for Handshake {
    fn default() -> Self {
        Self {
            tls: None,
            proxies: None,
            timeout: TIMEOUT,
        }
    }
}

/// A connection that was accepted, and whose client may still have to introduce itself.
#[derive(Debug)]
pub struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) peer: Peer,
    pub(crate) local: LocalAddress,
    pub(crate) handshake: Handshake,
}

/// A connection that is ready for requests.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connection {
    /// The bytes of the connection.
    pub stream: Stream,
    /// The client, or the last proxy before this server. A header of the PROXY protocol replaces
    /// the proxy that sent it, so that [`Forwarding`](crate::Forwarding) believes the headers of
    /// requests only if the client that the header names is a trusted proxy as well.
    pub peer: Peer,
    /// The address of this server that the client has connected to.
    pub local: LocalAddress,
}

/// Why a connection cannot be used. It is closed then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The client took longer than the timeout of the listener.
    #[error("the client did not complete the handshake within {0:?}")]
    TimedOut(Duration),
    /// The listener expects the PROXY protocol, and this peer is not one of its proxies.
    #[error("{0} is not one of the proxies that may use the PROXY protocol")]
    UntrustedProxy(Peer),
    /// The connection does not begin with a valid header of the PROXY protocol.
    #[error("the PROXY protocol: {0}")]
    ProxyHeader(#[from] ProxyHeaderError),
    /// The client sent a request without TLS, and was answered that the server needs TLS.
    #[error("the client does not use TLS")]
    PlainHttp,
    /// The handshake of TLS failed.
    #[error("TLS: {0}")]
    Tls(#[source] io::Error),
    /// The client closed the connection, or it was interrupted.
    #[error("the connection ended: {0}")]
    Io(#[from] io::Error),
}

impl Accepted {
    /// Returns the peer of the socket, which may be a proxy.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// Reads the header of the PROXY protocol and negotiates TLS, if the listener expects them.
    ///
    /// # Errors
    ///
    /// If the client does not do what the listener expects, or not in time.
    pub async fn handshake(self) -> Result<Connection, HandshakeError> {
        let limit = self.handshake.timeout;
        let connection = timeout(limit, self.introduce()).await;
        connection.unwrap_or(Err(HandshakeError::TimedOut(limit)))
    }

    async fn introduce(self) -> Result<Connection, HandshakeError> {
        let Self {
            mut stream,
            mut peer,
            local,
            handshake,
        } = self;
        if let Some(proxies) = &handshake.proxies {
            if !proxies.contains(&peer) {
                return Err(HandshakeError::UntrustedProxy(peer));
            }
            if let Some(client) = proxy_header::read(&mut stream).await? {
                peer = client;
            }
        }
        if let Some(tls) = &handshake.tls {
            stream = encrypt(stream, tls).await?;
        }
        Ok(Connection {
            stream,
            peer,
            local,
        })
    }
}

async fn encrypt(mut stream: Stream, tls: &TlsConfig) -> Result<Stream, HandshakeError> {
    match stream.peek().await? {
        None => Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
        Some(TLS_HANDSHAKE) => {
            let encrypted = tls.accept(stream).await;
            Ok(encrypted.map_err(HandshakeError::Tls)?.into())
        }
        Some(_) => {
            plain_http::refuse(&mut stream).await?;
            Err(HandshakeError::PlainHttp)
        }
    }
}
