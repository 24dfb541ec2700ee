//! The stream of bytes to a server: TCP or a socket of Unix, with or without TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::address::Host;
use crate::{ConnectError, OpenError};

pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Bytes for T {}

pub(crate) type ByteStream = Box<dyn Bytes>;

pub(crate) async fn connect_tcp(
    host: &Host,
    tls: Option<&TlsConnector>,
) -> Result<ByteStream, ConnectError> {
    let stream = TcpStream::connect((host.name.as_str(), host.port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = tls else {
        return Ok(Box::new(stream));
    };
    let name = ServerName::try_from(host.name.clone());
    let name = name.map_err(|error| ConnectError::Tls(error.to_string()))?;
    let stream = tls.connect(name, stream).await;
    let stream = stream.map_err(|error| ConnectError::Tls(error.to_string()))?;
    Ok(Box::new(stream))
}

pub(crate) async fn connect_unix(path: &Path) -> Result<ByteStream, ConnectError> {
    Ok(Box::new(UnixStream::connect(path).await?))
}

/// Returns what makes connections with TLS, which trusts the certificates of a file, or those
/// of the system.
pub(crate) fn tls(certificates: Option<&Path>) -> Result<TlsConnector, OpenError> {
    let mut roots = RootCertStore::empty();
    let name = certificates.map_or("system".into(), |path| path.display().to_string());
    let failed = |why: &dyn ToString| OpenError::Certificates(name.clone(), why.to_string());
    match certificates {
        Some(path) => {
            let found = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
            for certificate in found {
                let certificate = certificate.map_err(|error| failed(&error))?;
                roots.add(certificate).map_err(|error| failed(&error))?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs().certs;
            roots.add_parsable_certificates(found);
        }
    }
    if roots.is_empty() {
        return Err(failed(&"there is no certificate"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(&error))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
