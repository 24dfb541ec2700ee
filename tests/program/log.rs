//! The log of a server: neither an application nor a reader that stalls can misuse it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use session3_test_fixtures::{FORGER, NOSY};
use session3_test_program::{Browser, Demo, session3};
use tempfile::TempDir;

/// How long a server with a stalled log may take for what it does at once otherwise.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the command that serves an application, with its sessions in a new directory.
fn serve(application: &[u8], arguments: &[&str]) -> (TempDir, Command) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("application.wasm"), application).unwrap();
    let mut command = session3();
    command
        .current_dir(&directory)
        .args(["serve", "application.wasm", "--store", "sessions"])
        .args(arguments);
    (directory, command)
}

fn get(server: &Demo, page: &str) -> String {
    Browser::new().get(server, page).text
}

/// Serves an application, gets one page of it, and returns the log up to the server's end.
fn log_of(application: &[u8], arguments: &[&str], page: &str, expected: &str) -> String {
    let (directory, mut command) = serve(application, arguments);
    let file = directory.path().join("log");
    let server = Demo::run(command.stderr(File::create(&file).unwrap()));
    assert_eq!(get(&server, page), expected);
    assert_eq!(server.stop().code(), Some(0));
    fs::read_to_string(&file).unwrap()
}

#[test]
fn forged_events_stay_on_their_lines() {
    let log = log_of(FORGER, &["--grant", "store"], "one", "reported");
    let forged = r#"session="0\n INFO user changed session=forged\u{1b}[2J""#;
    assert_eq!(log.matches(forged).count(), 5, "{log}");
    let mut lines = log.lines().filter(|line| line.contains("request{"));
    assert!(
        lines.by_ref().take(5).all(|line| line.contains(forged)),
        "{log}"
    );
    assert_eq!(lines.next(), None, "{log}");
    // Two more are about the end of the server.
    assert_eq!(log.lines().count(), 5 + 2, "{log}");
}

#[test]
fn forged_events_cannot_fill_the_log() {
    let log = log_of(FORGER, &["--grant", "store"], "many", "reported");
    let (lines, length) = (log.lines().count(), log.len());
    assert!(lines >= 100, "{lines} lines");
    assert!(length < 2 << 20, "{length} bytes");
}

#[test]
fn empty_lines_cannot_fill_the_log() {
    let log = log_of(NOSY, &[], "lines", "printed");
    let lines = log.lines().count();
    assert!((900..1100).contains(&lines), "{lines} lines");
    assert!(log.contains("the rest is dropped"));
}

/// The pipe of the log takes 64 KiB, and the application prints some megabytes.
#[test]
fn a_server_whose_log_is_not_read_answers_and_ends() {
    let (_directory, mut command) = serve(NOSY, &[]);
    let mut server = Demo::run(command.stderr(Stdio::piped()));
    let _unread = server.take_stderr();
    for _ in 0..50 {
        assert_eq!(get(&server, "flood"), "printed");
    }
    let (sender, ended) = mpsc::channel();
    thread::spawn(move || sender.send(server.stop().code()));
    assert_eq!(ended.recv_timeout(PATIENCE), Ok(Some(0)));
}

#[test]
fn the_log_says_how_many_lines_are_missing() {
    let (_directory, mut command) = serve(NOSY, &[]);
    let mut server = Demo::run(command.stderr(Stdio::piped()));
    let unread = server.take_stderr();
    for _ in 0..50 {
        assert_eq!(get(&server, "flood"), "printed");
    }
    let mut lines = BufReader::new(unread).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("WARN lines of the log that were dropped here")));
    assert_eq!(get(&server, "print"), "printed");
    assert!(lines.any(|line| line.ends_with("the application says: oh")));
    assert_eq!(server.stop().code(), Some(0));
}
