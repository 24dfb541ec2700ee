//! Clients that are slow, idle or many: a client costs only its own requests.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::{Body, Bytes, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use session3_test_fixtures::{GUEST, HANDLER};
use session3_test_program::Demo;
use session3_test_support::block_on;

use crate::place::{Place, get, hold_instance, read, send};

/// The size of a page that fits the server's buffers, in KiB.
const PAGE: usize = 147;

fn serve(arguments: &[&str]) -> (Place, Demo) {
    let place = Place::new(GUEST);
    let server = place.serve(arguments);
    (place, server)
}

/// Requests a page and does not read it.
pub fn request(server: &Demo, page: &str) -> TcpStream {
    send(server, &format!("GET /{page} HTTP/1.1\r\nHost: h\r\n\r\n"))
}

/// Returns whether the server has closed the connection, when all that it sent is read.
fn is_closed(mut stream: &TcpStream) -> bool {
    let before = stream.read_timeout().unwrap();
    stream
        .set_read_timeout(Some(Duration::from_millis(10)))
        .unwrap();
    let mut buffer = [0; 1 << 16];
    let closed = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(_) => {}
            Err(error) => {
                break !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
            }
        }
    };
    // Callers that read the next answer wait for it as long as before.
    stream.set_read_timeout(before).unwrap();
    closed
}

/// Waits until the server has closed the connection. Returns how long that took.
fn time_to_close(stream: &TcpStream) -> Duration {
    let start = Instant::now();
    while !is_closed(stream) {
        assert!(start.elapsed() < Duration::from_secs(60), "it stays open");
    }
    start.elapsed()
}

pub type Http2 = http2::SendRequest<Empty<Bytes>>;

/// Opens a connection of HTTP/2 that takes no bodies: with a window of 0 bytes.
pub async fn http_2_without_a_window(server: &Demo) -> Http2 {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(0)
        .max_concurrent_streams(None);
    http_2(server, &builder).await
}

/// Opens a connection of HTTP/2.
async fn http_2(server: &Demo, builder: &http2::Builder<TokioExecutor>) -> Http2 {
    let address = server
        .url
        .strip_prefix("http://")
        .unwrap()
        .trim_end_matches('/');
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// Returns a request for a page over HTTP/2.
pub fn page(server: &Demo, page: &str) -> Request<Empty<Bytes>> {
    Request::get(format!("{}{page}", server.url))
        .body(Empty::new())
        .unwrap()
}

#[test]
fn http_2_clients_that_take_nothing_leave_the_instances_to_others() {
    let (_place, server) = serve(&["--max-instances", "4"]);
    block_on(async {
        let mut responses = Vec::new();
        for _ in 0..2 {
            let sender = http_2_without_a_window(&server).await;
            for _ in 0..90 {
                let response = sender.clone().send_request(page(&server, "bytes/147"));
                // A server that is not too busy has sent the head of each.
                responses.push(response.await.unwrap());
            }
        }
        assert!(responses.iter().any(|response| response.status() == 200));
        for _ in 0..20 {
            let answer = tokio::task::block_in_place(|| get(&server, ""));
            assert_eq!(answer.text, "fine");
        }
        drop(responses);
    });
}

#[test]
fn clients_that_read_nothing_leave_the_instances_to_others() {
    let (_place, server) = serve(&["--max-instances", "4"]);
    // The second page does not fit the buffers, so its clients have to give way.
    for path in [format!("bytes/{PAGE}"), "bytes/30000".into()] {
        let clients: Vec<_> = (0..16).map(|_| request(&server, &path)).collect();
        for _ in 0..20 {
            assert_eq!(get(&server, "").text, "fine");
        }
        drop(clients);
    }
}

#[test]
fn a_client_that_stalls_is_disconnected() {
    let (_place, server) = serve(&["--client-timeout", "1", "--max-instances", "2"]);
    let client = request(&server, "bytes/60000");
    // The client may have some time in reserve.
    thread::sleep(Duration::from_secs(6));
    let answer = read(client);
    assert!(answer.len() < 60_000 << 10, "all was sent");
    // A page that hyper takes at once, one that it does not, and two that are shorter than their
    // headers, of which the server wrote the second.
    for path in ["bytes/4", "bytes/60000", "", "status/100"] {
        block_on(async {
            let sender = http_2_without_a_window(&server).await;
            let response = sender.clone().send_request(page(&server, path)).await;
            let body: Incoming = response.unwrap().into_body();
            assert!(!body.is_end_stream());
            let start = Instant::now();
            while !sender.is_closed() {
                assert!(start.elapsed() < Duration::from_secs(30), "it stays open");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert!(body.collect().await.is_err());
        });
    }
}

/// What a client does not want any more, it does not have to take.
#[test]
fn a_client_that_gives_up_a_response_keeps_its_connection() {
    let (_place, server) = serve(&["--client-timeout", "1"]);
    block_on(async {
        let builder = http2::Builder::new(TokioExecutor::new());
        let mut sender = http_2(&server, &builder).await;
        let response = sender.send_request(page(&server, "bytes/60000")).await;
        let mut body = response.unwrap().into_body();
        assert!(body.frame().await.unwrap().is_ok());
        drop(body);
        // The client may have some time in reserve.
        tokio::time::sleep(Duration::from_secs(6)).await;
        let response = sender.send_request(page(&server, "")).await.unwrap();
        assert_eq!(
            response.into_body().collect().await.unwrap().to_bytes(),
            "fine"
        );
    });
}

#[test]
fn a_client_that_asks_for_heads_keeps_its_connection() {
    let (_place, server) = serve(&["--client-timeout", "1"]);
    let mut client = send(&server, "");
    for seconds in [0, 6] {
        thread::sleep(Duration::from_secs(seconds));
        let head = b"HEAD /bytes/30 HTTP/1.1\r\nHost: h\r\n\r\n";
        client.write_all(head).unwrap();
        let mut said = [0; 15];
        client.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 200 OK");
        assert!(!is_closed(&client));
    }
}

#[test]
fn requests_that_are_refused_cannot_fill_the_log() {
    let (place, server) = serve(&["--max-instances", "1", "--timeout", "3"]);
    let hold = hold_instance(&server);
    let waiting: Vec<_> = (0..4).map(|_| request(&server, "")).collect();
    thread::sleep(Duration::from_millis(300));
    for _ in 0..100 {
        assert_eq!(get(&server, "").status, 503);
    }
    place.wait_for("a request was refused");
    let lines = place.log().matches("a request was refused").count();
    assert!(lines <= 10, "{lines}");
    drop((hold, waiting));
}

#[test]
fn a_client_that_is_slow_is_served() {
    for (application, path) in [(GUEST, "bytes/9000"), (HANDLER, "echo")] {
        let place = Place::new(application);
        let server = place.serve(&["--timeout", "1", "--client-timeout", "2"]);
        let body = "x".repeat(9000 << 10);
        let mut stream = match path {
            "echo" => {
                let length = body.len();
                let head = format!(
                    "POST /echo HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: \
                     {length}\r\n\r\n"
                );
                let stream = send(&server, &head);
                let mut writer = stream.try_clone().unwrap();
                thread::spawn(move || writer.write_all(body.as_bytes()));
                stream
            }
            path => send(
                &server,
                &format!("GET /{path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
            ),
        };
        let start = Instant::now();
        let mut text = Vec::new();
        let mut piece = vec![0; 300_000];
        loop {
            let length = stream.read(&mut piece).unwrap();
            if length == 0 {
                break;
            }
            text.extend_from_slice(&piece[..length]);
            thread::sleep(Duration::from_millis(50));
        }
        assert!(
            start.elapsed() > Duration::from_secs(1),
            "longer than the application may take"
        );
        assert!(text.ends_with(b"\r\n0\r\n\r\n"), "it is complete");
        assert!(text.len() > 9000 << 10);
    }
}

#[test]
fn a_client_that_takes_a_little_at_a_time_is_served_whatever_the_system_buffers() {
    let (_place, server) = serve(&["--client-timeout", "1"]);
    // More than the system would hold for a client.
    let mut stream = send(
        &server,
        "GET /bytes/4500 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
    );
    let (mut length, mut piece) = (0, [0; 20_000]);
    loop {
        let read = stream.read(&mut piece).unwrap();
        if read == 0 {
            break;
        }
        length += read;
        thread::sleep(Duration::from_millis(50));
    }
    assert!(length > 4500 << 10, "{length}");
}

#[test]
fn an_upload_that_is_slow_is_received_and_one_that_stalls_is_answered_408() {
    let (_place, server) = serve(&["--timeout", "1", "--client-timeout", "1"]);
    let head =
        "POST /body HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 200000\r\n\r\n";
    let mut slow = send(&server, head);
    for _ in 0..10 {
        slow.write_all(&[b'x'; 20_000]).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    let answer = read(slow);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("200000"), "{answer}");

    for length in [0, 100, 100_000] {
        let mut stalled = send(&server, head);
        stalled.write_all(&vec![b'x'; length]).unwrap();
        let answer = read(stalled);
        assert!(
            answer.starts_with("HTTP/1.1 408 "),
            "after {length} bytes: {answer}"
        );
    }
}

#[test]
fn a_form_that_comes_slowly_takes_no_instance() {
    let (_place, server) = serve(&["--max-instances", "1"]);
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut client = send(
                &server,
                "POST /body HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 6\r\n\r\n",
            );
            client.write_all(b"abc").unwrap();
            client
        })
        .collect();
    for _ in 0..10 {
        assert_eq!(get(&server, "").text, "fine");
    }
    for mut client in clients {
        client.write_all(b"def").unwrap();
        assert!(read(client).ends_with("\r\n\r\n6"));
    }
}

#[test]
fn uploads_that_come_bytewise_leave_the_instances_to_others() {
    let (_place, server) = serve(&["--max-instances", "2"]);
    let head = "POST /hold HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
    for _ in 0..2 {
        let mut client = send(&server, &(head.to_owned() + &"x".repeat(100_000)));
        let mut said = [0; 12];
        client.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"HTTP/1.1 200", "an instance waits for the rest");
        thread::spawn(move || {
            while client.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(300));
            }
        });
    }
    let start = Instant::now();
    assert_eq!(get(&server, "").text, "fine");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_response_has_a_limit_in_all() {
    let (place, server) = serve(&["--max-response-time", "2", "--client-timeout", "1"]);
    let mut stream = request(&server, "bytes/60000");
    let (start, mut piece) = (Instant::now(), vec![0; 40_000]);
    while matches!(stream.read(&mut piece), Ok(1..)) {
        assert!(start.elapsed() < Duration::from_secs(60), "it goes on");
        thread::sleep(Duration::from_millis(20));
    }
    assert!(start.elapsed() > Duration::from_secs(1));
    place.wait_for("a response was cut off");
}

/// Returns the address space of a server, in kB.
fn address_space(server: &Demo) -> u64 {
    server.memory("VmSize")
}

#[test]
fn a_client_that_reads_nothing_keeps_no_component_alive() {
    let (place, server) = serve(&["--max-instances", "8", "--client-timeout", "2"]);
    let mut clients = Vec::new();
    let mut sizes = Vec::new();
    for reload in 1..=4 {
        clients.push(request(&server, &format!("bytes/{PAGE}")));
        clients.push(request(&server, "bytes/30000"));
        get(&server, "");
        server.signal("HUP");
        while place.log().matches("was loaded anew").count() < reload {
            thread::sleep(Duration::from_millis(10));
        }
        clients.retain(|client| client.peer_addr().is_ok());
        sizes.push(address_space(&server));
    }
    // The clients of the larger page stall, after which no earlier component is left.
    let start = Instant::now();
    while address_space(&server) > sizes[0] + sizes[0] / 4 {
        assert!(start.elapsed() < Duration::from_secs(60), "{sizes:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn idle_connections_are_closed_and_others_wait_for_them() {
    let arguments = [
        "--idle-timeout",
        "1",
        "--header-timeout",
        "2",
        "--max-connections",
        "4",
    ];
    let (_place, server) = serve(&arguments);
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let mut client = request(&server, "");
            let mut head = [0; 12];
            client.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
            client
        })
        .collect();
    assert_eq!(get(&server, "").text, "fine", "when one of them is closed");
    for client in clients {
        time_to_close(&client);
    }
    // Neither a header that comes slowly nor none at all keeps a connection.
    for said in [
        "",
        "GET / HTTP/1.1\r\nHo",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let client = send(&server, said);
        assert!(time_to_close(&client) > Duration::from_secs(1), "{said:?}");
    }
}

#[test]
fn pings_keep_no_connection_open() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0pingpong";
    // HEADERS with END_STREAM and END_HEADERS: GET, http, /, and the authority "h".
    const GET: &[u8] = b"\0\0\x06\x01\x05\0\0\0\x01\x82\x86\x84\x41\x01h";
    let (_place, server) = serve(&["--idle-timeout", "1"]);
    let mut client = send(&server, "");
    client.write_all(PREFACE).unwrap();
    client.write_all(GET).unwrap();
    let start = Instant::now();
    while !is_closed(&client) {
        assert!(start.elapsed() < Duration::from_secs(60), "it stays open");
        let _ = client.write_all(PING);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(start.elapsed() > Duration::from_millis(900));
}

/// Returns the status of a request over HTTP/2 with this cookie.
pub fn status_over_http_2(place: &Place, cookie: &str) -> u16 {
    let server = place.serve(&[]);
    block_on(async {
        let sender = http_2_without_a_window(&server).await;
        let request = Request::get(&server.url).header("cookie", cookie);
        let request = request.body(Empty::new()).unwrap();
        let response = sender.clone().send_request(request).await.unwrap();
        response.status().as_u16()
    })
}

/// Returns the body of the response to a HEAD request over HTTP/2.
pub fn body_of_head_over_http_2(server: &Demo, path: &str) -> Bytes {
    block_on(async {
        let address = server.url.strip_prefix("http://").unwrap();
        let stream = tokio::net::TcpStream::connect(address.trim_end_matches('/'));
        let io = TokioIo::new(stream.await.unwrap());
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let request = Request::head(format!("{}{path}", server.url));
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        response.into_body().collect().await.unwrap().to_bytes()
    })
}
