//! Connections that are kept for later requests.

use std::sync::Arc;
use std::time::Duration;

use http::Request;
use session3_outbound::{Options, OutboundError, Timeouts};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::assert_error;
use crate::bodies::channel;
use crate::http_server::{HttpServer, text_answer};
use crate::names::Names;
use crate::raw_server::{RawServer, read_head};
use crate::requests::{get, options, outbound, outbound_to, read, text, until};

#[tokio::test]
async fn a_connection_is_used_again_by_allowed_requests_only() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let port = server.port();
    let names = Names::default()
        .answer("a.example", &["127.0.0.1"])
        .answer("b.example", &["127.0.0.1"]);
    let rules = [format!("a.example:{port}"), format!("127.0.0.0/24:{port}")];
    let outbound = outbound(&[&rules[0], &rules[1]], options().resolver(names.clone()));
    for host in ["a.example", "A.EXAMPLE", "a.example."] {
        let url = format!("http://{host}:{port}/");
        assert_eq!(text(&outbound, &url).await.unwrap(), "hello");
        // The rules apply, although there is a connection to the same address.
        let result = get(&outbound, &format!("http://b.example:{port}/")).await;
        assert_error!(result, OutboundError::Denied(_));
        let result = get(&outbound, &format!("https://a.example:{}/", port - 1)).await;
        assert_error!(result, OutboundError::Denied(_));
    }
    assert_eq!((server.connections(), server.requests()), (1, 3));
    assert_eq!(names.asked("a.example"), 1);
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced() {
    let server = RawServer::start(|mut stream| async move {
        read_head(&mut stream).await?;
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(response).await
    })
    .await;
    let outbound = outbound_to(server.port(), options());
    for _ in 0..20 {
        assert_eq!(text(&outbound, &server.url()).await.unwrap(), "hello");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let options = options().idle_timeout(Duration::from_millis(50));
    let outbound = outbound_to(server.port(), options);
    text(&outbound, &server.url()).await.unwrap();
    until("the end of the connection", || {
        server.open_connections() == 0
    })
    .await;
}

/// Sends some requests that are under way at the same time, so that each has a connection.
async fn at_once(server: &HttpServer, options: Options, number: usize) {
    let outbound = outbound_to(server.port(), options);
    let barrier = Arc::new(Barrier::new(number));
    let mut tasks = JoinSet::new();
    for _ in 0..number {
        let (outbound, url, barrier) = (outbound.clone(), server.url(), barrier.clone());
        tasks.spawn(async move {
            let (sender, body) = channel();
            let request = Request::post(url).body(body).unwrap();
            let response = outbound.send(request, Timeouts::default()).await.unwrap();
            barrier.wait().await;
            drop(sender);
            read(response).await.unwrap();
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(server.connections(), number);
    // Dropping what sends requests would close all connections.
    until("connections to be closed", || {
        server.open_connections() <= 2
    })
    .await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(server.open_connections(), 2);
    drop(outbound);
    until("all connections to be closed", || {
        server.open_connections() == 0
    })
    .await;
}

#[tokio::test]
async fn the_number_of_kept_connections_is_limited() {
    let server = HttpServer::echo(None).await;
    at_once(&server, options().max_kept_connections(2), 10).await;
}

#[tokio::test]
async fn without_kept_connections_each_request_has_its_own() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let outbound = outbound_to(server.port(), options().max_kept_connections(0));
    for _ in 0..3 {
        assert_eq!(text(&outbound, &server.url()).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 3);
    until("the end of the connections", || {
        server.open_connections() == 0
    })
    .await;
}
