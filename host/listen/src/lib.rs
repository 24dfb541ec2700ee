//! Listeners for HTTP servers, and the addresses of their clients. This crate contains what a
//! server needs between the operating system and [hyper](https://docs.rs/hyper):
//!
//! - [`Address`] and [`Listener`]: TCP on all addresses of a host, Unix sockets with permissions,
//!   and sockets that systemd opened;
//! - [`TlsConfig`]: TLS, with a certificate that can be replaced while the server runs;
//! - [`Listener::proxy_protocol`]: the PROXY protocol, in which a proxy for TCP names its client;
//! - [`Forwarding`]: the client, scheme and host of a request that has passed HTTP proxies, from
//!   `X-Forwarded-For` or `Forwarded`;
//! - [`notify`]: readiness, reloads and the watchdog of systemd.
//!
//! ```
//! use session3_listen::{Address, Listener, Peer};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::TcpStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let address: Address = "127.0.0.1:0".parse()?;
//! let listeners = Listener::bind(&address).await?;
//! let port = listeners[0].local().to_string();
//! assert_eq!(listeners[0].to_string(), format!("http://{port}/"));
//!
//! for listener in listeners {
//!     tokio::spawn(async move {
//!         loop {
//!             // A server waits a moment if this fails, and tries again.
//!             let Ok(accepted) = listener.accept().await else { continue };
//!             // A slow client delays no other one.
//!             tokio::spawn(async move {
//!                 let mut connection = accepted.handshake().await?;
//!                 assert!(matches!(connection.peer, Peer::Ip(_)));
//!                 connection.stream.set_nodelay(true)?;
//!                 // A server gives the stream to hyper.
//!                 connection.stream.write_all(b"hello").await?;
//!                 connection.stream.shutdown().await?;
//!                 Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//!             });
//!         }
//!     });
//! }
//!
//! let mut client = TcpStream::connect(port).await?;
//! let mut received = String::new();
//! client.read_to_string(&mut received).await?;
//! assert_eq!(received, "hello");
//! # Ok(())
//! # }
//! ```
//!
//! # Order of a connection
//!
//! [`Listener::accept`] takes the connection from the operating system and does not wait for
//! any bytes of the client. [`Accepted::handshake`] reads the header of the PROXY protocol and
//! negotiates TLS, in this order, within one time limit. The peer of the [`Connection`] is the
//! client of its requests, unless [`Forwarding`] trusts the peer as a proxy.
//!
//! # Limits
//!
//! - **Abstract Unix sockets are not supported**, since they have no permissions.
//! - **At no moment can more users connect to a Unix socket than its mode allows.** The socket
//!   gets its mode before it listens, and on Linux before its file exists. The umask of the
//!   process is neither used nor changed. The directory is locked (`flock`) while the socket is
//!   created, so that one of two servers that start at the same time fails.
//! - **A listener with TLS has one certificate** for all names that clients ask for, and requests
//!   no certificate from clients.
//! - **The TLVs of the PROXY protocol are skipped.** If a proxy decrypts TLS and forwards TCP,
//!   the server takes the scheme to be `http`.

#![forbid(unsafe_code)]

mod address;
mod bind_error;
mod certificate;
mod ends;
mod forwarded;
mod handshake;
mod host;
mod listener;
pub mod notify;
mod passed;
mod plain_http;
mod proxy_header;
mod socket_file;
mod stream;
mod tcp;
mod tls;
mod trusted;

pub use address::{Address, AddressError};
pub use bind_error::BindError;
pub use certificate::TlsError;
pub use ends::{LocalAddress, Peer};
pub use forwarded::{Client, ForwardedHeader, Forwarding};
pub use handshake::{Accepted, Connection, HandshakeError};
pub use host::is_host;
pub use listener::Listener;
pub use proxy_header::ProxyHeaderError;
pub use stream::Stream;
pub use tls::TlsConfig;
pub use trusted::{TrustedProxies, TrustedProxiesError};
