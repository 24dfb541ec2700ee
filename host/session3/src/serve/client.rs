//! The client of a request: its address, and the scheme and host of the URL that it uses.

use hyper::Request;
use hyper::http::uri::{Authority, Scheme};
use session3_listen::{Connection, Peer};

use super::ServeOptions;
use super::authority;

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
    pub fn describe<B>(&self, request: &mut Request<B>, options: &ServeOptions) {
        if let Some(local) = &self.local {
            authority::complete(request, local);
        }
        // A request that names no host, or several, is refused as it is.
        let host = authority::authority_of(request).filter(|_| authority::names_its_host(request));
        let is_tls = self.is_tls || options.is_secure;
        let forwarding = &options.forwarding;
        let client = forwarding.identify(&self.peer, is_tls, host.as_ref(), request.headers_mut());
        if let (Some(host), Some(wanted)) = (host, client.host)
            && host != wanted
        {
            authority::replace(request, &wanted);
        }
        if client.scheme == Scheme::HTTPS {
            request.extensions_mut().insert(IsSecure);
        }
    }
}
