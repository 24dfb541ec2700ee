//! Listeners of TCP.

use std::net::SocketAddr;

use session3_listen::{Address, BindError, Listener, LocalAddress, Peer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener};

async fn bind(address: &str) -> Result<Vec<Listener>, BindError> {
    let address: Address = address.parse().expect("an address");
    Listener::bind(&address).await
}

fn socket_address(listener: &Listener) -> SocketAddr {
    match listener.local() {
        LocalAddress::Ip(address) => *address,
        LocalAddress::Unix(_) => panic!("a Unix socket"),
    }
}

#[tokio::test]
async fn all_addresses_of_a_host_have_one_port() {
    let listeners = bind("localhost:0").await.expect("listeners");
    let port = socket_address(&listeners[0]).port();
    for listener in &listeners {
        let address = socket_address(listener);
        assert!(address.ip().is_loopback() && address.port() == port);
        assert_eq!(listener.to_string(), format!("http://{address}/"));
        let mut client = TcpStream::connect(address).await.expect("a connection");
        let accepted = listener.accept().await.expect("a connection");
        let own = client.local_addr().expect("an address");
        assert_eq!(accepted.peer(), Peer::Ip(own));
        let mut connection = accepted.handshake().await.expect("a connection");
        assert_eq!(connection.peer, Peer::Ip(own));
        assert_eq!(connection.local, LocalAddress::Ip(address));
        assert_eq!(connection.local.authority(), address.to_string());
        assert!(!connection.stream.is_tls());
        connection
            .stream
            .set_nodelay(true)
            .expect("a socket of TCP");
        connection
            .stream
            .limit_unsent(32 << 10)
            .expect("a socket of TCP");
        let sent = vec![7; 1 << 20];
        let sending = async {
            connection.stream.write_all(&sent).await.expect("a client");
            connection.stream.shutdown().await.expect("a client");
        };
        let mut received = Vec::new();
        let (result, ()) = tokio::join!(client.read_to_end(&mut received), sending);
        assert_eq!(result.expect("a server"), sent.len());
    }
}

#[tokio::test]
async fn an_ipv4_client_of_a_listener_for_both_families_has_an_ipv4_address() {
    let Ok(listeners) = bind("[::]:0").await else {
        return;
    };
    let port = socket_address(&listeners[0]).port();
    let Ok(client) = TcpStream::connect(("127.0.0.1", port)).await else {
        return;
    };
    let accepted = listeners[0].accept().await.expect("a connection");
    let own = client.local_addr().expect("an address");
    assert_eq!(accepted.peer(), Peer::Ip(own));
    let connection = accepted.handshake().await.expect("a connection");
    assert_eq!(connection.local.to_string(), format!("127.0.0.1:{port}"));
}

#[tokio::test]
async fn a_taken_port_and_an_unknown_host_are_errors_of_one_line() {
    let listeners = bind("127.0.0.1:0").await.expect("listeners");
    let taken = socket_address(&listeners[0]).to_string();
    for (address, why) in [
        (taken.as_str(), "in use"),
        (
            "no.such.host.invalid:80",
            "cannot listen on no.such.host.invalid port 80",
        ),
        ("192.0.2.1:0", "choose another address"),
    ] {
        let error = bind(address).await.expect_err(address).to_string();
        assert!(error.contains(why) && !error.contains('\n'), "{error}");
    }
}

#[tokio::test]
async fn listeners_of_tokio_can_be_used() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let listener = Listener::try_from(listener).expect("a listener");
    assert_eq!(socket_address(&listener), address);
    let _client = TcpStream::connect(address).await.expect("a connection");
    listener.accept().await.expect("a connection");

    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a listener");
    let listener = Listener::try_from(listener).expect("a listener");
    assert_eq!(*listener.local(), LocalAddress::Unix(path.clone()));
    drop(listener);
    assert!(path.exists(), "the file is not the listener's");
}

#[tokio::test]
async fn a_dropped_accept_loses_no_connection() {
    let listeners = bind("127.0.0.1:0").await.expect("listeners");
    let address = socket_address(&listeners[0]);
    for _ in 0..100 {
        let _client = TcpStream::connect(address).await.expect("a connection");
        tokio::select! {
            biased;
            () = std::future::ready(()) => {}
            _ = listeners[0].accept() => unreachable!("the first branch is ready"),
        }
        listeners[0].accept().await.expect("a connection");
    }
}
