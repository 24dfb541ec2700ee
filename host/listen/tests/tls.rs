//! TLS with real clients.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519,
    SignatureAlgorithm,
};
use session3_listen::{Address, HandshakeError, Listener, Peer, TlsConfig, TlsError};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, HandshakeKind, ProtocolVersion, RootCertStore, SupportedProtocolVersion,
};

const TIMEOUT: Duration = Duration::from_secs(1);

/// A directory with `cert.pem` and `key.pem`.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a directory"));
        files.renew();
        files
    }

    /// Writes a new certificate with a new key.
    fn renew(&self) {
        self.write(|_| {});
    }

    fn write(&self, change: impl FnOnce(&mut CertificateParams)) {
        self.write_with(&PKCS_ECDSA_P256_SHA256, change);
    }

    fn write_with(
        &self,
        algorithm: &'static SignatureAlgorithm,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let mut params = CertificateParams::new(["localhost".into()]).expect("a name");
        change(&mut params);
        let key = KeyPair::generate_for(algorithm).expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(self.path("cert.pem"), certificate.pem()).expect("a file");
        self.write_key(&key.serialize_pem());
    }

    fn write_key(&self, text: &str) {
        fs::write(self.path("key.pem"), text).expect("a file");
        fs::set_permissions(self.path("key.pem"), Permissions::from_mode(0o600)).expect("a file");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<TlsConfig, TlsError> {
        TlsConfig::load(self.path("cert.pem"), self.path("key.pem"))
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.path("cert.pem")).expect("a certificate")
    }

    /// Returns a client that trusts the certificate and knows these protocols.
    fn client(
        &self,
        protocols: &[&str],
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate()).expect("a certificate");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let mut config = builder
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        Arc::new(config).into()
    }
}

async fn listener(config: TlsConfig) -> Listener {
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let mut listeners = Listener::bind(&address).await.expect("a listener");
    listeners.remove(0).tls(config)
}

/// Serves every connection in a task of its own, which answers what it receives.
fn serve(listener: Listener) -> JoinHandle<()> {
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let connection = accepted.handshake().await?;
                assert!(connection.stream.is_tls());
                connection.stream.set_nodelay(true)?;
                connection.stream.limit_unsent(32 << 10)?;
                let (mut from, mut to) = tokio::io::split(connection.stream);
                tokio::io::copy(&mut from, &mut to).await?;
                to.shutdown().await?;
                Ok::<(), HandshakeError>(())
            });
        }
    })
}

async fn connect(client: &TlsConnector, address: &str) -> io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    client.connect(name, stream).await
}

/// Sends some data, and checks that it comes back, with an orderly end.
async fn exchange(mut stream: TlsStream<TcpStream>, size: usize) -> TlsStream<TcpStream> {
    let sent: Vec<u8> = (0..size).map(|index| index as u8).collect();
    let (mut from, mut to) = tokio::io::split(&mut stream);
    let sending = async {
        to.write_all(&sent).await.expect("a server");
        to.shutdown().await.expect("a server");
    };
    let mut received = Vec::new();
    let (result, ()) = tokio::join!(from.read_to_end(&mut received), sending);
    result.expect("an orderly end");
    assert_eq!(received, sent);
    stream
}

#[tokio::test]
async fn clients_of_each_version_and_protocol_are_served() {
    let files = Files::new();
    let listener = listener(files.load().expect("a certificate")).await;
    let address = listener.local().to_string();
    assert_eq!(listener.to_string(), format!("https://{address}/"));
    let _serving = serve(listener);
    for (version, number) in [
        (&TLS12, ProtocolVersion::TLSv1_2),
        (&TLS13, ProtocolVersion::TLSv1_3),
    ] {
        for (protocols, chosen) in [
            (&["h2", "http/1.1"][..], Some("h2")),
            (&["http/1.1", "h2"], Some("h2")),
            (&["http/1.1"], Some("http/1.1")),
            (&[], None),
        ] {
            let client = files.client(protocols, &[version]);
            let stream = connect(&client, &address).await.expect("a connection");
            let stream = exchange(stream, 1 << 20).await;
            let session = stream.get_ref().1;
            assert_eq!(session.alpn_protocol(), chosen.map(str::as_bytes));
            assert_eq!(session.protocol_version(), Some(number));
        }
        let client = files.client(&["gopher"], &[version]);
        assert!(connect(&client, &address).await.is_err());
    }
}

#[tokio::test]
async fn a_client_resumes_its_session_with_a_ticket_also_after_a_reload() {
    let files = Files::new();
    let config = files.load().expect("a certificate");
    let listener = listener(config.clone()).await;
    let address = listener.local().to_string();
    let _serving = serve(listener);
    for version in [&TLS12, &TLS13] {
        let client = files.client(&["h2"], &[version]);
        for expected in [
            HandshakeKind::Full,
            HandshakeKind::Resumed,
            HandshakeKind::Resumed,
        ] {
            let stream = connect(&client, &address).await.expect("a connection");
            let stream = exchange(stream, 100).await;
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(expected));
            config.reload().await.expect("a certificate");
        }
    }
}

#[tokio::test]
async fn keys_may_be_of_several_kinds() {
    let files = Files::new();
    let config = files.load().expect("a certificate");
    let listener = listener(config.clone()).await;
    let address = listener.local().to_string();
    let _serving = serve(listener);
    for algorithm in [
        &PKCS_ECDSA_P256_SHA256,
        &PKCS_ECDSA_P384_SHA384,
        &PKCS_ED25519,
    ] {
        files.write_with(algorithm, |_| {});
        config.reload().await.expect("a certificate");
        for version in [&TLS12, &TLS13] {
            let client = files.client(&[], &[version]);
            let stream = connect(&client, &address).await.expect("a connection");
            exchange(stream, 10).await;
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() {
    let files = Files::new();
    let config = files.load().expect("a certificate");
    let listener = listener(config.clone()).await;
    let address = listener.local().to_string();
    let _serving = serve(listener);
    let old = files.certificate();
    let old_client = files.client(&["h2"], &[&TLS13]);
    let before = connect(&old_client, &address).await.expect("a connection");

    files.renew();
    config.reload().await.expect("a certificate");
    let client = files.client(&["h2"], &[&TLS13]);
    let after = connect(&client, &address).await.expect("a connection");
    let chain = after
        .get_ref()
        .1
        .peer_certificates()
        .expect("a certificate");
    assert_eq!(chain, [files.certificate()]);
    assert_ne!(chain, [old]);
    exchange(after, 1000).await;
    exchange(before, 1000).await;
}

#[tokio::test]
async fn a_bad_certificate_is_refused_and_the_previous_one_stays() {
    const ENCRYPTED: &str =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    const OLD_ENCRYPTED: &str = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\
        DEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    const DAMAGED_KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    const HALF_KEY: &str = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
    const DAMAGED: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let good = Files::new();
    let config = good.load().expect("a certificate");
    let expires = config.expires();
    let listener = listener(config.clone()).await;
    let address = listener.local().to_string();
    let _serving = serve(listener);
    let client = good.client(&[], &[&TLS13]);
    let (certificate, key) = (good.path("cert.pem"), good.path("key.pem"));
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a file");
    let (certificate_text, key_text) = (read(&certificate), read(&key));
    let other = Files::new();
    let other_key = read(&other.path("key.pem"));

    for (certificate_now, key_now, why) in [
        (None, Some(key_text.as_str()), "cannot read"),
        (Some(certificate_text.as_str()), None, "cannot read"),
        (Some(""), Some(&key_text), "contains no certificate"),
        (
            Some(&key_text),
            Some(&key_text),
            "contains a private key and no certificate",
        ),
        (Some(&certificate_text), Some(""), "contains no private key"),
        (
            Some(&certificate_text),
            Some(&certificate_text),
            "contains a certificate and no private key",
        ),
        (
            Some(&certificate_text),
            Some(&other_key),
            "is not that of the first certificate",
        ),
        (Some(&certificate_text), Some(ENCRYPTED), "is encrypted"),
        (Some(&certificate_text), Some(OLD_ENCRYPTED), "is encrypted"),
        (Some(&certificate_text), Some(DAMAGED_KEY), "cannot be used"),
        (Some(&certificate_text), Some(HALF_KEY), "is not in PEM: "),
        (Some(DAMAGED), Some(&key_text), "cannot be used"),
    ] {
        for (path, text) in [(&certificate, certificate_now), (&key, key_now)] {
            match text {
                Some(text) => fs::write(path, text).expect("a file"),
                None => fs::remove_file(path).expect("a file"),
            }
        }
        let reloaded = config.reload().await;
        for error in [reloaded.expect_err(why), good.load().expect_err(why)] {
            let text = error.to_string();
            assert!(text.contains(why) && !text.contains('\n'), "{why}: {text}");
            assert!(text.contains(".pem") && !text.contains("AAAA"), "{text}");
        }
        assert_eq!(config.expires(), expires);
        let stream = connect(&client, &address).await.expect(why);
        exchange(stream, 10).await;
    }
    let directory = TlsConfig::load(good.0.path(), &key).expect_err("a directory");
    assert!(directory.to_string().contains("cannot read"));
}

#[tokio::test]
async fn dates_and_permissions_are_warnings() {
    let files = Files::new();
    let day = time::Duration::days(1);
    let now = OffsetDateTime::now_utc();
    let config = files.load().expect("a certificate");
    assert_eq!(config.warnings(), Vec::<String>::new());

    files.write(|params| params.not_after = now - day);
    config.reload().await.expect("an expired certificate");
    let warnings = config.warnings();
    let date = (now - day).date().to_string();
    assert!(
        warnings.len() == 1 && warnings[0].contains("expired"),
        "{warnings:?}"
    );
    assert!(warnings[0].contains(&date), "{warnings:?}");
    let expired = config.expires().expect("a date");
    let ago = SystemTime::now()
        .duration_since(expired)
        .expect("a date in the past");
    assert!(ago.as_secs().abs_diff(86_400) < 60, "{ago:?}");

    files.write(|params| params.not_before = now + day);
    config.reload().await.expect("a future certificate");
    let warnings = config.warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("not valid before"),
        "{warnings:?}"
    );

    files.renew();
    for (mode, count) in [(0o600, 0), (0o640, 0), (0o644, 1), (0o604, 1)] {
        fs::set_permissions(files.path("key.pem"), Permissions::from_mode(mode)).expect("a file");
        config.reload().await.expect("a certificate");
        let warnings = config.warnings();
        assert_eq!(warnings.len(), count, "{mode:o}: {warnings:?}");
        assert!(
            warnings.iter().all(|warning| warning.contains("chmod")),
            "{warnings:?}"
        );
    }
    assert!(!format!("{config:?}").contains("PRIVATE"));
}

#[tokio::test]
async fn certificate_and_key_may_be_in_one_file_with_those_of_issuers() {
    let files = Files::new();
    let issuer = Files::new();
    let read = |path| fs::read_to_string(path).expect("a file");
    let all = read(files.path("key.pem"))
        + &read(files.path("cert.pem"))
        + &read(issuer.path("cert.pem"));
    fs::write(files.path("all.pem"), all).expect("a file");
    let config = TlsConfig::load(files.path("all.pem"), files.path("all.pem"));
    let listener = listener(config.expect("a certificate")).await;
    let address = listener.local().to_string();
    let _serving = serve(listener);
    let stream = connect(&files.client(&[], &[&TLS13]), &address)
        .await
        .expect("a connection");
    assert_eq!(
        stream.get_ref().1.peer_certificates().map(<[_]>::len),
        Some(2)
    );
}

#[tokio::test]
async fn a_silent_client_ends_in_time_and_delays_no_other() {
    let files = Files::new();
    let listener = listener(files.load().expect("a certificate")).await;
    let listener = listener.handshake_timeout(TIMEOUT);
    let address = listener.local().to_string();
    let client = files.client(&["h2"], &[&TLS13]);
    for beginning in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut silent = TcpStream::connect(&address).await.expect("a connection");
        silent.write_all(beginning).await.expect("a server");
        let accepted = listener.accept().await.expect("a connection");
        let waiting = tokio::spawn(accepted.handshake());

        let connecting = connect(&client, &address);
        let accepting = async {
            listener
                .accept()
                .await
                .expect("a connection")
                .handshake()
                .await
        };
        let (stream, connection) = tokio::join!(connecting, accepting);
        assert!(stream.is_ok() && connection.is_ok());

        let error = waiting.await.expect("a task").expect_err("a silent client");
        assert!(
            matches!(error, HandshakeError::TimedOut(TIMEOUT)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_client_without_tls_gets_a_readable_answer() {
    let files = Files::new();
    let listener = listener(files.load().expect("a certificate")).await;
    let address = listener.local().to_string();
    let body = "x".repeat(30_000);
    for request in [
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &body,
    ] {
        let mut client = TcpStream::connect(&address).await.expect("a connection");
        let accepted = listener.accept().await.expect("a connection");
        let asking = async {
            client
                .write_all(request.as_bytes())
                .await
                .expect("a server");
            let mut answer = String::new();
            client.read_to_string(&mut answer).await.expect("an answer");
            drop(client);
            answer
        };
        let (result, answer) = tokio::join!(accepted.handshake(), asking);
        assert!(
            matches!(result, Err(HandshakeError::PlainHttp)),
            "{result:?}"
        );
        assert!(
            answer.starts_with("HTTP/1.1 400 Bad Request\r\n"),
            "{answer}"
        );
        assert!(answer.contains("https://"), "{answer}");
    }
}

#[tokio::test]
async fn nonsense_and_an_early_end_are_errors() {
    let files = Files::new();
    let listener = listener(files.load().expect("a certificate")).await;
    let address = listener.local().to_string();
    for (bytes, is_tls) in [
        (&b""[..], false),
        (b"\x16\x03\x01\x00\x05nonsense", true),
        (b"\x16\xff\xff\xff\xff", true),
        (b"\x16\x03\x01\x02\x00\x01", true),
    ] {
        let mut client = TcpStream::connect(&address).await.expect("a connection");
        client.write_all(bytes).await.expect("a server");
        client.shutdown().await.expect("a server");
        let accepted = listener.accept().await.expect("a connection");
        let error = accepted.handshake().await.expect_err("nonsense");
        let is_expected = match error {
            HandshakeError::Tls(_) => is_tls,
            HandshakeError::Io(_) => !is_tls,
            _ => false,
        };
        assert!(is_expected, "{bytes:?}: {error}");
    }
}

#[tokio::test]
async fn tls_follows_the_header_of_the_proxy_protocol_also_on_a_unix_socket() {
    let files = Files::new();
    let path = files.path("socket");
    let address = Address::Unix {
        path: path.clone(),
        mode: 0o600,
    };
    let mut listeners = Listener::bind(&address).await.expect("a listener");
    let listener = listeners
        .remove(0)
        .tls(files.load().expect("a certificate"));
    let listener = listener.proxy_protocol("unix".parse().expect("proxies"));
    let mut stream = UnixStream::connect(&path).await.expect("a connection");
    let header = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 443\r\n";
    stream.write_all(header).await.expect("a server");
    let accepted = listener.accept().await.expect("a connection");
    let client = files.client(&["h2"], &[&TLS13]);
    let name = ServerName::try_from("localhost").expect("a name");
    let (stream, connection) = tokio::join!(client.connect(name, stream), accepted.handshake());
    let connection = connection.expect("a connection");
    assert_eq!(connection.peer, Peer::Ip(([192, 0, 2, 1], 4711).into()));
    assert!(connection.stream.is_tls() && stream.is_ok());
    connection.stream.set_nodelay(true).expect("no effect");
}

/// The file that the certificate is read from is a FIFO without a writer, as a stand-in for a
/// file system that does not answer.
#[tokio::test]
async fn a_reload_blocks_no_thread_of_the_runtime() {
    let files = Files::new();
    let config = files.load().expect("a certificate");
    let certificate = fs::read(files.path("cert.pem")).expect("a file");
    fs::remove_file(files.path("cert.pem")).expect("a file");
    let made = Command::new("mkfifo").arg(files.path("cert.pem")).status();
    assert!(made.expect("mkfifo").success());
    let fifo = files.path("cert.pem");
    let writer = thread::spawn(move || {
        thread::sleep(Duration::from_secs(1));
        fs::write(fifo, certificate).expect("a reader");
    });
    let others = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert!(!writer.is_finished(), "the certificate was read first");
    };
    let (reloaded, ()) = tokio::join!(config.reload(), others);
    reloaded.expect("a certificate");
    writer.join().expect("a certificate");
}
