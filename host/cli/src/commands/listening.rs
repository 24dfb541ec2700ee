//! What a server listens on, and which proxies it believes.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use clap::{Args, ValueEnum};
use session3::listen::{Address, ForwardedHeader, Forwarding, Listener, TlsConfig, TrustedProxies};
use session3::metrics::note_tls_expiry;
use session3::text::escaped;

/// The options about the connections of a server.
#[derive(Args)]
pub struct Listening {
    /// Listen on this IP address, or on all addresses of this host name
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// Listen on this port; 0 chooses a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Listen on this address: HOST:PORT, unix:PATH, unix:PATH,mode=660, or systemd for the
    /// sockets of a .socket unit; may be given more than once
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["host", "port"])]
    listen: Vec<Address>,
    /// Use TLS, with the certificates in this PEM file; SIGHUP reads it again
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The PEM file with the key of --tls-cert
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Believe what these proxies say about their clients: IP addresses, networks, loopback,
    /// private, or unix for clients of a Unix socket, separated by commas
    #[arg(
        long,
        value_name = "NETWORKS",
        default_value = "",
        hide_default_value = true
    )]
    trust_proxy: TrustedProxies,
    /// The headers in which they say it; all others of their kind are removed
    #[arg(long, value_name = "KIND", value_enum, default_value = "x-forwarded")]
    forwarded_header: HeaderKind,
    /// Expect the header of the PROXY protocol from the proxies of --trust-proxy, and refuse
    /// other connections; the headers of requests are then believed only if the client that
    /// it names is one of these proxies, too
    #[arg(long, requires = "trust_proxy")]
    proxy_protocol: bool,
}

/// A kind of headers about clients.
#[derive(Clone, Copy, ValueEnum)]
enum HeaderKind {
    /// X-Forwarded-For and -Proto
    XForwarded,
    /// X-Forwarded-For, -Proto and -Host, if each proxy sets or removes X-Forwarded-Host
    XForwardedHost,
    /// Forwarded of RFC 7239
    Forwarded,
}

/// What a server accepts connections from.
pub struct Listeners {
    /// One for each socket.
    pub listeners: Vec<Listener>,
    /// Their TLS.
    pub tls: Option<TlsConfig>,
}

impl Listening {
    /// Returns whether the server has a certificate.
    pub fn has_tls(&self) -> bool {
        self.tls_cert.is_some()
    }

    /// Listens on all addresses. Call this first: a command whose port is taken should fail
    /// before it compiles a component.
    pub async fn listen(&self) -> Result<Listeners> {
        let tls = self.load_tls()?;
        if self.trust_proxy.contains_everyone() {
            tracing::warn!(
                "--trust-proxy names a network of all addresses, so that every client can claim \
                 any address: name those of the proxies"
            );
        }
        let mut listeners = Vec::new();
        for address in self.addresses() {
            for listener in Listener::bind(&address).await.map_err(without_sources)? {
                listeners.push(self.prepare(listener, tls.as_ref()));
            }
        }
        Ok(Listeners { listeners, tls })
    }

    /// Returns what the server believes of the clients of its proxies.
    pub fn forwarding(&self) -> Forwarding {
        let header = match self.forwarded_header {
            HeaderKind::XForwarded => ForwardedHeader::XForwarded,
            HeaderKind::XForwardedHost => ForwardedHeader::XForwardedHost,
            HeaderKind::Forwarded => ForwardedHeader::Forwarded,
        };
        Forwarding::new(self.trust_proxy.clone(), header)
    }

    fn addresses(&self) -> Vec<Address> {
        match self.listen.is_empty() {
            true => vec![Address::Tcp {
                host: self.host.clone(),
                port: self.port,
            }],
            false => self.listen.clone(),
        }
    }

    /// Loads the certificate and its key, if they are given.
    ///
    /// # Errors
    ///
    /// If they cannot be read, or do not belong together.
    pub fn load_tls(&self) -> Result<Option<TlsConfig>> {
        let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        let tls = TlsConfig::load(certificate, key).map_err(without_sources)?;
        report(&tls);
        Ok(Some(tls))
    }

    fn prepare(&self, mut listener: Listener, tls: Option<&TlsConfig>) -> Listener {
        if let Some(tls) = tls {
            listener = listener.tls(tls.clone());
        }
        if self.proxy_protocol {
            listener = listener.proxy_protocol(self.trust_proxy.clone());
        }
        listener
    }
}

/// Converts an error whose message contains those of its sources. It says which options choose
/// another address.
fn without_sources(error: impl std::error::Error) -> anyhow::Error {
    let text = error.to_string();
    match text.strip_suffix("choose another address") {
        Some(text) => anyhow!("{text}choose another one with --listen, or with --host and --port"),
        None => anyhow!("{text}"),
    }
}

/// Reads the certificate again. If that fails, the server continues with the previous one. Returns
/// whether it succeeded.
pub async fn reload(tls: &TlsConfig) -> bool {
    match tls.reload().await {
        Ok(()) => {
            report(tls);
            let file = escaped(&tls.certificate_file().to_string_lossy());
            tracing::info!("the certificate in {file} was loaded anew");
            true
        }
        Err(error) => {
            let error = escaped(&error.to_string());
            tracing::error!(
                "the certificate was not loaded anew, the server continues with the previous \
                 one: {error}"
            );
            false
        }
    }
}

/// Logs what an operator should know of the certificate, and notes when it expires.
pub fn report(tls: &TlsConfig) {
    for warning in tls.warnings() {
        tracing::warn!("{}", escaped(&warning));
    }
    if let Some(expires) = tls.expires() {
        note_tls_expiry(expires);
    }
}
