//! The PROXY protocol.

use std::net::SocketAddr;
use std::time::Duration;

use session3_listen::{
    Address, Connection, HandshakeError, Listener, Peer, ProxyHeaderError, TrustedProxies,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::sleep;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const TIMEOUT: Duration = Duration::from_millis(300);

async fn listener(proxies: &str) -> Listener {
    let address: Address = "127.0.0.1:0".parse().expect("an address");
    let mut listeners = Listener::bind(&address).await.expect("a listener");
    let proxies: TrustedProxies = proxies.parse().expect("proxies");
    listeners.remove(0).proxy_protocol(proxies)
}

async fn connect(listener: &Listener) -> TcpStream {
    let address = listener.local().to_string();
    TcpStream::connect(address).await.expect("a connection")
}

/// Sends these parts, and returns the connection, with the peer of its socket.
async fn send(
    listener: &Listener,
    parts: &[&[u8]],
) -> (Result<Connection, HandshakeError>, TcpStream, Peer) {
    let mut client = connect(listener).await;
    client.set_nodelay(true).expect("a socket of TCP");
    let accepted = listener.accept().await.expect("a connection");
    let peer = accepted.peer();
    let sending = async {
        for (number, part) in parts.iter().enumerate() {
            if number > 0 {
                sleep(Duration::from_millis(1)).await;
            }
            // A server that refuses the header closes the connection.
            let _ = client.write_all(part).await;
        }
    };
    let (connection, ()) = tokio::join!(accepted.handshake(), sending);
    (connection, client, peer)
}

fn v2(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short header");
    let [low, high] = length.to_le_bytes();
    [SIGNATURE, &[command, family, high, low], content].concat()
}

fn ipv4(source: [u8; 4], port: u16) -> Vec<u8> {
    let [low, high] = port.to_le_bytes();
    [&source[..], &[10, 0, 0, 1], &[high, low], &[0, 80]].concat()
}

#[tokio::test]
async fn a_header_names_the_client_and_nothing_more_is_read() {
    let peer = |text: &str| Peer::from(text.parse::<SocketAddr>().expect(text));
    let (client, client6) = (peer("192.0.2.1:4711"), peer("[2001:db8::1]:4711"));
    let unknown = Some(Peer::Unknown);
    let mut ipv6 = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].to_vec();
    ipv6.extend([0; 16]);
    ipv6.extend([0x12, 0x67, 0, 80]);
    let with_tlvs = [
        ipv4([192, 0, 2, 1], 4711),
        vec![4, 0, 3, 1, 2, 3, 0x20, 0, 0],
    ]
    .concat();
    let with_nonsense = [ipv4([192, 0, 2, 1], 4711), vec![9; 3000]].concat();
    let mapped = b"PROXY TCP6 ::ffff:192.0.2.1 ::1 4711 80\r\n".to_vec();
    let longest = "PROXY UNKNOWN ".to_owned() + &"f".repeat(91) + "\r\n";
    let listener = listener("loopback").await;
    for (header, expected) in [
        (
            b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
            Some(client),
        ),
        (
            b"PROXY TCP6 2001:db8::1 ::1 4711 80\r\n".to_vec(),
            Some(client6),
        ),
        (mapped, Some(client)),
        (b"PROXY UNKNOWN\r\n".to_vec(), unknown),
        (
            b"PROXY UNKNOWN 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
            unknown,
        ),
        (longest.into_bytes(), unknown),
        (v2(0x21, 0x11, &ipv4([192, 0, 2, 1], 4711)), Some(client)),
        (v2(0x21, 0x21, &ipv6), Some(client6)),
        (v2(0x21, 0x11, &with_tlvs), Some(client)),
        (v2(0x21, 0x11, &with_nonsense), Some(client)),
        (v2(0x21, 0, b""), unknown),
        (v2(0x21, 0, b"ignored"), unknown),
        (v2(0x20, 0, b""), None),
        (v2(0x20, 0x11, &ipv4([192, 0, 2, 1], 4711)), None),
        (v2(0x20, 0x11, b""), None),
        (v2(0x20, 0xff, b"ignored"), None),
    ] {
        // At once with the request, and byte by byte.
        let whole = [&header[..], b"GET /"].concat();
        let bytes: Vec<&[u8]> = match header.len() < 200 {
            true => whole.chunks(1).collect(),
            false => whole.chunks(500).collect(),
        };
        for parts in [vec![&whole[..]], bytes] {
            let (connection, _client, socket) = send(&listener, &parts).await;
            let name = String::from_utf8_lossy(&header);
            let mut connection = connection.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert_eq!(connection.peer, expected.unwrap_or(socket), "{name}");
            let mut request = [0; 5];
            connection
                .stream
                .read_exact(&mut request)
                .await
                .expect("a request");
            assert_eq!(&request, b"GET /", "{name}");
        }
    }
}

#[tokio::test]
async fn a_connection_without_a_valid_header_is_closed() {
    let listener = listener("loopback").await;
    for header in [
        b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00\x00".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r \r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80 x\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1  10.0.0.1 4711 80\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.1 99999 80\r\n".to_vec(),
        b"PROXY TCP4 2001:db8::1 ::1 4711 80\r\n".to_vec(),
        b"PROXY TCP6 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
        b"PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
        b"PROXY TCP4 \xff.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
        b"PROXY UNKNOWNX\r\n".to_vec(),
        b"proxy TCP4 192.0.2.1 10.0.0.1 4711 80\r\n".to_vec(),
        [b"PROXY UNKNOWN ", &[b'f'; 200][..]].concat(),
        v2(0x21, 0x11, b"short"),
        v2(0x21, 0x21, &ipv4([192, 0, 2, 1], 4711)),
        v2(0x11, 0x11, &ipv4([192, 0, 2, 1], 4711)),
        v2(0x22, 0x11, &ipv4([192, 0, 2, 1], 4711)),
        v2(0x21, 0x12, &ipv4([192, 0, 2, 1], 4711)),
        v2(0x21, 0x10, &ipv4([192, 0, 2, 1], 4711)),
        v2(0x21, 0x41, &ipv4([192, 0, 2, 1], 4711)),
        v2(0x21, 0x31, &[b'/'; 216]),
        v2(0x21, 0x11, &[0; 4097]),
    ] {
        let name = String::from_utf8_lossy(&header).into_owned();
        let (connection, mut client, _) = send(&listener, &[&header]).await;
        let error = connection.expect_err(&name);
        let is_refused = match &error {
            HandshakeError::ProxyHeader(ProxyHeaderError::Io(_)) => false,
            HandshakeError::ProxyHeader(_) => true,
            _ => false,
        };
        assert!(is_refused, "{name}: {error}");
        // It is closed, maybe with a reset since not everything was read.
        let received = client.read(&mut [0]).await;
        assert!(!matches!(received, Ok(1..)), "{name}");
    }
}

#[tokio::test]
async fn a_proxy_that_sends_nothing_or_half_a_header_is_disconnected_in_time() {
    let listener = listener("loopback").await.handshake_timeout(TIMEOUT);
    for part in [
        &b""[..],
        b"PROXY TCP4",
        SIGNATURE,
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c1",
    ] {
        let (connection, _client, _) = send(&listener, &[part]).await;
        let error = connection.expect_err("no header");
        assert!(
            matches!(error, HandshakeError::TimedOut(TIMEOUT)),
            "{error}"
        );

        let mut client = connect(&listener).await;
        let accepted = listener.accept().await.expect("a connection");
        client.write_all(part).await.expect("a server");
        drop(client);
        let error = accepted.handshake().await.expect_err("no header");
        let is_end = matches!(error, HandshakeError::ProxyHeader(ProxyHeaderError::Io(_)));
        assert!(is_end, "{error}");
    }
}

#[tokio::test]
async fn a_peer_that_is_no_proxy_is_refused() {
    let header = b"PROXY TCP4 127.0.0.1 10.0.0.1 4711 80\r\n";
    for proxies in ["", "10.0.0.0/8, unix", "127.0.0.2"] {
        let listener = listener(proxies).await;
        let (connection, _, peer) = send(&listener, &[header]).await;
        let error = connection.expect_err("no proxy");
        let is_refused = matches!(&error, HandshakeError::UntrustedProxy(other) if *other == peer);
        assert!(is_refused, "{error}");
    }
}

#[tokio::test]
async fn a_proxy_may_use_a_unix_socket() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    for (proxies, is_trusted) in [("unix", true), ("loopback", false)] {
        let address = Address::Unix {
            path: path.clone(),
            mode: 0o600,
        };
        let mut listeners = Listener::bind(&address).await.expect("a listener");
        let listener = listeners
            .remove(0)
            .proxy_protocol(proxies.parse().expect("proxies"));
        let mut client = UnixStream::connect(&path).await.expect("a connection");
        let header = b"PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\n";
        client.write_all(header).await.expect("a server");
        let accepted = listener.accept().await.expect("a connection");
        let connection = accepted.handshake().await;
        let peer = connection
            .as_ref()
            .ok()
            .and_then(|connection| connection.peer.ip());
        assert_eq!(peer, is_trusted.then_some([192, 0, 2, 1].into()));
    }
}
