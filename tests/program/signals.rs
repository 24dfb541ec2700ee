//! The signals that a server obeys.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use session3_test_fixtures::GUEST;
use session3_test_program::clock::speed_up;
use session3_test_program::{Browser, Demo, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

fn place() -> TempDir {
    let place = tempfile::tempdir().unwrap();
    fs::write(place.path().join("application.wasm"), GUEST).unwrap();
    place
}

fn serve(place: &TempDir) -> Command {
    let mut command = session3();
    command
        .current_dir(place)
        .args(["serve", "application.wasm", "--store", "sessions"])
        .args(["--timeout", "600"])
        .stderr(File::create(place.path().join("log")).unwrap());
    command
}

fn log(place: &TempDir) -> String {
    fs::read_to_string(place.path().join("log")).unwrap()
}

fn wait_for(place: &TempDir, text: &str) {
    wait_until(text, || log(place).contains(text));
}

/// Begins a request whose body does not come, and waits until the application asks for it.
fn begin_request(server: &Demo) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address.trim_end_matches('/')).unwrap();
    let request = "POST /body HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\
                   Content-Length: 4\r\n\r\n";
    stream.write_all(request.as_bytes()).unwrap();
    stream.read_exact(&mut [0; 25]).unwrap();
    stream
}

/// Waits until the server accepts no more connections, which means that it is stopping.
fn wait_until_stopping(server: &Demo) {
    let address = server.url.strip_prefix("http://").unwrap();
    while TcpStream::connect(address.trim_end_matches('/')).is_ok() {
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_second_signal_ends_a_server_with_running_requests_at_once() {
    for (first, second, status) in [("TERM", "INT", 130), ("INT", "TERM", 143)] {
        let place = place();
        let server = Demo::run(&mut serve(&place));
        let _running = begin_request(&server);
        server.signal(first);
        wait_until_stopping(&server);
        server.signal(second);
        assert_eq!(server.wait().code(), Some(status), "{first} {second}");
    }
}

/// The program's time is a hundred times as fast, so the line comes although compiling takes
/// less than a second.
#[test]
fn a_signal_ends_a_start_that_compiles() {
    for (signal, status) in [("INT", 130), ("TERM", 143)] {
        let (place, cache) = (place(), tempfile::tempdir().unwrap());
        let mut command = session3();
        command
            .arg("demo")
            .arg(place.path().join("sessions"))
            .args(["--port", "0"])
            .env("XDG_CACHE_HOME", cache.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut demo = speed_up(&mut command, 100).spawn().unwrap();
        let mut lines = BufReader::new(demo.stderr.take().unwrap()).lines();
        let is_compiling = lines.any(|line| line.unwrap().contains("compiling the demo"));
        assert!(is_compiling);
        let id = demo.id().to_string();
        let kill = Command::new("kill")
            .args([&format!("-{signal}"), &id])
            .status();
        assert!(kill.unwrap().success());
        assert_eq!(demo.wait().unwrap().code(), Some(status));
    }
}

#[test]
fn the_demo_survives_sighup() {
    let place = place();
    let mut command = session3();
    command
        .arg("demo")
        .arg(place.path().join("sessions"))
        .stderr(File::create(place.path().join("log")).unwrap());
    let demo = Demo::run(&mut command);
    demo.signal("HUP");
    wait_for(&place, "SIGHUP was ignored");
    assert_eq!(Browser::new().get(&demo, "").status, 200);
    assert_eq!(demo.stop().code(), Some(0));
}

fn make_fifo(path: &Path) {
    let _ = fs::remove_file(path);
    let status = Command::new("mkfifo").arg(path).status();
    assert!(status.unwrap().success());
}

#[test]
fn a_fifo_in_the_place_of_the_component_blocks_nothing() {
    let place = place();
    let component = place.path().join("application.wasm");
    let server = Demo::run(&mut serve(&place));
    make_fifo(&component);
    server.signal("HUP");
    wait_for(
        &place,
        "application.wasm: cannot be read: it is not a regular file",
    );
    fs::remove_file(&component).unwrap();
    fs::write(&component, GUEST).unwrap();
    server.signal("HUP");
    wait_for(&place, "application.wasm was loaded anew");
    assert_eq!(server.stop().code(), Some(0));

    make_fifo(&component);
    let status = serve(&place).args(["--port", "0"]).status().unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(log(&place).contains("it is not a regular file"));
}

#[test]
fn a_signal_right_after_the_address_is_printed_stops_the_server_properly() {
    let place = place();
    for _ in 0..10 {
        assert_eq!(Demo::run(&mut serve(&place)).stop().code(), Some(0));
    }
}
