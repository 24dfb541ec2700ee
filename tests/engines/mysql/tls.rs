//! Encrypted connections.

use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use session3_store::SessionStore;
use session3_store_mysql::{MysqlStore, OpenError, Options};
use session3_test_support::{block_on, id, state};
use tempfile::TempDir;

use crate::server::{Server, give, open};

/// A certificate for `127.0.0.1` that only those trust who name its file.
struct Certificate(TempDir);

impl Certificate {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        give(directory.path());
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        let files = [("cert", certificate.pem()), ("key", key.serialize_pem())];
        for (name, text) in files {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            give(&path);
        }
        Self(directory)
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = &self.0.path().join(name);
        path.to_str().unwrap().into()
    }

    /// Starts a server with this certificate, and with these options.
    fn server(&self, options: &[&str]) -> Server {
        let (cert, key) = (self.path("cert"), self.path("key"));
        let own = [format!("--ssl-cert={cert}"), format!("--ssl-key={key}")];
        let own = own.iter().map(String::as_str);
        Server::start(&own.chain(options.iter().copied()).collect::<Vec<_>>())
    }
}

/// Returns why a store is not opened.
async fn refusal(url: &str) -> OpenError {
    let opened = MysqlStore::open(url, Options::default().create(true)).await;
    let error = opened.err().expect("the store is refused");
    assert!(!error.to_string().contains('\n'), "{error}");
    error
}

#[test]
fn a_server_proves_who_it_is_if_the_url_says_so() {
    block_on(async {
        let (own, other) = (Certificate::new(), Certificate::new());
        let server = own.server(&["--require-secure-transport=1"]);
        let url = |parameters: &str| format!("{}?{parameters}", server.url());
        let trusting =
            |certificate: &Certificate| url(&format!("tls-ca={}", certificate.path("cert")));
        for url in [url("tls=require"), server.url(), trusting(&own)] {
            let store = open(&url).await;
            let _ = store.create_session(&id(1), &state("a")).await;
            assert!(store.load_session(&id(1)).await.unwrap().is_some());
        }
        let error = refusal(&trusting(&other)).await;
        assert!(error.to_string().contains("certificate"), "{error}");
        assert!(matches!(error, OpenError::Unreachable(..)), "{error:?}");
        let elsewhere = trusting(&own).replace("127.0.0.1", "localhost");
        let error = refusal(&elsewhere).await;
        assert!(error.to_string().contains("certificate"), "{error}");
        // The server does not say why.
        let error = refusal(&url("tls=off")).await;
        assert!(matches!(error, OpenError::Refused(..)), "{error:?}");
    });
}

#[test]
fn a_server_without_tls_is_refused_unless_encryption_is_only_preferred() {
    block_on(async {
        let server = Server::start(&[]);
        open(&server.url()).await;
        let error = refusal(&format!("{}?tls=require", server.url())).await;
        assert!(error.to_string().contains("SSL"), "{error}");
        let absent = refusal(&format!("{}?tls-ca=/absent", server.url())).await;
        assert!(absent.to_string().contains("`tls-ca`"), "{absent}");
        assert!(std::error::Error::source(&absent).is_some());
    });
}
