//! TLS with certificates that the test makes, and sockets of Unix.

use std::fs;
use std::path::{Path, PathBuf};

use session3_store_redis::{OpenError, Options, RedisStore};
use session3_store_tests::{Given, conformance_suite};
use session3_test_support::block_on;
use tempfile::TempDir;

use crate::conformance::given;
use crate::servers::{Server, Shared, free_port, wait_until};

struct TlsServer {
    server: Server,
    port: u16,
    certificates: Certificates,
}

struct Certificates {
    directory: TempDir,
}

impl Certificates {
    fn new(name: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(directory.path().join("cert.pem"), made.cert.pem()).unwrap();
        let key = made.signing_key.serialize_pem();
        fs::write(directory.path().join("key.pem"), key).unwrap();
        Self { directory }
    }

    fn certificate(&self) -> PathBuf {
        self.directory.path().join("cert.pem")
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn start(name: &str) -> TlsServer {
    let certificates = Certificates::new(name);
    let port = free_port();
    let certificate = certificates.certificate();
    let key = certificates.directory.path().join("key.pem");
    let server = Server::start_with(&[
        "--save",
        "",
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        text(&certificate),
        "--tls-key-file",
        text(&key),
        "--tls-auth-clients",
        "no",
    ]);
    TlsServer {
        server,
        port,
        certificates,
    }
}

static SERVER: Shared<TlsServer> = Shared::new();

async fn with_tls() -> Given {
    let server = SERVER.get(|| start("localhost"));
    let certificate = server.certificates.certificate();
    let url = format!(
        "rediss://localhost:{}?tls-ca={}",
        server.port,
        text(&certificate)
    );
    let damaged = server.clone();
    let damage = move |key: &str| {
        damaged.server.command(&["HSET", key, "v", "nonsense"]);
    };
    given(&url, |options| options, damage).await.keep(server)
}

conformance_suite!(with_tls);

static UNIX: Shared<Server> = Shared::new();

async fn through_a_socket() -> Given {
    let server = UNIX.get(|| Server::start_with(&["--save", "", "--unixsocket", "socket"]));
    let socket = server.directory.path().join("socket");
    wait_until("the socket", || socket.exists());
    let url = format!("valkey+unix://{}", text(&socket));
    let damaged = server.clone();
    let damage = move |key: &str| {
        damaged.command(&["HDEL", key, "d"]);
    };
    given(&url, |options| options, damage).await.keep(server)
}

conformance_suite!(through_a_socket);

#[test]
fn a_certificate_that_is_not_trusted_is_refused() {
    block_on(async {
        let server = start("localhost");
        let other = Certificates::new("localhost");
        let options = Options::default().create(true);
        for url in [
            format!(
                "rediss://localhost:{}?tls-ca={}",
                server.port,
                text(&other.certificate())
            ),
            format!("rediss://localhost:{}", server.port),
            // The certificate has another name.
            format!(
                "rediss://127.0.0.1:{}?tls-ca={}",
                server.port,
                text(&server.certificates.certificate())
            ),
        ] {
            let error = RedisStore::open(&url, options.clone()).await.err().unwrap();
            let is_refused = match &error {
                OpenError::Connect(..) => error.to_string().contains("TLS failed"),
                // This machine may have no certificates.
                OpenError::Certificates(..) => !url.contains("tls-ca"),
                _ => false,
            };
            assert!(is_refused, "{url}: {error}");
        }
        let url = format!("rediss://localhost:{}?tls-ca=/absent", server.port);
        let error = RedisStore::open(&url, options.clone()).await.err().unwrap();
        assert!(error.to_string().contains("tls-ca /absent"), "{error}");
        // A server without TLS does not answer the greeting.
        let url = format!(
            "rediss://localhost:{}?tls-ca={}&timeout=1",
            server.server.port,
            text(&server.certificates.certificate())
        );
        assert!(RedisStore::open(&url, options).await.is_err());
    });
}
