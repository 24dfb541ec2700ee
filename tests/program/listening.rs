//! Where a server listens, and what it knows of its clients.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use session3_test_fixtures::SITE;
use session3_test_program::{Application, Browser, Demo, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

use crate::https::{certify, curl, header};

/// A directory with an application.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("application.wasm"), SITE).unwrap();
        Self(directory)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = session3();
        command
            .current_dir(&self.0)
            .args(["serve", "application.wasm", "--store", "sessions"])
            .args(arguments)
            .stderr(
                File::options()
                    .append(true)
                    .create(true)
                    .open(self.path("log"))
                    .unwrap(),
            );
        command
    }

    /// Serves on a free port.
    fn serve(&self, arguments: &[&str]) -> Demo {
        Demo::run(&mut self.command(arguments))
    }

    fn wait_for(&self, text: &str) {
        let log = || fs::read_to_string(self.path("log")).unwrap();
        wait_until(text, || log().contains(text));
    }

    /// Writes a new certificate for `localhost` and its key.
    fn certify(&self) {
        certify(self.0.path());
    }
}

const TLS: [&str; 4] = ["--tls-cert", "cert.pem", "--tls-key", "key.pem"];

/// Returns the URL of a server by the name of its certificate.
fn by_name(server: &Demo) -> String {
    server.url.replace("127.0.0.1", "localhost")
}

#[test]
fn tls_needs_no_proxy_and_the_safe_cookie_works() {
    let place = Place::new();
    place.certify();
    let server = place.serve(&TLS);
    let url = by_name(&server);
    assert!(url.starts_with("https://"), "{url}");
    let get = |arguments: &[&str], page: &str| {
        let trusted = [&["--cacert", "cert.pem", "--include"], arguments].concat();
        curl(place.0.path(), &trusted, &format!("{url}{page}"))
    };
    let page = get(&["--http1.1"], "headers").unwrap();
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for (name, expected) in [
        ("scheme", "https"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(header(&page, name).as_deref(), Some(expected), "{page}");
    }
    assert!(
        get(&["--http2"], "headers")
            .unwrap()
            .starts_with("HTTP/2 200")
    );

    // No authority signed this certificate, and plain HTTP is refused with a page that says why.
    assert_eq!(curl(place.0.path(), &[], &url), None);
    let plain = curl(place.0.path(), &[], &url.replace("https", "http"));
    assert!(
        plain.as_ref().is_some_and(|text| text.contains("https")),
        "{plain:?}"
    );
    assert_eq!(server.stop().code(), Some(0));

    let mut demo = session3();
    demo.current_dir(&place.0)
        .args(["demo", "sessions"])
        .args(TLS);
    let demo = Demo::run(&mut demo);
    let arguments = ["--cacert", "cert.pem", "--include"];
    let url = format!("{}keep", by_name(&demo));
    let page = curl(place.0.path(), &arguments, &url).unwrap();
    let cookie = header(&page, "set-cookie").unwrap();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    assert!(cookie.contains("; Secure"), "{cookie}");
}

#[test]
fn a_certificate_is_replaced_without_a_restart() {
    let place = Place::new();
    place.certify();
    let server = place.serve(&TLS);
    let url = by_name(&server);
    let get = |ca: &str| {
        curl(
            place.0.path(),
            &["--cacert", ca],
            &format!("{url}status/200"),
        )
    };
    fs::copy(place.path("cert.pem"), place.path("old.pem")).unwrap();
    assert!(get("old.pem").is_some());

    fs::write(place.path("cert.pem"), "broken").unwrap();
    server.signal("HUP");
    place.wait_for("the certificate was not loaded anew, the server continues");
    assert!(get("old.pem").is_some());

    place.certify();
    server.signal("HUP");
    place.wait_for("the certificate in cert.pem was loaded anew");
    assert!(get("cert.pem").is_some());
    assert_eq!(get("old.pem"), None);
}

#[test]
fn a_unix_socket_has_its_mode_and_is_removed_at_the_end() {
    let place = Place::new();
    let listen = [
        "--listen",
        "unix:socket,mode=660",
        "--listen",
        "127.0.0.1:0",
    ];
    let server = Demo::run_as_it_is(&mut place.command(&listen));
    let socket = place.path("socket");
    let metadata = fs::metadata(&socket).unwrap();
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o777, 0o660);
    let arguments = ["--unix-socket", "socket"];
    let page = curl(place.0.path(), &arguments, "http://shop.example/headers").unwrap();
    assert_eq!(header(&page, "authority").as_deref(), Some("shop.example"));
    assert_eq!(header(&page, "x-forwarded-for"), None);
    assert_eq!(server.stop().code(), Some(0));
    assert!(!socket.exists());
}

#[test]
fn what_a_client_says_about_itself_is_not_believed() {
    let place = Place::new();
    let server = place.serve(&[]);
    let forged = [
        ("X-Forwarded-For", "203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=203.0.113.7;proto=https"),
        ("X-Real-IP", "203.0.113.7"),
    ];
    let page = Browser::new().get_with(&server, "headers", &forged).text;
    assert_eq!(header(&page, "scheme").as_deref(), Some("http"));
    assert_eq!(
        header(&page, "x-forwarded-for").as_deref(),
        Some("127.0.0.1")
    );
    assert_eq!(header(&page, "x-forwarded-proto").as_deref(), Some("http"));
    assert!(
        !page.contains("203.0.113.7") && !page.contains("evil"),
        "{page}"
    );
    place.wait_for("127.0.0.1 sends the header x-forwarded-for, which is ignored");
}

#[test]
fn what_a_trusted_proxy_says_about_its_client_is_believed() {
    let place = Place::new();
    let said = [
        ("X-Forwarded-For", "198.51.100.1, 203.0.113.7"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
        ("Forwarded", "for=192.0.2.1;proto=http;host=other.example"),
        ("X-Request-Id", "of-the-proxy_1"),
    ];
    for (kind, address, scheme, host) in [
        // The proxy may have passed on the host that the client wrote.
        ("x-forwarded", "203.0.113.7", "https", None),
        (
            "x-forwarded-host",
            "203.0.113.7",
            "https",
            Some("shop.example"),
        ),
        ("forwarded", "192.0.2.1", "http", Some("other.example")),
    ] {
        let server = place.serve(&["--trust-proxy", "loopback", "--forwarded-header", kind]);
        let host = host.unwrap_or_else(|| server.url.split('/').nth(2).unwrap());
        let page = Browser::new().get_with(&server, "headers", &said).text;
        assert_eq!(header(&page, "x-forwarded-for").as_deref(), Some(address));
        assert_eq!(header(&page, "x-forwarded-proto").as_deref(), Some(scheme));
        assert_eq!(header(&page, "scheme").as_deref(), Some(scheme));
        assert_eq!(header(&page, "authority").as_deref(), Some(host));
        assert_eq!(header(&page, "forwarded"), None);
        let id = header(&page, "x-request-id");
        assert_eq!(id.as_deref(), Some("of-the-proxy_1"));
    }
}

/// Starts a session of an application over a proxy. Returns the client's address that operators
/// see.
pub fn address_of_session(application: Application) -> String {
    let directory = tempfile::tempdir().unwrap();
    let demo = application.start(directory.path(), &["--trust-proxy", "127.0.0.0/8"]);
    let by_proxy = [("X-Forwarded-For", "203.0.113.7")];
    Browser::new().get_with(&demo, "keep", &by_proxy);
    let id = &application.sessions(directory.path())[0];
    let mut show = session3();
    show.arg("show").arg(directory.path()).args([id, "--json"]);
    let shown = show.output().unwrap();
    assert!(shown.status.success(), "{shown:?}");
    let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
    shown["remote_address"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn a_session_has_the_address_of_its_client_which_its_user_sees() {
    assert_eq!(address_of_session(Application::Rust), "203.0.113.7");

    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    let mut browser = Browser::new();
    browser.get(&demo, "keep");
    let page = browser.get(&demo, "account");
    browser.send(&demo, &page, "login", &[("user", "alice")]);
    let account = browser.get(&demo, "account").text;
    assert!(account.contains("from the address 127.0.0.1<"), "{account}");
}

#[test]
fn a_proxy_names_its_client_in_the_proxy_protocol() {
    let place = Place::new();
    let server = place.serve(&["--trust-proxy", "loopback", "--proxy-protocol"]);
    let address = server
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let ask = |header: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        let request = "GET /headers HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\
                       Connection: close\r\n\r\n";
        stream
            .write_all(format!("{header}{request}").as_bytes())
            .unwrap();
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            Ok(_) => answer,
            Err(error) => panic!("{error}"),
        }
    };
    // The headers of a client that is no proxy are not believed, nor are those of one whom the
    // proxy does not know.
    for (header_line, expected) in [
        ("TCP4 203.0.113.7 127.0.0.1 4000 80", Some("203.0.113.7")),
        ("TCP4 127.0.0.9 127.0.0.1 4000 80", Some("192.0.2.1")),
        ("UNKNOWN", None),
    ] {
        let page = ask(&format!("PROXY {header_line}\r\n")).replace('\r', "");
        let address = header(&page, "x-forwarded-for");
        assert_eq!(address.as_deref(), expected, "{header_line}");
    }

    let mut stream = TcpStream::connect(address).unwrap();
    let sent = stream.write_all(b"GET /headers HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut answer = Vec::new();
    let read = sent.and_then(|()| stream.read_to_end(&mut answer));
    let is_reset = read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset);
    assert!(
        is_reset || answer.is_empty(),
        "a connection without the header is closed"
    );
}

/// Starts a server with the socket that a service manager listens on, as systemd does.
fn activated(place: &Place, socket: &TcpListener) -> Command {
    let socket = OwnedFd::from(socket.try_clone().unwrap());
    let server = place.command(&["--listen", "systemd"]);
    let script = "exec 3<&0 0</dev/null; export LISTEN_FDS=1 LISTEN_PID=$$; exec \"$@\"";
    let mut command = Command::new("sh");
    command
        .current_dir(&place.0)
        .args(["-c", script, "sh"])
        .arg(server.get_program())
        .args(server.get_args())
        .stdin(Stdio::from(socket))
        .stderr(
            File::options()
                .append(true)
                .create(true)
                .open(place.path("log"))
                .unwrap(),
        );
    command
}

/// Every request has a connection of its own, so that none is on a connection that the server
/// closes because it is idle.
#[test]
fn no_request_is_lost_while_a_server_restarts_with_the_socket_of_systemd() {
    let place = Place::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/visit", socket.local_addr().unwrap());
    let mut server = Demo::run_as_it_is(&mut activated(&place, &socket));
    let (is_over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let server = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let request = ureq::get(&url).header("Connection", "close");
                    let page = request.call().unwrap().body_mut().read_to_string().unwrap();
                    assert_eq!(page, "1");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(300));
            assert_eq!(server.stop().code(), Some(0));
            let before = answered.load(Ordering::Relaxed);
            server = Demo::run_as_it_is(&mut activated(&place, &socket));
            wait_until("answers of the next server", || {
                answered.load(Ordering::Relaxed) > before + 20
            });
        }
        is_over.store(true, Ordering::Relaxed);
        // It serves until the last request has its answer.
        server
    });
    assert_eq!(server.stop().code(), Some(0));
    assert!(answered.load(Ordering::Relaxed) > 60);
}

/// A client that keeps its connection does not know that the server ends. What it sends then is
/// answered, and it learns that the connection closes.
#[test]
fn a_request_on_a_kept_connection_is_answered_while_the_server_ends() {
    let place = Place::new();
    let server = place.serve(&[]);
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
    let mut ask = || {
        stream
            .write_all(b"POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc")
            .unwrap();
        let mut answer = String::new();
        while !answer.ends_with("\r\n\r\n3") {
            let mut bytes = [0; 1024];
            let length = stream.read(&mut bytes).unwrap();
            assert!(length > 0, "{answer}");
            answer += std::str::from_utf8(&bytes[..length]).unwrap();
        }
        answer.to_lowercase()
    };
    assert!(!ask().contains("connection: close"));
    server.signal("TERM");
    thread::sleep(Duration::from_millis(300));
    let answer = ask();
    assert!(answer.starts_with("http/1.1 200"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
}

/// Returns connections on which nothing is sent.
fn silent(server: &Demo, count: usize) -> Vec<TcpStream> {
    let address = server.url.split('/').nth(2).unwrap();
    (0..count)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect()
}

#[test]
fn clients_that_begin_no_tls_do_not_shut_others_out() {
    let place = Place::new();
    place.certify();
    for (arguments, limit) in [
        (&["--header-timeout", "1"][..], 5),
        // Most connections are taken, so there is less time.
        (&["--max-connections", "4"], 8),
    ] {
        let server = place.serve(&[&TLS[..], arguments].concat());
        let silent = silent(&server, 4);
        let start = Instant::now();
        let trusted = ["--cacert", "cert.pem"];
        if arguments.contains(&"--header-timeout") {
            for mut client in &silent {
                assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)));
            }
        }
        let url = format!("{}status/200", by_name(&server));
        assert!(curl(place.0.path(), &trusted, &url).is_some());
        let seconds = start.elapsed().as_secs();
        assert!(seconds < limit, "{arguments:?}: {seconds} s");
    }
}

#[test]
fn a_server_does_not_wait_for_clients_without_a_request_when_it_ends() {
    let place = Place::new();
    place.certify();
    for arguments in [&TLS[..], &[]] {
        let server = place.serve(arguments);
        let mut clients = silent(&server, 2);
        if arguments.is_empty() {
            clients[1].write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
        }
        thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        assert_eq!(server.stop().code(), Some(0));
        let seconds = start.elapsed().as_secs();
        assert!(seconds < 5, "{arguments:?}: {seconds} s");
    }
    assert!(
        !fs::read_to_string(place.path("log"))
            .unwrap()
            .contains("WARN")
    );
}

/// The system accepts connections for a server that is stopped for a while. They are not lost if
/// it ends before it has seen them.
#[test]
fn connections_that_wait_are_answered_before_the_server_ends() {
    let place = Place::new();
    let server = place.serve(&[]);
    server.signal("STOP");
    let clients = silent(&server, 100);
    for mut client in &clients {
        let request = b"GET /status/200 HTTP/1.1\r\nHost: h\r\n\r\n";
        client.write_all(request).unwrap();
    }
    server.signal("TERM");
    server.signal("CONT");
    for mut client in clients {
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn the_service_manager_learns_what_the_server_does() {
    let place = Place::new();
    let manager = UnixDatagram::bind(place.path("notify")).unwrap();
    manager
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let next = |expected: &str| loop {
        let mut message = [0; 1024];
        let length = manager.recv(&mut message).unwrap();
        let text = String::from_utf8_lossy(&message[..length]);
        if text.lines().any(|line| line == expected) {
            return;
        }
        assert!(text.contains("WATCHDOG=1"), "{text} before {expected}");
    };
    let mut command = place.command(&[]);
    command
        .env("NOTIFY_SOCKET", place.path("notify"))
        .env("WATCHDOG_USEC", "100000");
    let server = Demo::run(&mut command);
    next("READY=1");
    next("WATCHDOG=1");
    server.signal("HUP");
    next("RELOADING=1");
    next("READY=1");
    server.signal("TERM");
    next("STOPPING=1");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn what_cannot_be_listened_on_is_one_line_that_says_what_to_do() {
    let place = Place::new();
    place.certify();
    fs::write(place.path("file"), "").unwrap();
    for (arguments, expected) in [
        (&["--listen", "8080"][..], "write HOST:PORT"),
        (&["--listen", "unix:file"], "exists and is not a socket"),
        (
            &["--listen", "systemd"],
            "start this program by a .socket unit",
        ),
        (
            &["--listen", "127.0.0.1:0", "--port", "1"],
            "cannot be used with",
        ),
        (&["--tls-cert", "cert.pem"], "--tls-key"),
        (
            &["--tls-cert", "none.pem", "--tls-key", "key.pem"],
            "none.pem",
        ),
        (&["--tls-cert", "file", "--tls-key", "key.pem"], "file"),
        (&["--trust-proxy", "10.0.0.0/33"], "10.0.0.0/33"),
        (&["--proxy-protocol"], "--trust-proxy"),
    ] {
        let mut command = place.command(arguments);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success());
        assert!(said.contains(expected), "{arguments:?}: {said}");
        assert!(
            said.starts_with("error: ") || said.lines().count() == 1,
            "{said}"
        );
    }
}
