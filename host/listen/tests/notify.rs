//! Messages to a service manager.

use std::os::unix::net::UnixDatagram;
use std::thread;
use std::time::{Duration, Instant};

use session3_listen::notify;

use crate::children::{child, succeed};

/// How long the child blocks its runtime.
const BLOCKED: Duration = Duration::from_millis(1000);

#[test]
fn the_service_manager_is_told_and_the_watchdog_is_fed_by_the_runtime() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    let timeout = Some(Duration::from_secs(60));
    socket.set_read_timeout(timeout).expect("a timeout");
    let mut command = child("", "notify::child_notifies");
    command
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000");
    let running = thread::spawn(|| succeed(command));

    let mut messages = Vec::new();
    loop {
        let mut buffer = [0; 1000];
        let length = socket.recv(&mut buffer).expect("a message");
        let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let is_last = message == "STOPPING=1\n";
        messages.push((message, Instant::now()));
        if is_last {
            break;
        }
    }
    running.join().expect("the child");

    let is_ping = |message: &str| message == "WATCHDOG=1\n";
    let others = messages.iter().map(|(message, _)| message.as_str());
    let others: Vec<_> = others.filter(|message| !is_ping(message)).collect();
    assert_eq!(
        others[..2],
        ["READY=1\n", "STATUS=serving  READY=0 1 session\n"]
    );
    assert!(
        others[2].starts_with("RELOADING=1\nMONOTONIC_USEC="),
        "{}",
        others[2]
    );
    assert_eq!(others[3..], ["READY=1\n", "STOPPING=1\n"]);

    // The runtime was free for one second, and then blocked for another one.
    let pings = messages.iter().filter(|(message, _)| is_ping(message));
    let pings: Vec<_> = pings.map(|(_, time)| *time).collect();
    assert!(pings.len() >= 3, "{} pings", pings.len());
    let free = messages
        .last()
        .map(|(_, end)| *end - messages[0].1 - BLOCKED);
    let expected = free.expect("a last message").as_millis() / 100;
    assert!(pings.len() as u128 <= expected + 3, "{} pings", pings.len());
    let gaps = pings.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(
        gaps.max().is_some_and(|gap| gap >= BLOCKED * 9 / 10),
        "{pings:?}"
    );
}

#[test]
#[ignore = "runs in a child process"]
fn child_notifies() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        tokio::spawn(notify::watchdog());
        notify::ready();
        notify::status("serving\n\tREADY=0 1 session");
        notify::reloading();
        notify::ready();
        tokio::time::sleep(Duration::from_secs(1)).await;
        thread::sleep(BLOCKED);
        tokio::time::sleep(Duration::from_millis(50)).await;
        notify::stopping();
    });
}

#[test]
fn without_a_service_manager_nothing_happens() {
    let mut command = child("", "notify::child_is_silent");
    command
        .env_remove("NOTIFY_SOCKET")
        .env_remove("WATCHDOG_USEC");
    succeed(command);
    // Neither does it if there is no socket any more, or the watchdog is another process's.
    let mut command = child("", "notify::child_is_silent");
    command.env("NOTIFY_SOCKET", "/no/such/socket");
    command
        .env("WATCHDOG_USEC", "1000")
        .env("WATCHDOG_PID", "1");
    succeed(command);
    let mut command = child("", "notify::child_is_silent");
    command.env("NOTIFY_SOCKET", "").env("WATCHDOG_USEC", "0");
    succeed(command);
}

#[test]
#[ignore = "runs in a child process"]
fn child_is_silent() {
    notify::ready();
    notify::status("serving");
    notify::reloading();
    notify::stopping();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let limit = Duration::from_millis(50);
        assert!(
            tokio::time::timeout(limit, notify::watchdog())
                .await
                .is_err()
        );
    });
}
