//! What is sent and what is not.

use std::io;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{Empty, Full};
use session3_outbound::{OutboundError, Timeouts};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::assert_error;
use crate::names::Names;
use crate::raw_server::{RawServer, read_head};
use crate::requests::{options, outbound, outbound_to, read, text};

/// Starts a server that sends the heads of its requests.
async fn heads() -> (RawServer, mpsc::UnboundedReceiver<String>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let server = RawServer::start(move |mut stream| {
        let sender = sender.clone();
        async move {
            let head = read_head(&mut stream).await?;
            sender.send(head).map_err(io::Error::other)?;
            let response = b"HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nx-hop: 1\r\n\
                             Keep-Alive: timeout=5\r\nx-end: 1\r\nContent-Length: 2\r\n\r\nok";
            stream.write_all(response).await
        }
    })
    .await;
    (server, receiver)
}

#[tokio::test]
async fn headers_of_one_connection_are_not_passed_on() {
    let (server, mut heads) = heads().await;
    let port = server.port();
    let names = Names::default().answer("a.example", &["127.0.0.1"]);
    let rules = [format!("a.example:{port}"), format!("127.0.0.1:{port}")];
    let outbound = outbound(&[&rules[0], &rules[1]], options().resolver(names));
    let request = Request::post(format!("http://A.Example.:{port}/path?query"))
        .header("Host", "evil.example")
        .header("Connection", "keep-alive, X-Hop")
        .header("X-Hop", "1")
        .header("Keep-Alive", "timeout=5")
        .header("Proxy-Authorization", "secret")
        .header("Proxy-Connection", "keep-alive")
        .header("TE", "trailers")
        .header("Trailer", "x")
        .header("Transfer-Encoding", "gzip, chunked")
        .header("HTTP2-Settings", "x")
        .header("X-End", "1")
        .body(Full::<Bytes>::from("hello"))
        .unwrap();
    let response = outbound.send(request, Timeouts::default()).await.unwrap();
    let names: Vec<_> = response
        .headers()
        .keys()
        .map(|name| name.as_str())
        .collect();
    assert_eq!(names, ["x-end", "content-length"]);
    assert_eq!(read(response).await.unwrap(), "ok");
    let head = heads.recv().await.unwrap();
    let mut lines: Vec<_> = head.trim_end().split("\r\n").collect();
    lines[1..].sort_unstable();
    let host = format!("host: a.example:{port}");
    let expected = [
        "POST /path?query HTTP/1.1",
        "content-length: 5",
        &host,
        "x-end: 1",
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn requests_that_are_never_sent() {
    let (server, mut heads) = heads().await;
    let outbound = outbound_to(server.port(), options());
    let url = server.url();
    let user = url.replace("http://", "http://user:secret@");
    let requests = [
        Request::builder().method(Method::CONNECT).uri(&url),
        Request::get(&url)
            .header("Upgrade", "websocket")
            .header("Connection", "upgrade"),
        Request::get(&url).header("Content-Length", "5"),
        Request::get(&url)
            .header("Content-Length", "0")
            .header("Content-Length", "0"),
        Request::get(&user),
        Request::get(url.replace("http", "ftp")),
        Request::get("/path"),
        Request::get("a.example:80"),
    ];
    for request in requests {
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let error = outbound
            .send(request, Timeouts::default())
            .await
            .unwrap_err();
        assert!(
            matches!(error, OutboundError::InvalidRequest(_)),
            "{error:?}"
        );
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    assert!(heads.try_recv().is_err());
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn what_is_no_http_is_an_error() {
    let responses = [
        "hello\r\n\r\n",
        "HTTP/3.0 200 OK\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n",
    ];
    for response in responses {
        let server = RawServer::answering(response).await;
        let outbound = outbound_to(server.port(), options());
        let result = text(&outbound, &server.url()).await;
        assert_error!(result, OutboundError::Protocol(..));
    }
}
