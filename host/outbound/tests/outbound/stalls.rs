//! Servers that stall in each phase of a request.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::repeat_with;
use http::Request;
use http_body::Frame;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use session3_outbound::{Outbound, OutboundError, Timeouts};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::sleep;

use crate::assert_error;
use crate::bodies::channel;
use crate::names::Silent;
use crate::raw_server::{FullListener, RawServer, read_head};
use crate::requests::{LONG, SHORT, get, options, outbound, outbound_to, text};

async fn get_with(outbound: &Outbound, url: &str, timeouts: Timeouts) -> OutboundError {
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    outbound.send(request, timeouts).await.unwrap_err()
}

#[tokio::test]
async fn a_name_server_that_does_not_answer() {
    let rules = ["a.example"];
    let outbound_dns = outbound(&rules, options().resolver(Silent).dns_timeout(SHORT));
    let result = get(&outbound_dns, "http://a.example/").await;
    assert_error!(result, OutboundError::DnsTimeout(_));
    // The time limit for connecting includes the name server.
    let outbound = outbound(&rules, options().resolver(Silent));
    let timeouts = Timeouts {
        connect: Some(SHORT),
        ..Timeouts::default()
    };
    let error = get_with(&outbound, "http://a.example/", timeouts).await;
    assert!(
        matches!(error, OutboundError::ConnectTimeout(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_accept() {
    let full = FullListener::start("127.0.0.1:0").await;
    let port = full.address.port();
    let url = format!("http://{}/", full.address);
    let by_options = outbound_to(port, options().connect_timeout(SHORT));
    assert_error!(
        get(&by_options, &url).await,
        OutboundError::ConnectTimeout(_)
    );
    let by_request = outbound_to(port, options());
    let timeouts = Timeouts {
        connect: Some(SHORT),
        ..Timeouts::default()
    };
    let error = get_with(&by_request, &url, timeouts).await;
    assert!(
        matches!(error, OutboundError::ConnectTimeout(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_handshake_of_tls() {
    let server = RawServer::silent().await;
    let outbound = outbound_to(server.port(), options().connect_timeout(SHORT));
    let url = format!("https://{}/", server.address);
    assert_error!(get(&outbound, &url).await, OutboundError::ConnectTimeout(_));
}

#[tokio::test]
async fn a_server_that_does_not_answer() {
    let server = RawServer::silent().await;
    let by_options = outbound_to(server.port(), options().first_byte_timeout(SHORT));
    let result = get(&by_options, &server.url()).await;
    assert_error!(result, OutboundError::FirstByteTimeout(_));
    // A request cannot ask for more than the options allow.
    let timeouts = Timeouts {
        first_byte: Some(LONG),
        ..Timeouts::default()
    };
    let error = get_with(&by_options, &server.url(), timeouts).await;
    assert!(
        matches!(error, OutboundError::FirstByteTimeout(_)),
        "{error:?}"
    );
    let by_request = outbound_to(server.port(), options());
    let timeouts = Timeouts {
        first_byte: Some(SHORT),
        ..Timeouts::default()
    };
    let error = get_with(&by_request, &server.url(), timeouts).await;
    assert!(
        matches!(error, OutboundError::FirstByteTimeout(_)),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_server_that_never_ends_its_headers() {
    let server = RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await?;
        loop {
            stream.write_all(b"x").await?;
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let outbound = outbound_to(server.port(), options().first_byte_timeout(SHORT));
    let result = get(&outbound, &server.url()).await;
    assert_error!(result, OutboundError::FirstByteTimeout(_));
}

#[tokio::test]
async fn a_server_that_does_not_take_the_body() {
    let server = RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        sleep(LONG).await;
        Ok(())
    })
    .await;
    let endless = || {
        let part = || Ok::<_, io::Error>(Frame::data(Bytes::from_static(&[0; 65536])));
        StreamBody::new(repeat_with(part))
    };
    let send = async |outbound: &Outbound| {
        let request = Request::post(server.url()).body(endless()).unwrap();
        outbound.send(request, Timeouts::default()).await
    };
    let by_answer = outbound_to(server.port(), options().first_byte_timeout(SHORT));
    assert_error!(send(&by_answer).await, OutboundError::FirstByteTimeout(_));
    let by_write = outbound_to(server.port(), options().between_bytes_timeout(SHORT));
    assert_error!(send(&by_write).await, OutboundError::WriteTimeout(..));
}

#[tokio::test]
async fn a_slow_upload_is_not_a_stall() {
    let server = RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        stream.read_exact(&mut [0; 8]).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
    })
    .await;
    let first_byte = Duration::from_secs(2);
    let outbound = outbound_to(server.port(), options().first_byte_timeout(first_byte));
    let (sender, body) = channel();
    let request = Request::post(server.url())
        .header("Content-Length", "8")
        .body(body)
        .unwrap();
    // All parts together take longer than the time limit.
    let upload = tokio::spawn(async move {
        for _ in 0..8 {
            sleep(first_byte / 6).await;
            sender.send(Ok(Frame::data("x".into()))).await.unwrap();
        }
    });
    let response = outbound.send(request, Timeouts::default()).await.unwrap();
    assert_eq!(response.status(), 200);
    upload.await.unwrap();
}

/// A server that sends a part of a body and then waits.
async fn pausing() -> RawServer {
    RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
            .await?;
        sleep(LONG).await;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_server_that_pauses_within_the_body() {
    let server = pausing().await;
    let by_options = outbound_to(server.port(), options().between_bytes_timeout(SHORT));
    let result = text(&by_options, &server.url()).await;
    assert_error!(result, OutboundError::BetweenBytesTimeout(_));

    let by_request = outbound_to(server.port(), options());
    let timeouts = Timeouts {
        between_bytes: Some(SHORT),
        ..Timeouts::default()
    };
    let request = Request::get(server.url())
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = by_request.send(request, timeouts).await.unwrap();
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "hello");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(
        matches!(error, OutboundError::BetweenBytesTimeout(_)),
        "{error:?}"
    );
    // After its error, a body has ended.
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn a_body_that_dribbles_is_read() {
    let server = RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
            .await?;
        for _ in 0..10 {
            stream.write_all(b"x").await?;
            sleep(Duration::from_millis(300)).await;
        }
        Ok(())
    })
    .await;
    // All parts together take longer than the time limit.
    let limit = Duration::from_secs(2);
    let outbound = outbound_to(server.port(), options().between_bytes_timeout(limit));
    assert_eq!(
        text(&outbound, &server.url()).await.unwrap(),
        "x".repeat(10)
    );
}

#[tokio::test]
async fn the_time_that_the_application_takes_is_not_the_servers() {
    let response = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let server = RawServer::answering(response).await;
    let outbound = outbound_to(server.port(), options().between_bytes_timeout(SHORT));
    let response = get(&outbound, &server.url()).await.unwrap();
    sleep(3 * SHORT).await;
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(bytes, "hello");
}
