//! Listeners of Unix sockets.

use std::env;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use session3_listen::{Address, BindError, Listener, LocalAddress, Peer};
use socket2::{Domain, SockAddr, Socket, Type};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use crate::children::{child, succeed};

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

async fn bind(path: &Path, mode: u32) -> Result<Listener, BindError> {
    let path = path.to_owned();
    let mut listeners = Listener::bind(&Address::Unix { path, mode }).await?;
    assert_eq!(listeners.len(), 1);
    Ok(listeners.remove(0))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path)
        .expect("a socket")
        .permissions()
        .mode()
        & 0o777
}

async fn check_that_it_serves(listener: &Listener, path: &Path) {
    let mut client = UnixStream::connect(path).await.expect("a connection");
    let accepted = listener.accept().await.expect("a connection");
    let mut connection = accepted.handshake().await.expect("a connection");
    assert_eq!(connection.peer, Peer::Unix);
    assert_eq!(connection.local, LocalAddress::Unix(path.to_owned()));
    assert_eq!(connection.local.authority(), "localhost");
    connection.stream.set_nodelay(true).expect("no effect");
    connection.stream.limit_unsent(1000).expect("no effect");
    client.write_all(b"ping").await.expect("a server");
    let mut received = [0; 4];
    connection
        .stream
        .read_exact(&mut received)
        .await
        .expect("a client");
    assert_eq!(&received, b"ping");
}

#[tokio::test]
async fn a_socket_has_its_mode_and_is_removed_at_the_end() {
    let directory = directory();
    let path = directory.path().join("socket");
    for expected in [0o600, 0o660, 0o666] {
        let listener = bind(&path, expected).await.expect("a listener");
        assert_eq!(mode(&path), expected);
        assert_eq!(listener.to_string(), format!("unix:{}", path.display()));
        check_that_it_serves(&listener, &path).await;
        drop(listener);
        assert!(!path.exists());
    }
}

#[test]
fn a_socket_never_has_more_permissions_than_its_mode_under_any_umask() {
    for umask in ["0", "0777"] {
        let directory = directory();
        let mut command = child(&format!("umask {umask};"), "unix::child_binds_often");
        command.env("SOCKET", directory.path().join("socket"));
        succeed(command);
    }
}

#[test]
#[ignore = "runs in a child process"]
fn child_binds_often() {
    let path = PathBuf::from(env::var_os("SOCKET").expect("a path"));
    let is_done = Arc::new(AtomicBool::new(false));
    let (observed, done) = (path.clone(), is_done.clone());
    let observer = thread::spawn(move || {
        while !done.load(Ordering::Relaxed) {
            if let Ok(found) = fs::symlink_metadata(&observed) {
                let mode = found.permissions().mode() & 0o777;
                assert_eq!(mode & !0o640, 0, "{mode:o}");
            }
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(async {
        for _ in 0..500 {
            let _listener = bind(&path, 0o640).await.expect("a listener");
            assert_eq!(mode(&path), 0o640);
        }
    });
    is_done.store(true, Ordering::Relaxed);
    observer.join().expect("the mode was never wider");
}

#[tokio::test]
async fn the_socket_of_a_dead_server_is_replaced() {
    let directory = directory();
    let path = directory.path().join("socket");
    drop(UnixListener::bind(&path).expect("a listener"));
    assert!(path.exists());
    let listener = bind(&path, 0o600).await.expect("a listener");
    assert_eq!(mode(&path), 0o600);
    check_that_it_serves(&listener, &path).await;
}

#[tokio::test]
async fn the_socket_of_a_server_that_runs_is_not_replaced() {
    let directory = directory();
    let path = directory.path().join("socket");
    let first = bind(&path, 0o600).await.expect("a listener");
    let error = bind(&path, 0o600).await.expect_err("the socket is in use");
    assert!(matches!(error, BindError::InUse(_)), "{error}");
    // The attempt to connect is a connection that was closed.
    first.accept().await.expect("a connection");
    check_that_it_serves(&first, &path).await;
}

#[tokio::test]
async fn a_server_that_accepts_nothing_still_runs() {
    let directory = directory();
    let path = directory.path().join("socket");
    let busy = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    busy.bind(&SockAddr::unix(&path).expect("an address"))
        .expect("a socket");
    busy.listen(0).expect("a listener");
    let mut waiting = Vec::new();
    while let Ok(client) = UnixStream::connect(&path).await {
        waiting.push(client);
        assert!(waiting.len() < 100, "the backlog is never full");
    }
    let error = bind(&path, 0o600).await.expect_err("the socket is in use");
    assert!(matches!(error, BindError::InUse(_)), "{error}");
}

#[tokio::test]
async fn what_is_not_a_socket_is_not_removed() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    File::create(path("file")).expect("a file");
    fs::create_dir(path("directory")).expect("a directory");
    symlink("file", path("link")).expect("a link");
    symlink("absent", path("dangling")).expect("a link");
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    symlink("socket", path("link-to-socket")).expect("a link");
    for name in ["file", "directory", "link", "dangling", "link-to-socket"] {
        let error = bind(&path(name), 0o600).await.expect_err(name);
        assert!(matches!(error, BindError::NotASocket(_)), "{name}: {error}");
        assert!(fs::symlink_metadata(path(name)).is_ok(), "{name} is gone");
    }
    let _datagrams = UnixDatagram::bind(path("datagrams")).expect("a socket");
    let error = bind(&path("datagrams"), 0o600)
        .await
        .expect_err("datagrams");
    assert!(matches!(error, BindError::Unix { .. }), "{error}");
    assert!(path("datagrams").exists());
}

#[tokio::test]
async fn what_has_replaced_a_socket_is_not_removed_at_the_end() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listener = bind(&path, 0o600).await.expect("a listener");
    fs::remove_file(&path).expect("a socket");
    let second = bind(&path, 0o600).await.expect("a listener");
    drop(listener);
    check_that_it_serves(&second, &path).await;
    fs::rename(&path, directory.path().join("elsewhere")).expect("a socket");
    File::create(&path).expect("a file");
    drop(second);
    assert!(path.is_file());
}

#[tokio::test]
async fn paths_that_cannot_be_made_are_errors_of_one_line() {
    let directory = directory();
    let long = "x".repeat(200);
    for name in ["absent/socket", long.as_str()] {
        let error = bind(&directory.path().join(name), 0o600)
            .await
            .expect_err(name);
        let text = error.to_string();
        assert!(matches!(error, BindError::Unix { .. }), "{text}");
        assert!(text.contains("cannot make the socket") && !text.contains('\n'));
    }
    // The longest path that the system allows.
    let base = directory.path().as_os_str().len() + 1;
    let path = directory.path().join("x".repeat(107 - base));
    let listener = bind(&path, 0o600).await.expect("a listener");
    check_that_it_serves(&listener, &path).await;
}

#[test]
fn of_servers_that_start_at_the_same_time_one_listens() {
    for _ in 0..20 {
        let directory = directory();
        let path = directory.path().join("socket");
        drop(UnixListener::bind(&path).expect("a stale socket"));
        let start = || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let runtime = runtime.expect("a runtime");
            let bound = runtime.block_on(bind(&path, 0o600));
            bound.map(|listener| (runtime, listener))
        };
        let results: Vec<_> = thread::scope(|scope| {
            let servers: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
            servers
                .into_iter()
                .map(|server| server.join().expect("a server"))
                .collect()
        });
        let (listening, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        assert_eq!((listening.len(), refused.len()), (1, 3));
        assert!(path.exists());
    }
}

// The clock is tokio's, so that the five seconds take no time.
#[tokio::test(start_paused = true)]
async fn a_locked_directory_is_an_error_after_a_while() {
    let directory = directory();
    let locked = File::open(directory.path()).expect("a directory");
    locked.lock().expect("a lock");
    let path = directory.path().join("socket");
    let error = bind(&path, 0o600).await.expect_err("a lock");
    assert!(matches!(error, BindError::Locked(_)), "{error}");
    drop(locked);
    bind(&path, 0o600).await.expect("a listener");
}
