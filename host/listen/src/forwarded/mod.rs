//! The client of a request, as the headers of trusted proxies name it.

mod element;
mod node;
mod removed;
mod x_forwarded;

use std::net::IpAddr;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, Scheme};

use crate::{Peer, TrustedProxies, is_host};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The largest number of entries of a list that are looked at, from its end. Each stands for a
/// proxy that a request has passed.
const MAX_ENTRIES: usize = 64;

/// The headers in which proxies name their clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For` and `X-Forwarded-Proto`, as most proxies send them.
    #[default]
    XForwarded,
    /// These two and `X-Forwarded-Host`. Choose it only if every proxy sets or removes
    /// `X-Forwarded-Host`: many pass on what the client wrote, and with it the client chooses the
    /// host of the links that an application sends to other people.
    XForwardedHost,
    /// `Forwarded` of RFC 7239.
    Forwarded,
}

/// How to find the client of a request that may have passed proxies.
///
/// # Which headers are believed
///
/// Those of the chosen [`ForwardedHeader`], in requests whose peer is a trusted proxy. No header
/// of another peer is believed.
///
/// Proxies set one family of headers and pass the other family on as the client sent it. A server
/// that believed both could not know which of them the proxy wrote. So the operator chooses one,
/// and the other one is ignored, even if the chosen one is absent. For the same reason, a trusted
/// proxy must set or remove every header of the chosen family: one that only sets
/// `X-Forwarded-For` lets its clients choose `X-Forwarded-Proto`.
///
/// A header of the PROXY protocol replaces the peer. So behind a proxy that uses it, the headers
/// count only if the client that this proxy names is a trusted proxy itself.
///
/// # Which address is the client's
///
/// Each proxy appends the address of its peer to the list. The client is the last address in the
/// list that is not a trusted proxy itself: what is before it may be the client's invention. If
/// all are trusted proxies, it is the first address.
///
/// - The list may be on several lines, which are one list in their order (RFC 9110 §5.3).
///   Empty entries are skipped.
/// - An address may have a port, and an IPv6 address may have brackets and a zone, which is left
///   out. An IPv4 address in the form of IPv6 becomes an IPv4 address.
/// - A malformed entry ends the list: the client is the address after it, or the peer if it is
///   the last one. Nothing before a malformed entry is looked at.
/// - At `unknown`, and at obfuscated identifiers such as `_hidden` (RFC 7239 §6), the client is
///   one without a known address. The proxy's own address would be wrong: an application could
///   take the client for a local one.
/// - Of a list, the last 64 entries are looked at, and the first of these is the client if all
///   are trusted proxies.
///
/// # Scheme and host
///
/// `proto` and `host` of `Forwarded` are those of the element that names the client (RFC 7239
/// §4). `X-Forwarded-Proto` is a list like `X-Forwarded-For`, of which the same place from
/// the end counts, or the first one if the list is shorter, since many proxies replace the list.
/// `X-Forwarded-Host` counts only with [`ForwardedHeader::XForwardedHost`], and only if it is a
/// single valid host. What is absent or malformed is that of the connection and of the request.
///
/// # What the application gets
///
/// One `X-Forwarded-For` with the client's address and one `X-Forwarded-Proto`, `http` or
/// `https`. `X-Forwarded-For` is absent if the address is not known, as that of a client of a
/// Unix socket. All other headers in which proxies name clients are removed, from the requests
/// of trusted proxies, too: `Forwarded`, every `X-Forwarded-…`, `X-Real-IP`, `CF-Connecting-IP`,
/// `True-Client-IP` and more. A proxy that does not know such a header passes it on, and the
/// application could not distinguish it from one that the proxy has set. Names with `_` in place
/// of `-` are removed as well, since both are one variable in CGI and WSGI.
///
/// ```
/// use http::HeaderMap;
/// use http::uri::Scheme;
/// use session3_listen::{ForwardedHeader, Forwarding, Peer};
///
/// let forwarding = Forwarding::new("10.0.0.0/8".parse()?, ForwardedHeader::XForwarded);
/// let proxy = Peer::from(std::net::SocketAddr::from(([10, 0, 0, 1], 4000)));
/// let mut headers = HeaderMap::new();
/// // The client claims to be 127.0.0.1. The proxy has appended the address that it sees.
/// headers.insert("x-forwarded-for", "127.0.0.1, 192.0.2.7".parse()?);
/// headers.insert("x-forwarded-proto", "https".parse()?);
/// headers.insert("x-real-ip", "127.0.0.1".parse()?);
///
/// let client = forwarding.identify(&proxy, false, None, &mut headers);
/// assert_eq!(client.address, Some([192, 0, 2, 7].into()));
/// assert_eq!(client.scheme, Scheme::HTTPS);
/// assert_eq!(headers["x-forwarded-for"], "192.0.2.7");
/// assert!(!headers.contains_key("x-real-ip"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    proxies: TrustedProxies,
    header: ForwardedHeader,
}

/// The client of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The client's address; `None` if the client uses a Unix socket, or a proxy hides it.
    pub address: Option<IpAddr>,
    /// The scheme of the URL that the client uses: `http` or `https`.
    pub scheme: Scheme,
    /// The host of the URL that the client uses, maybe with a port.
    pub host: Option<Authority>,
}

/// What a proxy states about its peer.
struct Hop {
    /// The peer's address; `None` if the proxy hides it.
    address: Option<IpAddr>,
    scheme: Option<Scheme>,
    host: Option<Authority>,
}

impl Forwarding {
    /// Believes these proxies, in this family of headers. By default, no proxy is believed.
    pub fn new(proxies: TrustedProxies, header: ForwardedHeader) -> Self {
        Self { proxies, header }
    }

    /// Returns whether the peer of a connection is one of the proxies.
    pub fn trusts(&self, peer: &Peer) -> bool {
        self.proxies.contains(peer)
    }

    /// Finds the client of a request, and replaces all headers about the client by one
    /// `X-Forwarded-For` and one `X-Forwarded-Proto`.
    ///
    /// `peer` and `is_tls` are those of the connection, and `host` is the one that the request
    /// names.
    pub fn identify(
        &self,
        peer: &Peer,
        is_tls: bool,
        host: Option<&Authority>,
        headers: &mut HeaderMap,
    ) -> Client {
        let mut client = Client {
            address: peer.ip(),
            scheme: if is_tls { Scheme::HTTPS } else { Scheme::HTTP },
            host: host.cloned(),
        };
        if self.trusts(peer) {
            self.believe(headers, &mut client);
        }
        removed::remove(headers);
        announce(&client, headers);
        client
    }

    /// Replaces the parts of the client that the headers of a trusted proxy name.
    fn believe(&self, headers: &HeaderMap, client: &mut Client) {
        let peer = Hop {
            address: client.address,
            scheme: None,
            host: None,
        };
        let hop = match self.header {
            ForwardedHeader::XForwarded => x_forwarded::client(headers, peer, &self.proxies),
            ForwardedHeader::XForwardedHost => Hop {
                host: x_forwarded::host(headers),
                ..x_forwarded::client(headers, peer, &self.proxies)
            },
            ForwardedHeader::Forwarded => client_of(element::hops(headers), peer, &self.proxies).1,
        };
        client.address = hop.address;
        client.scheme = hop.scheme.unwrap_or(client.scheme.clone());
        client.host = hop.host.or(client.host.take());
    }
}

/// Returns the last hop that is not a trusted proxy, or else the first one, or else the peer. The
/// hops begin with the last one, and `None` is a malformed one. The number is the place of the
/// hop from the end.
fn client_of(
    hops: impl Iterator<Item = Option<Hop>>,
    peer: Hop,
    proxies: &TrustedProxies,
) -> (usize, Hop) {
    let mut client = (0, peer);
    for (place, hop) in hops.enumerate() {
        let Some(hop) = hop else { break };
        let is_proxy = hop
            .address
            .is_some_and(|address| proxies.contains_ip(address));
        client = (place, hop);
        if !is_proxy {
            break;
        }
    }
    client
}

fn announce(client: &Client, headers: &mut HeaderMap) {
    let address = client.address.map(|address| address.to_string());
    if let Some(Ok(address)) = address.map(HeaderValue::try_from) {
        headers.insert(FORWARDED_FOR, address);
    }
    let scheme = match client.scheme == Scheme::HTTPS {
        true => "https",
        false => "http",
    };
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
}

/// Reads a scheme; `ws` and `wss` are what some proxies call those of WebSocket.
fn scheme(text: &str) -> Option<Scheme> {
    let is = |name: &str| text.eq_ignore_ascii_case(name);
    match () {
        () if is("https") || is("wss") => Some(Scheme::HTTPS),
        () if is("http") || is("ws") => Some(Scheme::HTTP),
        () => None,
    }
}

/// Reads a host, maybe with a port.
fn host(text: &str) -> Option<Authority> {
    Authority::try_from(text).ok().filter(is_host)
}
