//! The client of a request: its address, and the scheme and host of the URL that it uses.

use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Instant;

use hyper::Request;
use hyper::http::uri::{Authority, Scheme};
use session3_listen::{Connection, Peer};

use super::ServeOptions;
use super::authority;
use super::observed::REQUEST_ID;
use crate::log_limit::{Decision, LogLimit};

/// The headers in which proxies name their clients most often.
const PROXY_HEADERS: [&str; 2] = ["x-forwarded-for", "forwarded"];

/// Limits the lines about peers that send such a header and are not trusted.
static UNTRUSTED_PEERS: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(5));

/// Marks a request whose client uses TLS.
#[derive(Clone, Copy)]
pub struct IsSecure;

/// What is known of the client's end of a connection.
#[derive(Clone)]
pub struct ClientEnd {
    peer: Peer,
    is_tls: bool,
    /// The host for requests that name none.
    local: Option<Authority>,
}

impl ClientEnd {
    /// Notes the ends of a connection.
    pub fn of(connection: &Connection) -> Self {
        Self {
            peer: connection.peer,
            is_tls: connection.stream.is_tls(),
            local: connection.local.authority().parse().ok(),
        }
    }

    /// Completes a request by what is known of its client: the headers `X-Forwarded-For` and
    /// `X-Forwarded-Proto` are the server's own, and the host is that of the client's URL.
    /// Returns the client's address, if it is known.
    pub fn describe<B>(&self, request: &mut Request<B>, options: &ServeOptions) -> Option<IpAddr> {
        if let Some(local) = &self.local {
            authority::complete(request, local);
        }
        let is_tls = self.is_tls || options.is_secure;
        let forwarding = &options.forwarding;
        let host = match forwarding.trusts(&self.peer) {
            // A request that names no host, or several, is refused as it is.
            true => authority::authority_of(request).filter(|_| authority::names_its_host(request)),
            // Only a trusted proxy can name another host.
            false => {
                request.headers_mut().remove(REQUEST_ID);
                self.warn_of_untrusted(request);
                None
            }
        };
        let client = forwarding.identify(&self.peer, is_tls, host.as_ref(), request.headers_mut());
        if let (Some(host), Some(wanted)) = (host, client.host)
            && host != wanted
        {
            authority::replace(request, &wanted);
        }
        if client.scheme == Scheme::HTTPS {
            request.extensions_mut().insert(IsSecure);
        }
        client.address
    }

    /// Logs that a peer sends what only a trusted proxy may say. An operator may have forgotten
    /// to trust it; if not, it is a client that tries something.
    fn warn_of_untrusted<B>(&self, request: &Request<B>) {
        let headers = request.headers();
        let header = PROXY_HEADERS
            .iter()
            .find(|name| headers.contains_key(**name));
        let Some((header, ip)) = header.zip(self.peer.ip()) else {
            return;
        };
        if UNTRUSTED_PEERS.decide(Some(ip.to_string()), Instant::now()) != Decision::LeaveOut {
            tracing::warn!(
                "{ip} sends the header {header}, which is ignored: if it is a proxy of this site, \
                 trust it with --trust-proxy"
            );
        }
    }
}
