//! The bodies of requests and responses, with HTTP/1.1.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt as _, Full};
use session3_outbound::{Outbound, OutboundError, Timeouts};
use tokio::net::TcpSocket;
use tokio::sync::mpsc;

use crate::assert_error;
use crate::http_server::HttpServer;
use crate::raw_server::{RawServer, read_head};
use crate::requests::{get, options, outbound_to, read, text, until};

type Part = io::Result<Frame<Bytes>>;

/// A body that a test sends in parts.
pub struct ChannelBody(mpsc::Receiver<Part>);

/// Returns a body, and what sends its parts. Dropping the sender ends the body.
pub fn channel() -> (mpsc::Sender<Part>, ChannelBody) {
    let (sender, receiver) = mpsc::channel(1);
    (sender, ChannelBody(receiver))
}

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context)
    }
}

/// Checks that the bodies of a request and its response are streamed at the same time.
pub async fn check_streaming(outbound: &Outbound, url: &str, version: Version) {
    let (sender, body) = channel();
    let request = Request::post(url).body(body).unwrap();
    let response = outbound.send(request, Timeouts::default()).await.unwrap();
    assert_eq!(response.version(), version);
    let mut echo = response.into_body();
    for part in ["one", "two", "three"] {
        sender.send(Ok(Frame::data(part.into()))).await.unwrap();
        let frame = echo.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    drop(sender);
    assert!(echo.collect().await.unwrap().to_bytes().is_empty());
}

/// Checks that a body that fails, or whose length is wrong, is the error of its request.
pub async fn check_failures(outbound: &Outbound, url: &str) {
    let failing = async |length: Option<&str>, parts: Vec<Part>| {
        let (sender, body) = channel();
        let mut request = Request::post(url);
        if let Some(length) = length {
            request = request.header("Content-Length", length);
        }
        let request = request.body(body).unwrap();
        let upload = async move {
            for part in parts {
                let _ = sender.send(part).await;
            }
        };
        let exchange = async { read(outbound.send(request, Timeouts::default()).await?).await };
        match tokio::join!(exchange, upload).0.unwrap_err() {
            OutboundError::RequestBody(_, source) => source,
            error => panic!("{error:?}"),
        }
    };
    let data = |text: &'static str| Ok(Frame::data(text.into()));
    let source = failing(None, vec![data("one"), Err(io::Error::other("mine"))]).await;
    assert_eq!(
        source.downcast_ref::<io::Error>().unwrap().to_string(),
        "mine"
    );
    for (length, parts) in [
        ("4", vec![data("one")]),
        ("4", vec![data("one"), data("two")]),
    ] {
        let source = failing(Some(length), parts).await;
        assert!(source.to_string().contains("Content-Length"), "{source}");
    }
}

#[tokio::test]
async fn both_bodies_are_streamed() {
    let server = HttpServer::echo(None).await;
    let outbound = outbound_to(server.port(), options());
    check_streaming(&outbound, &server.url(), Version::HTTP_11).await;
}

#[tokio::test]
async fn a_body_that_fails_is_the_error_of_its_request() {
    let server = HttpServer::echo(None).await;
    let outbound = outbound_to(server.port(), options());
    check_failures(&outbound, &server.url()).await;
}

#[tokio::test]
async fn large_bodies_arrive_whole() {
    let server = HttpServer::echo(None).await;
    let outbound = outbound_to(server.port(), options());
    let sent = Bytes::from(vec![7; 5 << 20]);
    let request = Request::put(server.url())
        .body(Full::new(sent.clone()))
        .unwrap();
    // A body that is not `Sync` can be sent from any task.
    let request = request.map(|body| body.boxed_unsync());
    let sending = async move { outbound.send(request, Timeouts::default()).await };
    let response = tokio::spawn(sending).await.unwrap().unwrap();
    assert_eq!(response.headers()["content-length"], sent.len().to_string());
    let received = response.into_body().collect().await.unwrap().to_bytes();
    assert!(received == sent);
}

#[tokio::test]
async fn trailers_are_passed_on() {
    let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
                    5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n";
    let server = RawServer::answering(response).await;
    let outbound = outbound_to(server.port(), options());
    let response = get(&outbound, &server.url()).await.unwrap();
    assert!(response.headers().is_empty());
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["x-sum"], "1");
    assert_eq!(collected.to_bytes(), "hello");
}

#[tokio::test]
async fn a_server_that_closes_early_is_an_error() {
    for response in [
        "",
        "HTTP/1.1 200",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let server = RawServer::answering(response).await;
        let outbound = outbound_to(server.port(), options());
        let result = text(&outbound, &server.url()).await;
        assert_error!(result, OutboundError::ConnectionClosed(..));
    }
}

#[tokio::test]
async fn a_server_that_resets_the_connection_is_an_error() {
    let server = RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        stream.set_zero_linger()?;
        Ok(())
    })
    .await;
    let outbound = outbound_to(server.port(), options());
    let result = text(&outbound, &server.url()).await;
    assert_error!(result, OutboundError::ConnectionClosed(..));
}

#[tokio::test]
async fn a_port_without_a_server_is_an_error() {
    // The port is taken, and nothing listens there.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let outbound = outbound_to(address.port(), options());
    let result = get(&outbound, &format!("http://{address}/")).await;
    assert_error!(result, OutboundError::ConnectionRefused(..));
}

#[tokio::test]
async fn a_body_that_is_dropped_early_closes_the_connection() {
    let server = HttpServer::echo(None).await;
    let outbound = outbound_to(server.port(), options());
    let (sender, body) = channel();
    let request = Request::post(server.url()).body(body).unwrap();
    let response = outbound.send(request, Timeouts::default()).await.unwrap();
    sender.send(Ok(Frame::data("one".into()))).await.unwrap();
    drop((response, sender));
    until("the end of the connection", || {
        server.open_connections() == 0
    })
    .await;
}
