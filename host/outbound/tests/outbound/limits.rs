//! How many requests are under way, and how large the headers of responses are.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use session3_outbound::{OutboundError, Timeouts};
use tokio::task::JoinSet;

use crate::assert_error;
use crate::bodies::channel;
use crate::http_server::{HttpServer, text_answer};
use crate::raw_server::RawServer;
use crate::requests::{get, options, outbound, outbound_to, read, text, until};

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_are_answered() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let outbound = outbound_to(server.port(), options());
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let (outbound, url) = (outbound.clone(), server.url());
        tasks.spawn(async move {
            for _ in 0..5 {
                assert_eq!(text(&outbound, &url).await.unwrap(), "hello");
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(server.requests(), 1000);
}

#[tokio::test]
async fn one_request_too_many_fails_at_once() {
    let server = HttpServer::echo(None).await;
    let outbound = outbound_to(server.port(), options().max_requests(2));
    let begin = async || {
        let (sender, body) = channel();
        let request = Request::post(server.url()).body(body).unwrap();
        let response = outbound.send(request, Timeouts::default()).await;
        response.map(|response| (sender, response))
    };
    let first = begin().await.unwrap();
    let second = begin().await.unwrap();
    assert_error!(
        begin().await,
        OutboundError::TooManyRequests { limit: 2, .. }
    );
    // A request that ended makes room for another one,
    drop(first.0);
    read(first.1).await.unwrap();
    let third = begin().await.unwrap();
    assert_error!(begin().await, OutboundError::TooManyRequests { .. });
    // and so does one that was given up.
    drop((second, third));
    let mut begun = begin().await;
    while matches!(begun, Err(OutboundError::TooManyRequests { .. })) {
        tokio::task::yield_now().await;
        begun = begin().await;
    }
    begun.unwrap();
}

#[tokio::test]
async fn a_future_that_is_dropped_gives_up_its_request() {
    let silent = RawServer::silent().await;
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let rules = [silent.address.to_string(), server.address.to_string()];
    let outbound = outbound(&[&rules[0], &rules[1]], options().max_requests(1));
    let given_up = tokio::spawn({
        let (outbound, url) = (outbound.clone(), silent.url());
        async move { get(&outbound, &url).await }
    });
    until("the connection", || silent.connections() == 1).await;
    let mut result = text(&outbound, &server.url()).await;
    assert_error!(&result, OutboundError::TooManyRequests { .. });
    given_up.abort();
    // The task of the connection drops the body of the request.
    while matches!(result, Err(OutboundError::TooManyRequests { .. })) {
        tokio::task::yield_now().await;
        result = text(&outbound, &server.url()).await;
    }
    assert_eq!(result.unwrap(), "hello");
}

#[tokio::test]
async fn headers_that_are_too_large_are_an_error() {
    let value = "x".repeat(1 << 20);
    let many: String = (0..101)
        .map(|number| format!("x-{number}: x\r\n"))
        .collect();
    for headers in [
        format!("x: {value}\r\n"),
        format!("x: {}\r\n", &value[..16 << 10]),
        many,
    ] {
        let response = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 2\r\n\r\nok");
        let server = RawServer::answering(response).await;
        let options = options().max_response_header_bytes(16 << 10);
        let outbound = outbound_to(server.port(), options);
        let result = text(&outbound, &server.url()).await;
        assert_error!(result, OutboundError::ResponseHeadersTooLarge(_));
    }
}

#[tokio::test]
async fn headers_within_the_limit_are_read() {
    let value = "x".repeat(60 << 10);
    let response = format!("HTTP/1.1 200 OK\r\nx: {value}\r\nContent-Length: 2\r\n\r\nok");
    let server = RawServer::answering(response).await;
    let outbound = outbound_to(server.port(), options());
    let request = Request::get(server.url())
        .body(Empty::<Bytes>::new())
        .unwrap();
    let response = outbound.send(request, Timeouts::default()).await.unwrap();
    assert_eq!(response.headers()["x"], value);
    assert_eq!(read(response).await.unwrap(), "ok");
}
