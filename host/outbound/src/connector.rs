//! Connects the HTTP client to an address that the rules allow.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tower_service::Service;

use crate::dial::dial;
use crate::error::OutboundError;
use crate::failure::{self, ConnectFailure};
use crate::host::Host;
use crate::options::{OpenError, Options};
use crate::resolve::Resolve;
use crate::rules::Rules;
use crate::stream::{Stream, Transport};
use crate::target::Target;
use crate::tls;

/// Connects the HTTP client to an address that the rules allow. It checks the addresses that
/// the resolver gives and connects to one of them, without resolving the name again.
#[derive(Clone)]
pub struct Connector(Arc<Inner>);

struct Inner {
    rules: Arc<Rules>,
    resolver: Arc<dyn Resolve>,
    dns_timeout: Duration,
    connect_timeout: Duration,
    write_timeout: Duration,
    tls: TlsConnector,
    /// A permit for each connection that may be kept.
    kept: Arc<Semaphore>,
}

impl Connector {
    pub fn new(rules: Arc<Rules>, options: &Options) -> Result<Self, OpenError> {
        let tls = tls::connector(options.ca_file.as_deref(), &rules)?;
        Ok(Self(Arc::new(Inner {
            rules,
            resolver: options.resolver.clone(),
            dns_timeout: options.dns_timeout,
            connect_timeout: options.timeouts.connect,
            write_timeout: options.timeouts.between_bytes,
            tls,
            kept: Arc::new(Semaphore::new(
                options.max_kept_connections.min(Semaphore::MAX_PERMITS),
            )),
        })))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectFailure;
    type Future = Pin<Box<dyn Future<Output = Result<TokioIo<Stream>, ConnectFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let inner = self.0.clone();
        Box::pin(async move { Ok(TokioIo::new(inner.connect(&uri).await?)) })
    }
}

impl Inner {
    /// Connects within the time limit. That of the request may be shorter. This one also ends
    /// an attempt that goes on for later requests.
    async fn connect(&self, uri: &Uri) -> Result<Stream, OutboundError> {
        let target = Target::from_uri(uri)?;
        let is_https = uri.scheme() == Some(&Scheme::HTTPS);
        let connecting = self.connect_to(&target, is_https);
        match timeout(self.connect_timeout, connecting).await {
            Ok(result) => result,
            Err(_) => Err(OutboundError::ConnectTimeout(target)),
        }
    }

    async fn connect_to(&self, target: &Target, is_https: bool) -> Result<Stream, OutboundError> {
        let addresses = self.addresses(target).await?;
        let stream = dial(&addresses, target.port()).await;
        let stream = stream.map_err(|error| failure::of_connect(target, error))?;
        let nodelay = stream.set_nodelay(true);
        nodelay.map_err(|error| failure::of_connect(target, error))?;
        let permit = self.kept.clone().try_acquire_owned().ok();
        let (transport, is_http2): (Box<dyn Transport>, _) = if is_https {
            // Requests that wait for a connection of HTTP/2 expect to share it.
            self.encrypt(target, stream, permit.is_some()).await?
        } else {
            (Box::new(stream), false)
        };
        Ok(Stream {
            transport,
            is_http2,
            permit,
            write_timeout: self.write_timeout,
            timer: None,
        })
    }

    /// Returns the addresses of a target that the rules allow. If they allow none, the error is
    /// about the first one.
    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, OutboundError> {
        let mut refusal = None;
        let mut allowed = Vec::new();
        for address in self.resolve(target).await? {
            let address = address.to_canonical();
            match self.rules.check_address(target, address) {
                Ok(()) => allowed.push(address),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match refusal {
            Some(error) if allowed.is_empty() => Err(error),
            _ => Ok(allowed),
        }
    }

    async fn resolve(&self, target: &Target) -> Result<Vec<IpAddr>, OutboundError> {
        let name = match target.host() {
            Host::Address(address) => return Ok(vec![*address]),
            Host::Name(name) => name,
        };
        match timeout(self.dns_timeout, self.resolver.resolve(name)).await {
            Ok(Ok(addresses)) if addresses.is_empty() => {
                let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                Err(OutboundError::Dns(target.clone(), error))
            }
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(OutboundError::Dns(target.clone(), error)),
            Err(_) => Err(OutboundError::DnsTimeout(target.clone())),
        }
    }

    /// Begins TLS. Returns whether the server chose HTTP/2.
    async fn encrypt(
        &self,
        target: &Target,
        stream: TcpStream,
        with_http2: bool,
    ) -> Result<(Box<dyn Transport>, bool), OutboundError> {
        let name = match target.host() {
            Host::Address(address) => ServerName::from(*address),
            Host::Name(name) => ServerName::try_from(name.clone()).map_err(|_| {
                OutboundError::InvalidRequest("no certificate can have the host of its URL")
            })?,
        };
        let tls = self.tls.with_alpn(tls::protocols(with_http2));
        let stream = tls.connect(name, stream).await;
        let stream = stream.map_err(|error| failure::of_tls(target, error))?;
        let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP_2);
        Ok((Box::new(stream), is_http2))
    }
}
