//! A certificate and its key, from files.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use thiserror::Error;
use tokio_rustls::rustls;
use tokio_rustls::rustls::InconsistentKeys;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_cert::der::Decode;
use x509_cert::time::Validity;

/// Why a certificate cannot be used. No text contains a part of the key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// This file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// This file is not in PEM.
    #[error("{} is not in PEM: {}", path.display(), pem_fault(source))]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// This file is in DER, which is PEM without its text.
    #[error(
        "{} is in DER: convert it to PEM, a certificate with openssl x509 -inform der, and a key \
         with openssl pkey -inform der",
        .0.display()
    )]
    Der(PathBuf),
    /// This file, which should contain a certificate, contains a key.
    #[error(
        "{} contains a private key and no certificate: the two files may be exchanged",
        .0.display()
    )]
    KeyForCertificate(PathBuf),
    /// This file, which should contain a key, contains a certificate.
    #[error(
        "{} contains a certificate and no private key: the two files may be exchanged",
        .0.display()
    )]
    CertificateForKey(PathBuf),
    /// This file contains no certificate.
    #[error("{} contains no certificate in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// This file contains no key.
    #[error("{} contains no private key in PEM", .0.display())]
    NoKey(PathBuf),
    /// The key in this file is encrypted.
    #[error("the key in {} is encrypted: decrypt it, for example with openssl pkey", .0.display())]
    EncryptedKey(PathBuf),
    /// The key in this file is damaged, or of a kind that is not supported.
    #[error("the key in {} cannot be used: {source}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The certificate in this file is damaged.
    #[error("the certificate in {} cannot be used: {}", path.display(), certificate_fault(source))]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The key belongs to another certificate.
    #[error("the key in {} is not that of the first certificate in {}", key.display(),
        certificate.display())]
    Mismatch {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
    },
    /// TLS cannot be set up at all, for example since there are no random numbers.
    #[error("cannot set up TLS: {0}")]
    Unavailable(#[source] rustls::Error),
}

/// A certificate with its key.
pub(crate) struct Certificate {
    certified_key: Arc<CertifiedKey>,
    /// When the certificate is valid, if that can be read.
    validity: Option<Validity>,
    certificate_file: PathBuf,
    key_file: PathBuf,
    is_key_public: bool,
}

impl Certificate {
    pub(crate) fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_chain(certificate)?;
        let (private, is_key_public) = read_key(key)?;
        let validity = validity(&chain[0]);
        let private = ring::sign::any_supported_type(&private).map_err(|source| TlsError::Key {
            path: key.to_owned(),
            source,
        })?;
        let certified_key = CertifiedKey::new(chain, private);
        match certified_key.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {}
            Err(rustls::Error::InconsistentKeys(_)) => {
                return Err(TlsError::Mismatch {
                    certificate: certificate.to_owned(),
                    key: key.to_owned(),
                });
            }
            Err(source) => {
                return Err(TlsError::Certificate {
                    path: certificate.to_owned(),
                    source,
                });
            }
        }
        Ok(Self {
            certified_key: Arc::new(certified_key),
            validity,
            certificate_file: certificate.to_owned(),
            key_file: key.to_owned(),
            is_key_public,
        })
    }

    pub(crate) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified_key.clone()
    }

    pub(crate) fn expires(&self) -> Option<SystemTime> {
        let validity = self.validity.as_ref()?;
        Some(validity.not_after.to_system_time())
    }

    pub(crate) fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut warnings = Vec::new();
        let certificate = self.certificate_file.display();
        match &self.validity {
            None => warnings.push(format!(
                "the dates of the certificate in {certificate} cannot be read"
            )),
            Some(validity) => {
                let Validity {
                    not_before,
                    not_after,
                } = validity;
                if not_after.to_system_time() < now {
                    warnings.push(format!(
                        "the certificate in {certificate} expired at {not_after}"
                    ));
                }
                if not_before.to_system_time() > now {
                    warnings.push(format!(
                        "the certificate in {certificate} is not valid before {not_before}"
                    ));
                }
            }
        }
        if self.is_key_public {
            let key = self.key_file.display();
            warnings.push(format!(
                "every user can access the key in {key}: run chmod o= {key}"
            ));
        }
        warnings
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let text = fs::read(path).map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
    match chain {
        Ok(chain) if chain.is_empty() => Err(match PrivateKeyDer::from_pem_slice(&text) {
            Ok(_) => TlsError::KeyForCertificate(path.to_owned()),
            Err(_) if is_der(&text) => TlsError::Der(path.to_owned()),
            Err(_) => TlsError::NoCertificate(path.to_owned()),
        }),
        Ok(chain) => Ok(chain),
        Err(source) => Err(TlsError::Pem {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns a key, and whether all users can access it.
fn read_key(path: &Path) -> Result<(PrivateKeyDer<'static>, bool), TlsError> {
    let read = || {
        let mut file = File::open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        Ok((text, file.metadata()?.permissions().mode() & 0o007 != 0))
    };
    let (text, is_public) = read().map_err(|source| TlsError::Read {
        path: path.to_owned(),
        source,
    })?;
    if is_encrypted(&text) {
        return Err(TlsError::EncryptedKey(path.to_owned()));
    }
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok((key, is_public)),
        Err(pem::Error::NoItemsFound) => Err(match CertificateDer::from_pem_slice(&text) {
            Ok(_) => TlsError::CertificateForKey(path.to_owned()),
            Err(_) if is_der(&text) => TlsError::Der(path.to_owned()),
            Err(_) => TlsError::NoKey(path.to_owned()),
        }),
        Err(source) => Err(TlsError::Pem {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Returns whether a file begins as certificates and keys in DER do: with a SEQUENCE whose length
/// has two bytes or one (X.690 §8.1).
fn is_der(bytes: &[u8]) -> bool {
    matches!(bytes, [0x30, 0x81 | 0x82 | 0x30..=0x7f, ..])
}

/// Says what is wrong with a file in PEM. The library names bytes.
fn pem_fault(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "the line -----END …----- is missing",
        pem::Error::IllegalSectionStart { .. } => "a line -----BEGIN …----- is damaged",
        pem::Error::Base64Decode(_) => "a section is not in Base64",
        _ => "it is damaged",
    }
}

/// Says what is wrong with a certificate.
fn certificate_fault(error: &rustls::Error) -> String {
    let text = error.to_string();
    match text.contains("UnsupportedCertVersion") {
        true => "it has version 1 of X.509: make one of version 3, with the name of the site as a \
                 subjectAltName"
            .into(),
        false => text,
    }
}

/// Returns whether a key is encrypted: in PKCS #8 (RFC 5958 §3), or as OpenSSL did before it
/// (RFC 1421 §4.6.1.1).
fn is_encrypted(text: &[u8]) -> bool {
    let is_line = |line: &[u8]| {
        line.starts_with(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
            || line.starts_with(b"Proc-Type: 4,ENCRYPTED")
    };
    text.split(|byte| *byte == b'\n').any(is_line)
}

fn validity(certificate: &CertificateDer<'_>) -> Option<Validity> {
    let parsed = x509_cert::Certificate::from_der(certificate).ok()?;
    Some(parsed.tbs_certificate.validity)
}
