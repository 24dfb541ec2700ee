//! TLS with a certificate that can be replaced while the server runs.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use parking_lot::RwLock;
use tokio::task::spawn_blocking;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};
use tokio_rustls::server::TlsStream;

use crate::certificate::Certificate;
use crate::{Stream, TlsError};

/// The protocols that the server speaks, in the order of its preference (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];
/// How much encrypted data a connection holds that the operating system has not taken, in bytes.
const MAX_UNSENT: usize = 32 << 10;

/// TLS 1.2 and 1.3 with one certificate, for HTTP/2 and HTTP/1.1.
///
/// Clones share the certificate, so that one of them can [reload](Self::reload) it while
/// listeners use others.
///
/// Clients can resume a session with a ticket. The server keeps no list of sessions: the tickets
/// are encrypted with a key that changes every six hours and is never stored. A request is never
/// read before the handshake is complete (0-RTT).
#[derive(Clone)]
pub struct TlsConfig {
    files: Arc<Files>,
    current: Arc<Current>,
    acceptor: TlsAcceptor,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
}

/// The certificate for new connections.
struct Current(RwLock<Certificate>);

impl TlsConfig {
    /// Reads a certificate with the certificates of its issuers, and its key, from files in PEM.
    /// Both may be in one file. The key may be of RSA, ECDSA or Ed25519, and is not encrypted.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, does not contain what it should, or the key is not that of the
    /// certificate. A certificate that has expired is not an error, but a
    /// [warning](Self::warnings).
    pub fn load(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Result<Self, TlsError> {
        let files = Files {
            certificate: certificate.into(),
            key: key.into(),
        };
        let loaded = Certificate::load(&files.certificate, &files.key)?;
        let current = Arc::new(Current(RwLock::new(loaded)));
        let config = server_config(current.clone()).map_err(TlsError::Unavailable)?;
        Ok(Self {
            files: Arc::new(files),
            current,
            acceptor: Arc::new(config).into(),
        })
    }

    /// Reads the files again, for new connections. Those that exist keep the certificate that
    /// they have. A slow file system blocks no thread of the runtime.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load). The previous certificate then remains in use.
    pub async fn reload(&self) -> Result<(), TlsError> {
        let files = self.files.clone();
        let loading = spawn_blocking(move || Certificate::load(&files.certificate, &files.key));
        let loaded = match loading.await {
            Ok(loaded) => loaded?,
            // Only a runtime that ends, or a panic, leaves the files unread.
            Err(error) => {
                return Err(TlsError::Read {
                    path: self.files.certificate.clone(),
                    source: error.into(),
                });
            }
        };
        *self.current.0.write() = loaded;
        Ok(())
    }

    /// Returns the file of the certificate.
    pub fn certificate_file(&self) -> &Path {
        &self.files.certificate
    }

    /// Returns what an operator should know of the files in use, one line for each: that the
    /// certificate has expired or is not valid yet, or that every user can access the key.
    pub fn warnings(&self) -> Vec<String> {
        self.current.0.read().warnings(SystemTime::now())
    }

    /// Returns when the certificate in use expires, or `None` if its dates cannot be read.
    pub fn expires(&self) -> Option<SystemTime> {
        self.current.0.read().expires()
    }

    pub(crate) async fn accept(&self, stream: Stream) -> io::Result<TlsStream<Stream>> {
        let limit = |session: &mut ServerConnection| session.set_buffer_limit(Some(MAX_UNSENT));
        self.acceptor.accept_with(stream, limit).await
    }
}

fn server_config(current: Arc<Current>) -> Result<ServerConfig, tokio_rustls::rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(current);
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
    config.ticketer = ring::Ticketer::new()?;
    Ok(config)
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().certified_key())
    }
}

// The key stays out.
impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}

impl fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsConfig")
            .field("certificate", &self.files.certificate)
            .field("key", &self.files.key)
            .finish_non_exhaustive()
    }
}
