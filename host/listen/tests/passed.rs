//! Sockets of systemd.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::thread;

use session3_listen::{Address, BindError, Listener, LocalAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::children::{activated, child, succeed};

fn address(text: &str) -> Address {
    text.parse().expect("an address")
}

async fn answer(listener: &Listener) {
    let accepted = listener.accept().await.expect("a connection");
    let mut connection = accepted.handshake().await.expect("a connection");
    let mut request = String::new();
    let stream = &mut connection.stream;
    stream
        .read_to_string(&mut request)
        .await
        .expect("a request");
    let answer = format!("{request} {listener} {}", connection.peer);
    stream
        .write_all(answer.as_bytes())
        .await
        .expect("an answer");
    stream.shutdown().await.expect("an answer");
}

#[test]
fn sockets_are_found_by_their_names() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let unix = UnixListener::bind(&path).expect("a listener");
    let port = tcp.local_addr().expect("an address");
    let mut command = activated(
        "passed::child_serves",
        "http:local",
        vec![tcp.into(), unix.into()],
    );
    command.env("EXPECTED_PATH", &path);
    let running = thread::spawn(|| succeed(command));

    let mut client = UnixStream::connect(&path).expect("a connection");
    client.write_all(b"one").expect("a request");
    client
        .shutdown(std::net::Shutdown::Write)
        .expect("a request");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    let expected = format!("one unix:{} a client of a Unix socket", path.display());
    assert_eq!(answer, expected);

    let mut client = TcpStream::connect(port).expect("a connection");
    client.write_all(b"two").expect("a request");
    client
        .shutdown(std::net::Shutdown::Write)
        .expect("a request");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("an answer");
    let own = client.local_addr().expect("an address");
    assert_eq!(answer, format!("two http://{port}/ {own}"));

    running.join().expect("the child");
    assert!(path.exists(), "the socket belongs to systemd");
}

#[test]
#[ignore = "runs in a child process"]
fn child_serves() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        let error = Listener::bind(&address("systemd:other"))
            .await
            .expect_err("no such name");
        let text = "systemd passed no socket with the name other, but http, local: \
            set FileDescriptorName= in the .socket unit";
        assert_eq!(error.to_string(), text);

        let local = Listener::bind(&address("systemd:local"))
            .await
            .expect("a socket");
        let path = env::var_os("EXPECTED_PATH").expect("a path");
        assert_eq!(*local[0].local(), LocalAddress::Unix(path.into()));
        assert!(Listener::bind(&address("systemd:local")).await.is_err());
        answer(&local[0]).await;
        drop(local);

        let rest = Listener::bind(&address("systemd")).await.expect("a socket");
        assert_eq!(rest.len(), 1);
        answer(&rest[0]).await;
        let error = Listener::bind(&address("systemd"))
            .await
            .expect_err("no socket");
        assert!(matches!(error, BindError::NoneActivated));
    });
}

#[test]
fn what_accepts_no_connections_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let port = listener.local_addr().expect("an address");
    let (stream, _) = UnixStream::pair().expect("a pair");
    let file = File::create(directory.path().join("file")).expect("a file");
    let refused: Vec<(OwnedFd, &str)> = vec![
        (
            TcpStream::connect(port).expect("a connection").into(),
            "does not listen",
        ),
        (stream.into(), "does not listen"),
        (
            UdpSocket::bind("127.0.0.1:0").expect("a socket").into(),
            "is not a stream socket",
        ),
        (
            UnixDatagram::unbound().expect("a socket").into(),
            "is not a stream socket",
        ),
        (file.into(), "is not a stream socket"),
    ];
    for (passed, why) in refused {
        let mut command = activated("passed::child_fails", "", vec![passed]);
        command.env("EXPECTED_WHY", why);
        succeed(command);
    }
}

#[test]
fn sockets_of_another_process_are_not_taken() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let mut command = child("export LISTEN_PID=1; exec 3<&0;", "passed::child_fails");
    command
        .env("LISTEN_FDS", "1")
        .env("EXPECTED_WHY", "no socket that is not in use");
    command.stdin(OwnedFd::from(listener));
    succeed(command);
}

#[test]
fn without_sockets_the_error_says_how_to_pass_them() {
    let mut command = child("", "passed::child_fails");
    command
        .env_remove("LISTEN_FDS")
        .env("EXPECTED_WHY", "by a .socket unit");
    succeed(command);
}

#[test]
#[ignore = "runs in a child process"]
fn child_fails() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let bound = runtime
        .expect("a runtime")
        .block_on(Listener::bind(&address("systemd")));
    let error = bound.expect_err("a failure").to_string();
    let why = env::var("EXPECTED_WHY").expect("a reason");
    assert!(error.contains(&why), "{error}");
}
