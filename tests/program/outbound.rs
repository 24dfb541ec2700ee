//! What an application may call over HTTP.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::net::UdpSocket;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use session3_test_fixtures::{NOSY, SITE};
use session3_test_program::{Browser, Demo, session3, without_warnings};
use session3_test_support::wait_until;
use tempfile::TempDir;

/// A server of an application that calls others, with its log in a file.
struct Caller {
    directory: TempDir,
    server: Demo,
}

impl Caller {
    fn start(arguments: &[&str]) -> Self {
        Self::start_in(arguments, |server| server)
    }

    /// Starts the command in which `around` puts the one of the server.
    fn start_in(arguments: &[&str], around: impl Fn(Command) -> Command) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("application.wasm"), NOSY).unwrap();
        let mut command = session3();
        command
            .args(["serve", "application.wasm", "--store", "sessions"])
            .args(arguments);
        let mut command = around(command);
        command
            .current_dir(&directory)
            .stderr(File::create(directory.path().join("log")).unwrap());
        let server = Demo::run(&mut command);
        Self { directory, server }
    }

    /// Lets the application get a URL, and returns what it says about that.
    fn call(&self, url: &str) -> String {
        Browser::new()
            .get(&self.server, &format!("call?{url}"))
            .text
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }
}

/// Starts the server that is called.
fn callee(directory: &TempDir, arguments: &[&str]) -> Demo {
    fs::write(directory.path().join("application.wasm"), SITE).unwrap();
    let mut command = session3();
    command
        .current_dir(directory)
        .args(["serve", "application.wasm", "--store", "sessions"])
        .args(arguments);
    Demo::run(&mut command)
}

/// Returns the host and the port in a URL.
fn authority(url: &str) -> String {
    url.split('/').nth(2).unwrap().to_owned()
}

#[test]
fn an_application_calls_nothing_unless_that_is_allowed() {
    let directory = tempfile::tempdir().unwrap();
    let other = callee(&directory, &[]);
    let url = format!("{}status/200?secret=1", other.url);
    let caller = Caller::start(&[]);
    assert_eq!(caller.call(&url), "ErrorCode::HttpRequestDenied");
    let address = authority(&url);
    let expected = format!("may not call {address}: allow it with --allow-outbound {address}");
    wait_until(&expected, || caller.log().contains(&expected));
    assert!(!caller.log().contains("secret"));
}

#[test]
fn an_application_calls_what_is_allowed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let other = callee(&directory, &[]);
    let address = authority(&other.url);
    let caller = Caller::start(&["--allow-outbound", &address, "--metrics", "127.0.0.1:0"]);
    let page = caller.call(&format!("{}headers", other.url));
    assert!(page.starts_with("200 "), "{page}");
    assert!(page.contains(&format!("authority: {address}\n")), "{page}");
    assert_eq!(caller.call(&format!("{}status/404", other.url)), "404 ");
    // The same server by another name, and another port of it.
    let by_name = other.url.replace("127.0.0.1", "localhost");
    assert_eq!(caller.call(&by_name), "ErrorCode::HttpRequestDenied");
    assert_eq!(
        caller.call("http://127.0.0.1:1/"),
        "ErrorCode::HttpRequestDenied"
    );

    let mut lines = caller.server.greeting.iter();
    let url = lines
        .find_map(|line| line.strip_prefix("Metrics are at "))
        .unwrap();
    let mut metrics = ureq::get(url.trim_end_matches('.')).call().unwrap();
    let metrics = metrics.body_mut().read_to_string().unwrap();
    for line in [
        "session3_outbound_requests_total{result=\"ok\"} 2",
        "session3_outbound_requests_total{result=\"denied\"} 2",
        "session3_outbound_seconds_count{result=\"ok\"} 2",
        "session3_outbound_seconds_count{result=\"denied\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}\n{metrics}");
    }
}

#[test]
fn https_needs_a_certificate_of_an_authority_that_is_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = directory.path().join("cert.pem");
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(
        directory.path().join("key.pem"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    let other = callee(
        &directory,
        &["--tls-cert", "cert.pem", "--tls-key", "key.pem"],
    );
    let url = format!("{}headers", other.url.replace("127.0.0.1", "localhost"));
    let allowed = authority(&url);

    let caller = Caller::start(&["--allow-outbound", &allowed]);
    assert_eq!(caller.call(&url), "ErrorCode::TlsCertificateError");

    let authority = certificate.to_str().unwrap();
    let caller = Caller::start(&["--allow-outbound", &allowed, "--outbound-ca", authority]);
    let page = caller.call(&url);
    assert!(page.starts_with("200 scheme: https\n"), "{page}");
}

/// A name server that knows no name, and the names that it was asked for.
fn name_server(address: &str) -> Arc<Mutex<BTreeSet<String>>> {
    let asked = Arc::<Mutex<BTreeSet<String>>>::default();
    let (socket, names) = (UdpSocket::bind(address).unwrap(), asked.clone());
    thread::spawn(move || {
        let mut message = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut message) {
            // The name stands after the header of 12 bytes (RFC 1035 §4.1).
            let (mut labels, mut rest) = (Vec::new(), &message[12..length]);
            while let [size @ (1..), after @ ..] = rest {
                let (label, after) = after.split_at(usize::from(*size));
                labels.push(String::from_utf8(label.to_vec()).unwrap());
                rest = after;
            }
            names.lock().unwrap().insert(labels.join("."));
            // A response with the status "no such name".
            (message[2], message[3]) = (0x81, 0x83);
            socket.send_to(&message[..length], client).unwrap();
        }
    });
    asked
}

/// With the settings that Kubernetes gives to a container.
#[test]
#[ignore = "mounts a file over /etc/resolv.conf, which needs root: make torture"]
fn the_search_list_is_for_names_without_a_dot() {
    const SERVER: &str = "127.0.0.77";
    let asked = name_server(&format!("{SERVER}:53"));
    let settings = tempfile::NamedTempFile::new().unwrap();
    let text = format!("nameserver {SERVER}\nsearch corp.test\noptions ndots:5\n");
    fs::write(&settings, text).unwrap();
    let rules = ["--allow-outbound", "db", "--allow-outbound", "*.shop.test"];
    let script = "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"";
    let caller = Caller::start_in(&rules, |server| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", script])
            .arg(settings.path())
            .arg(server.get_program())
            .args(server.get_args());
        command
    });
    for url in ["http://api.shop.test/", "http://db/", "http://metadata/"] {
        let page = caller.call(url);
        assert!(page.starts_with("ErrorCode::"), "{page}");
    }
    let asked: Vec<String> = asked.lock().unwrap().iter().cloned().collect();
    assert_eq!(asked, ["api.shop.test", "db", "db.corp.test"]);
}

#[test]
fn a_wrong_rule_is_one_line_that_says_what_to_do() {
    for (arguments, expected) in [
        (
            &["--allow-outbound", "http://example.com/"][..],
            "http://example.com/",
        ),
        (
            &["--allow-outbound", "example.com:99999"],
            "example.com:99999",
        ),
        (&["--allow-outbound", ""], "--allow-outbound"),
        (&["--outbound-ca", "ca.pem"], "--allow-outbound"),
        (
            &[
                "--allow-outbound",
                "example.com",
                "--outbound-ca",
                "none.pem",
            ],
            "none.pem",
        ),
    ] {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("application.wasm"), NOSY).unwrap();
        let mut command = session3();
        command
            .current_dir(&directory)
            .args([
                "serve",
                "application.wasm",
                "--store",
                "sessions",
                "--port",
                "0",
            ])
            .args(arguments);
        let output = command.output().unwrap();
        let said = without_warnings(&String::from_utf8(output.stderr).unwrap());
        assert!(!output.status.success());
        let is_short = said.starts_with("error: ") || said.lines().count() == 1;
        assert!(is_short && said.contains(expected), "{said}");
    }
}
