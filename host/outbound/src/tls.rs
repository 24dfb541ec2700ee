//! The configuration of TLS.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::options::OpenError;
use crate::rules::Rules;

/// The protocol of ALPN that stands for HTTP/2.
pub const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Returns what makes connections with TLS, which trusts the authorities of a file, or those
/// of the system. If no rule allows any connection, none of them is read.
pub fn connector(ca_file: Option<&Path>, rules: &Rules) -> Result<TlsConnector, OpenError> {
    let roots = match ca_file {
        Some(path) => read_roots(path)?,
        None if rules.is_empty() => RootCertStore::empty(),
        None => system_roots(),
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| OpenError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// Returns the protocols of ALPN that a client offers.
pub fn protocols(with_http2: bool) -> Vec<Vec<u8>> {
    let protocols = if with_http2 {
        &[HTTP_2, HTTP_1][..]
    } else {
        &[HTTP_1]
    };
    protocols.iter().map(|protocol| protocol.to_vec()).collect()
}

fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        // The application may need plain HTTP only.
        tracing::warn!(
            "the system has no certificates of authorities, so that requests of the application \
             with https fail"
        );
    }
    roots
}

fn read_roots(path: &Path) -> Result<RootCertStore, OpenError> {
    let failed = |why: &dyn ToString| OpenError::CaFile(path.into(), why.to_string());
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| failed(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(&error))?;
        roots.add(certificate).map_err(|error| failed(&error))?;
    }
    if roots.is_empty() {
        return Err(failed(&"it has no certificate"));
    }
    Ok(roots)
}
