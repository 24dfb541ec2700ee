//! Encrypted connections.

use std::path::Path;

use mysql_async::SslOpts;
use rustls::RootCertStore;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::OpenError;
use crate::url::{Target, TlsMode};

/// Returns how connections to a target are encrypted, `None` if they are not.
pub fn ssl_options(target: &Target) -> Result<Option<SslOpts>, OpenError> {
    let options = match target.tls {
        TlsMode::Off => return Ok(None),
        // Encryption without asking who the server is, as in the programs of MySQL.
        TlsMode::Prefer | TlsMode::Require => {
            SslOpts::default().with_danger_accept_invalid_certs(true)
        }
        TlsMode::Verify => {
            let roots = authorities(target.tls_ca.as_deref())?;
            SslOpts::default()
                .with_disable_built_in_roots(true)
                .with_root_certs(roots.into_iter().map(Into::into).collect())
        }
    };
    choose_provider();
    Ok(Some(options))
}

/// Chooses the provider of cryptography of this process, unless the program did. mysql_async
/// takes the process's, and panics if several are built in and none is chosen.
fn choose_provider() {
    if CryptoProvider::get_default().is_none() {
        // If this fails, another thread has just chosen one.
        let _ = ring::default_provider().install_default();
    }
}

/// Returns the certificates of the authorities of a file, or else those of the system. All of
/// them can be parsed.
fn authorities(path: Option<&Path>) -> Result<Vec<Vec<u8>>, OpenError> {
    let certificates = match path {
        Some(path) => read_certificates(path)?,
        None => system_certificates(),
    };
    if certificates.is_empty() {
        let why = "the system has no certificates of authorities; name a file with `tls-ca`";
        return Err(OpenError::Tls(why.into()));
    }
    let bytes = certificates.iter().map(|certificate| certificate.to_vec());
    Ok(bytes.collect())
}

fn system_certificates() -> Vec<CertificateDer<'static>> {
    let mut certificates = rustls_native_certs::load_native_certs().certs;
    certificates.retain(|certificate| check(certificate).is_ok());
    certificates
}

fn check(certificate: &CertificateDer<'static>) -> Result<(), rustls::Error> {
    RootCertStore::empty().add(certificate.clone())
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, OpenError> {
    let bytes = std::fs::read(path).map_err(|error| OpenError::Authority(path.into(), error))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|error| authority(path, error.to_string()))?;
    if certificates.is_empty() {
        return Err(authority(path, "it has no certificate"));
    }
    for certificate in &certificates {
        check(certificate).map_err(|error| authority(path, error))?;
    }
    Ok(certificates)
}

fn authority(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> OpenError {
    OpenError::Authority(path.into(), std::io::Error::other(error))
}
