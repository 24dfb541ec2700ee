//! Requests of a sandboxed application to other HTTP servers, as far as rules allow them.
//!
//! ```
//! use http::Request;
//! use http_body_util::{BodyExt as _, Empty};
//! use session3_outbound::{Options, Outbound, OutboundError, Rule, Rules, Timeouts};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let port = listener.local_addr()?.port();
//! # tokio::spawn(async move {
//! #     use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
//! #     let (mut stream, _) = listener.accept().await?;
//! #     stream.read(&mut [0; 1024]).await?;
//! #     stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").await
//! # });
//! // The operator's options, such as `--allow-outbound localhost:8080`.
//! let rules: Rules = [format!("localhost:{port}")]
//!     .iter()
//!     .map(|rule| rule.parse::<Rule>())
//!     .collect::<Result<_, _>>()?;
//! let outbound = Outbound::new(rules, Options::default())?;
//!
//! let request = Request::get(format!("http://localhost:{port}/")).body(Empty::new())?;
//! let response = outbound.send(request, Timeouts::default()).await?;
//! assert_eq!(response.status(), 200);
//! let body = response.into_body().collect().await?.to_bytes();
//! assert_eq!(body, "hello");
//!
//! let request = Request::get("https://api.example.com/").body(Empty::new())?;
//! let error = outbound.send(request, Timeouts::default()).await.unwrap_err();
//! assert!(matches!(error, OutboundError::Denied(_)));
//! assert_eq!(
//!     error.to_string(),
//!     "the application may not call api.example.com:443: allow it with --allow-outbound \
//!      api.example.com"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! # What is allowed
//!
//! A [`Rule`] allows a name, the names below one, an address or a network, at one port or at
//! the ports 80 and 443. Without a rule, nothing is allowed. Rules are checked for each request,
//! also if there is a connection already.
//!
//! An allowed name may have public addresses only. An address that is not public needs a rule of
//! its own: loopback, link-local and private addresses, those between a provider's NAT and its
//! customers, the metadata services of clouds, multicast, documentation, benchmarks, reserved
//! addresses, and the IPv6 addresses that stand for IPv4 addresses. [`AddressClass`] lists them.
//!
//! - A rule opens an address that is not public only if all of the rule's network is of that
//!   kind: `10.0.0.0/8` opens `10.1.2.3`, and `0.0.0.0/0` does not. The metadata service of a
//!   cloud needs a rule for exactly its address, even beside `169.254.0.0/16`.
//! - The rule `localhost` allows the name `localhost` to be a loopback address.
//! - The connection is made to an address that was checked. The name is not resolved again in
//!   between, so that a name server cannot answer differently the second time.
//! - A name with a dot is absolute: the search list of the system's resolver is not appended to it
//!   ([`SystemResolver`]).
//! - If a name has several addresses, those that are not allowed are left out.
//! - An address in a URL needs a rule for addresses. IPv4 addresses are four decimal numbers;
//!   `127.1`, `0x7f.1` and `2130706433` are refused, and `::ffff:127.0.0.1` is `127.0.0.1`.
//!
//! # Limits
//!
//! - **Addresses that are public but lead inside are not recognized**: the public address of the
//!   machine itself, and those of a NAT64 with a prefix of its own.
//! - **HTTP/1.1 and HTTP/2 only**, and HTTP/2 only with TLS. No request is upgraded to another
//!   protocol, so that there are no WebSockets.
//! - **Redirects are not followed**, cookies are not kept, compressed bodies stay compressed,
//!   and no proxy of the environment is used. The application can do these things.
//! - **The total time and the size of a response are not limited.** A server may send one byte
//!   now and then for ever. What runs the application must limit its time.
//! - **A request with the method GET or HEAD whose body has no known length has no body with
//!   HTTP/1.1**, since applications give such requests an empty body of unknown length.
//! - **An IPv6 network that reaches IPv4 servers through NAT64** needs the rule
//!   `[64:ff9b::]/96`, which opens every IPv4 address that the NAT reaches.
//! - **A request that fails may have reached the server.** It is sent again only if a kept
//!   connection turned out to be closed before any of it was sent.
//! - **Certificates are not checked for revocation.**
//! - **The header `TE` is removed**, since it belongs to one connection. Some servers of gRPC
//!   insist on it.
//! - **A log line and an error name the host.** The source of an error may contain text of the
//!   server.
//!
//! # Metrics and log
//!
//! [`OUTBOUND_REQUESTS`] and [`OUTBOUND_SECONDS`] are recorded with the crate `metrics`. A
//! request that the rules do not allow logs a warning with the crate `tracing`: one for each
//! host and port, then at most one a minute, and at most 100 hosts a minute.

#![forbid(unsafe_code)]

mod address;
mod call;
mod client;
mod connector;
mod denials;
mod dial;
mod error;
mod failure;
mod figures;
mod headers;
mod host;
mod hosts_file;
mod options;
#[cfg(test)]
mod random;
mod request;
mod resolve;
mod response_body;
mod rule;
mod rules;
mod sent_body;
mod stream;
mod target;
mod tls;

pub use address::AddressClass;
pub use client::Outbound;
pub use error::{BoxError, OutboundError};
pub use figures::{OUTBOUND_REQUESTS, OUTBOUND_SECONDS};
pub use host::Host;
pub use options::{OpenError, Options, Timeouts};
pub use resolve::{Resolve, SystemResolver};
pub use response_body::ResponseBody;
pub use rule::{Rule, RuleError};
pub use rules::Rules;
pub use target::Target;
