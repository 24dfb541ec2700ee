//! HTTP/2, which a server chooses in the handshake of TLS.

use http::{Request, Version};
use session3_outbound::{Options, Outbound, OutboundError, Timeouts};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::assert_error;
use crate::bodies::{channel, check_failures, check_streaming};
use crate::http_server::{HttpServer, text_answer};
use crate::requests::{SHORT, get, options, read, text};
use crate::tls::{Authority, trusting};

struct Setup {
    server: HttpServer,
    outbound: Outbound,
    url: String,
}

async fn setup(server: impl AsyncFnOnce(TlsAcceptor) -> HttpServer, options: Options) -> Setup {
    let authority = Authority::new();
    let tls = authority.acceptor(&["a.example"], &[b"h2", b"http/1.1"]);
    let server = server(tls).await;
    let outbound = trusting(&authority, server.port(), options);
    let url = format!("https://a.example:{}/", server.port());
    Setup {
        server,
        outbound,
        url,
    }
}

#[tokio::test]
async fn both_bodies_are_streamed() {
    let setup = setup(async |tls| HttpServer::echo(Some(tls)).await, options()).await;
    check_streaming(&setup.outbound, &setup.url, Version::HTTP_2).await;
}

#[tokio::test]
async fn a_body_that_fails_is_the_error_of_its_request() {
    let setup = setup(async |tls| HttpServer::echo(Some(tls)).await, options()).await;
    check_failures(&setup.outbound, &setup.url).await;
}

#[tokio::test]
async fn requests_share_one_connection() {
    let hello = async |tls| {
        HttpServer::start(Some(tls), |request| {
            let authority = request.uri().authority().unwrap().to_string();
            assert!(!request.headers().contains_key("host"));
            text_answer(authority)
        })
        .await
    };
    let setup = setup(hello, options()).await;
    let authority = setup
        .url
        .trim_start_matches("https://")
        .trim_end_matches('/')
        .to_owned();
    assert_eq!(text(&setup.outbound, &setup.url).await.unwrap(), authority);
    let mut tasks = JoinSet::new();
    for _ in 0..50 {
        let (outbound, url) = (setup.outbound.clone(), setup.url.clone());
        tasks.spawn(async move { text(&outbound, &url).await.unwrap() });
    }
    while let Some(task) = tasks.join_next().await {
        assert_eq!(task.unwrap(), authority);
    }
    assert_eq!(
        (setup.server.connections(), setup.server.requests()),
        (1, 51)
    );
}

#[tokio::test]
async fn the_rules_apply_to_each_request_of_a_connection() {
    let hello = async |tls| HttpServer::start(Some(tls), |_| text_answer("hello")).await;
    let setup = setup(hello, options()).await;
    for _ in 0..2 {
        assert_eq!(text(&setup.outbound, &setup.url).await.unwrap(), "hello");
        let url = setup.url.replace("a.example", "b.example");
        assert_error!(get(&setup.outbound, &url).await, OutboundError::Denied(_));
    }
    assert_eq!(setup.server.connections(), 1);
}

#[tokio::test]
async fn connections_that_are_not_kept_have_http_1() {
    let hello = async |tls| HttpServer::start(Some(tls), |_| text_answer("hello")).await;
    let setup = setup(hello, options().max_kept_connections(0)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..20 {
        let (outbound, url) = (setup.outbound.clone(), setup.url.clone());
        tasks.spawn(async move {
            let response = get(&outbound, &url).await.unwrap();
            assert_eq!(response.version(), Version::HTTP_11);
            assert_eq!(read(response).await.unwrap(), "hello");
        });
    }
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
    assert_eq!(setup.server.connections(), 20);
}

#[tokio::test]
async fn headers_that_are_too_large_are_an_error() {
    for size in [16 << 10, 24 << 10] {
        let large = async |tls| {
            HttpServer::start(Some(tls), move |_| {
                let mut answer = text_answer("hello");
                let value = "x".repeat(size).parse().unwrap();
                answer.headers_mut().insert("x", value);
                answer
            })
            .await
        };
        let setup = setup(large, options().max_response_header_bytes(16 << 10)).await;
        let result = get(&setup.outbound, &setup.url).await;
        assert_error!(result, OutboundError::ResponseHeadersTooLarge(_));
    }
    let huge = async |tls| {
        HttpServer::start(Some(tls), |_| {
            let mut answer = text_answer("hello");
            let value = "x".repeat(1 << 20).parse().unwrap();
            answer.headers_mut().insert("x", value);
            answer
        })
        .await
    };
    let setup = setup(huge, options().max_response_header_bytes(16 << 10)).await;
    let error = get(&setup.outbound, &setup.url).await.unwrap_err();
    let is_refused = matches!(
        error,
        OutboundError::Protocol(..) | OutboundError::ConnectionClosed(..)
    );
    assert!(is_refused, "{error:?}");
}

#[tokio::test]
async fn a_server_that_pauses_within_the_body() {
    let setup = setup(
        async |tls| HttpServer::echo(Some(tls)).await,
        options().between_bytes_timeout(SHORT),
    )
    .await;
    let (sender, body) = channel();
    let request = Request::post(&setup.url).body(body).unwrap();
    let response = setup
        .outbound
        .send(request, Timeouts::default())
        .await
        .unwrap();
    let result = read(response).await;
    assert_error!(result, OutboundError::BetweenBytesTimeout(_));
    drop(sender);
}

#[tokio::test]
async fn responses_that_are_not_read_hold_up_no_other() {
    let large = async |tls| {
        HttpServer::start(Some(tls), |request| match request.uri().path() {
            "/large" => text_answer(vec![b'x'; 2 << 20]),
            _ => text_answer("hello"),
        })
        .await
    };
    let setup = setup(large, options()).await;
    let url = format!("{}large", setup.url);
    let mut unread = Vec::new();
    for _ in 0..30 {
        unread.push(get(&setup.outbound, &url).await.unwrap());
        assert_eq!(text(&setup.outbound, &setup.url).await.unwrap(), "hello");
    }
    for response in unread {
        assert_eq!(read(response).await.unwrap().len(), 2 << 20);
    }
    assert_eq!(setup.server.connections(), 1);
}
