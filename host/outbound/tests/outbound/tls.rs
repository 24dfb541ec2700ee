//! Encrypted connections, with certificates that the tests make.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use http::Version;
use rcgen::{
    BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd,
};
use session3_outbound::{OpenError, Options, Outbound, OutboundError, Rules};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::assert_error;
use crate::http_server::{HttpServer, text_answer};
use crate::names::Names;
use crate::raw_server::RawServer;
use crate::requests::{get, options, outbound, read, text};

/// An authority whose certificate is in a file.
pub struct Authority {
    directory: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self {
            directory,
            issuer: Issuer::new(params, key),
        }
    }

    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Returns what begins TLS for a server with these names, which speaks these protocols.
    pub fn acceptor(&self, names: &[&str], protocols: &[&[u8]]) -> TlsAcceptor {
        self.acceptor_with(CertificateParams::new(strings(names)).unwrap(), protocols)
    }

    fn expired(&self, names: &[&str]) -> TlsAcceptor {
        let mut params = CertificateParams::new(strings(names)).unwrap();
        params.not_before = date_time_ymd(2001, 1, 1);
        params.not_after = date_time_ymd(2002, 1, 1);
        self.acceptor_with(params, &[])
    }

    fn acceptor_with(&self, params: CertificateParams, protocols: &[&[u8]]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        acceptor(&certificate, &key, protocols)
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn acceptor(certificate: &Certificate, key: &KeyPair, protocols: &[&[u8]]) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config).into()
}

/// Returns what may call `a.example` and 127.0.0.1 at a port, and trusts an authority.
pub fn trusting(authority: &Authority, port: u16, options: Options) -> Outbound {
    let names = Names::default().answer("a.example", &["127.0.0.1"]);
    let rules = [format!("a.example:{port}"), format!("127.0.0.1:{port}")];
    let options = options.resolver(names).ca_file(authority.file());
    outbound(&[&rules[0], &rules[1]], options)
}

async fn result_with(
    tls: TlsAcceptor,
    authority: &Authority,
    host: &str,
) -> Result<String, OutboundError> {
    let server = HttpServer::start(Some(tls), |_| text_answer("hello")).await;
    let outbound = trusting(authority, server.port(), options());
    text(&outbound, &format!("https://{host}:{}/", server.port())).await
}

#[tokio::test]
async fn a_certificate_for_the_host_is_accepted() {
    let authority = Authority::new();
    let tls = authority.acceptor(&["a.example", "127.0.0.1"], &[b"http/1.1"]);
    for host in ["a.example", "A.EXAMPLE.", "127.0.0.1"] {
        let result = result_with(tls.clone(), &authority, host).await;
        assert_eq!(result.unwrap(), "hello", "{host}");
    }
}

#[tokio::test]
async fn a_server_without_alpn_gets_http_1() {
    let authority = Authority::new();
    let tls = authority.acceptor(&["a.example"], &[]);
    let server = HttpServer::start(Some(tls), |_| text_answer("hello")).await;
    let outbound = trusting(&authority, server.port(), options());
    let url = format!("https://a.example:{}/", server.port());
    let response = get(&outbound, &url).await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
    assert_eq!(read(response).await.unwrap(), "hello");
}

#[tokio::test]
async fn a_certificate_that_is_not_valid_is_refused() {
    let (authority, other) = (Authority::new(), Authority::new());
    let self_signed = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let cases = [
        ("another authority", other.acceptor(&["a.example"], &[])),
        (
            "no authority",
            acceptor(&self_signed.cert, &self_signed.signing_key, &[]),
        ),
        ("expired", authority.expired(&["a.example"])),
        ("another name", authority.acceptor(&["b.example"], &[])),
        ("a name above", authority.acceptor(&["example"], &[])),
        ("an address", authority.acceptor(&["127.0.0.1"], &[])),
    ];
    for (case, tls) in cases {
        let error = result_with(tls, &authority, "a.example").await.unwrap_err();
        assert!(
            matches!(error, OutboundError::TlsCertificate(..)),
            "{case}: {error:?}"
        );
    }
    let tls = authority.acceptor(&["a.example"], &[]);
    let error = result_with(tls, &authority, "127.0.0.1").await.unwrap_err();
    assert!(
        matches!(error, OutboundError::TlsCertificate(..)),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_file_replaces_the_authorities_of_the_system() {
    let authority = Authority::new();
    let tls = authority.acceptor(&["a.example"], &[]);
    let server = HttpServer::start(Some(tls), |_| text_answer("hello")).await;
    let names = Names::default().answer("a.example", &["127.0.0.1"]);
    let port = server.port();
    let rules = [format!("a.example:{port}"), format!("127.0.0.1:{port}")];
    // The system does not know the authority of this test.
    let outbound = outbound(&[&rules[0], &rules[1]], options().resolver(names));
    let result = text(&outbound, &format!("https://a.example:{port}/")).await;
    assert_error!(result, OutboundError::TlsCertificate(..));
}

#[tokio::test]
async fn a_server_without_tls_is_an_error() {
    let authority = Authority::new();
    let server = RawServer::start(|mut stream| async move {
        let response = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(response).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        Ok(())
    })
    .await;
    let outbound = trusting(&authority, server.port(), options());
    let url = format!("https://a.example:{}/", server.port());
    assert_error!(get(&outbound, &url).await, OutboundError::TlsProtocol(..));
    let closing = RawServer::start(|_| async { Ok(()) }).await;
    let outbound = trusting(&authority, closing.port(), options());
    let url = format!("https://a.example:{}/", closing.port());
    assert_error!(
        get(&outbound, &url).await,
        OutboundError::ConnectionClosed(..)
    );
}

#[tokio::test]
async fn a_server_with_no_protocol_in_common_is_an_error() {
    let authority = Authority::new();
    let tls = authority.acceptor(&["a.example"], &[b"spdy/3"]);
    let result = result_with(tls, &authority, "a.example").await;
    assert_error!(result, OutboundError::TlsProtocol(..));
}

#[test]
fn a_file_without_certificates_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let open = || Outbound::new(Rules::default(), Options::default().ca_file(path.clone()));
    let check = |expected: &str| {
        let error = open().err().unwrap();
        assert!(matches!(error, OpenError::CaFile(..)), "{error:?}");
        let message = error.to_string();
        assert!(
            message.contains("ca.pem") && message.contains(expected),
            "{message}"
        );
        assert!(!message.contains('\n'), "{message}");
    };
    check("cannot be used");
    fs::write(&path, "hello").unwrap();
    check("it has no certificate");
    fs::write(
        &path,
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n",
    )
    .unwrap();
    check("cannot be used");
}
