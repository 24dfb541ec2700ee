//! Static files on a file system that does not answer.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use session3_test_fixtures::SITE;
use session3_test_program::Demo;

use crate::place::{Place, get, read, send};

/// More requests than the runtime has threads for work that blocks.
const REQUESTS: usize = 600;

/// A process that lets no other one open or read a file. It is killed when this is dropped.
struct Stall(Child);

impl Stall {
    fn begin(place: &Place, what: &str, file: &str) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/stalled.py");
        let mut command = Command::new("python3");
        command.args([script, what]).arg(place.path(file));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut said).unwrap();
        assert_eq!(said, "stalled\n", "run this test as root");
        Self(child)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves files below `/assets`, beside an application with sessions.
fn serve(place: &Place) -> Demo {
    fs::create_dir(place.path("public")).unwrap();
    place.write("public/app.js", b"alert('a')");
    place.write("public/slow.bin", &[b'x'; 100_000]);
    place.serve(&["--static", "public::/assets", "--timeout", "2"])
}

fn ask(server: &Demo, path: &str) -> std::net::TcpStream {
    let head = format!("GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    send(server, &head)
}

/// Asks for a file that stalls, many times. Meanwhile the server has to serve its visitors, and to
/// have few threads.
fn ask_while_visitors_are_served(server: &Demo) -> Vec<std::net::TcpStream> {
    let clients = (0..REQUESTS)
        .map(|_| ask(server, "assets/slow.bin"))
        .collect();
    thread::sleep(Duration::from_millis(500));
    for _ in 0..10 {
        let start = Instant::now();
        assert_eq!(get(server, "visit").text, "1");
        assert!(start.elapsed() < Duration::from_secs(1), "{start:?}");
    }
    assert!(threads(server) < 120, "{}", threads(server));
    clients
}

/// Returns how many threads a server has.
fn threads(server: &Demo) -> usize {
    let tasks = format!("/proc/{}/task", server.id());
    fs::read_dir(tasks).unwrap().count()
}

#[test]
#[ignore = "stalls a file by fanotify, which needs root: make torture"]
fn files_that_cannot_be_opened_leave_the_application_to_its_visitors() {
    let place = Place::new(SITE);
    let server = serve(&place);
    assert_eq!(get(&server, "visit").text, "1");
    let stall = Stall::begin(&place, "open", "public/slow.bin");
    let clients = ask_while_visitors_are_served(&server);
    for client in clients {
        let answer = read(client);
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    }
    let lines = place
        .log()
        .matches("a static file was not found in time")
        .count();
    assert!((1..=100).contains(&lines), "{lines}");
    drop(stall);
    assert_eq!(get(&server, "assets/app.js").text, "alert('a')");
    assert_eq!(get(&server, "assets/slow.bin").text.len(), 100_000);
}

#[test]
#[ignore = "stalls a file by fanotify, which needs root: make torture"]
fn files_that_cannot_be_read_leave_the_application_to_its_visitors() {
    let place = Place::new(SITE);
    let server = serve(&place);
    let stall = Stall::begin(&place, "read", "public/slow.bin");
    let clients = ask_while_visitors_are_served(&server);
    for mut client in clients {
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer);
        assert!(answer.len() < 100_000, "{}", answer.len());
    }
    place.wait_for("a static file was cut off: it was not read in time");
    drop(stall);
    assert_eq!(get(&server, "assets/slow.bin").text.len(), 100_000);
}
