//! Which servers a request reaches.

use session3_outbound::OutboundError;
use tokio::io::AsyncWriteExt as _;

use crate::assert_error;
use crate::http_server::{HttpServer, text_answer};
use crate::names::Names;
use crate::raw_server::{FullListener, RawServer, read_head};
use crate::requests::{get, options, outbound, outbound_to, read, text};

#[tokio::test]
async fn an_allowed_name_is_called_and_another_one_is_not() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let port = server.port();
    let names = Names::default()
        .answer("a.example", &["127.0.0.1"])
        .answer("b.example", &["127.0.0.1"])
        .answer("x.b.example", &["127.0.0.1"])
        .answer("c.example", &["127.0.0.1"]);
    let rules = [
        format!("a.example:{port}"),
        format!("*.b.example:{port}"),
        format!("127.0.0.1:{port}"),
    ];
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    let outbound = outbound(&rules, options().resolver(names.clone()));
    for host in [
        "a.example",
        "A.Example.",
        "x.b.example",
        "127.0.0.1",
        "[::ffff:127.0.0.1]",
    ] {
        let body = text(&outbound, &format!("http://{host}:{port}/"))
            .await
            .unwrap();
        assert_eq!(body, "hello", "{host}");
    }
    let requests = server.requests();
    for host in [
        "b.example",
        "c.example",
        "xb.example",
        "a.example.evil.example",
        "[::1]",
    ] {
        let result = get(&outbound, &format!("http://{host}:{port}/")).await;
        assert_error!(result, OutboundError::Denied(_));
    }
    let result = get(&outbound, "http://a.example/").await;
    assert_error!(result, OutboundError::Denied(_));
    assert_eq!(server.requests(), requests);
    assert_eq!(names.asked("b.example") + names.asked("c.example"), 0);
}

#[tokio::test]
async fn a_name_of_an_address_that_is_not_public_is_refused() {
    let cases = [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.1.2.3",
        "168.63.129.16",
        "169.254.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:2::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fec0::1",
        "ff02::1",
    ];
    for address in cases {
        let names = Names::default().answer("a.example", &[address]);
        let outbound = outbound(&["a.example"], options().resolver(names));
        for scheme in ["http", "https"] {
            let result = get(&outbound, &format!("{scheme}://a.example/secret?secret")).await;
            let error = result.unwrap_err();
            let is_prohibited = matches!(error, OutboundError::ProhibitedAddress { .. });
            assert!(is_prohibited, "{address}: {error:?}");
            assert!(error.is_denial());
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

#[tokio::test]
async fn the_name_localhost_may_be_loopback() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let port = server.port();
    let rule = format!("localhost:{port}");
    // The resolver of the system knows this name.
    let outbound = outbound(&[&rule], options());
    let url = format!("http://LocalHost.:{port}/");
    assert_eq!(text(&outbound, &url).await.unwrap(), "hello");
    let result = get(&outbound, &server.url()).await;
    assert_error!(result, OutboundError::Denied(_));
}

#[tokio::test]
async fn a_name_is_not_resolved_between_the_check_and_the_connection() {
    let trap = RawServer::answering("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrap").await;
    let port = trap.port();
    let response = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
    let public = RawServer::start_at(&format!("127.0.0.2:{port}"), move |mut stream| async move {
        read_head(&mut stream).await?;
        stream.write_all(response.as_bytes()).await
    })
    .await;
    // The first answer is allowed. All others are not.
    let names = Names::default()
        .answer("a.example", &["127.0.0.2"])
        .answer("a.example", &["127.0.0.1"]);
    let rules = [format!("a.example:{port}"), format!("127.0.0.2:{port}")];
    let outbound = outbound(&[&rules[0], &rules[1]], options().resolver(names.clone()));
    let url = format!("http://a.example:{port}/");
    assert_eq!(text(&outbound, &url).await.unwrap(), "hello");
    assert_eq!(names.asked("a.example"), 1);
    for _ in 0..3 {
        let result = get(&outbound, &url).await;
        assert_error!(result, OutboundError::ProhibitedAddress { .. });
    }
    assert_eq!(names.asked("a.example"), 4);
    assert_eq!((public.connections(), trap.connections()), (1, 0));
}

#[tokio::test]
async fn addresses_that_are_not_allowed_are_left_out() {
    let trap = RawServer::silent().await;
    let port = trap.port();
    let server = RawServer::start_at(&format!("127.0.0.2:{port}"), |mut stream| async move {
        read_head(&mut stream).await?;
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        stream.write_all(response).await
    })
    .await;
    let names = Names::default().answer("a.example", &["::1", "127.0.0.1", "127.0.0.2"]);
    let rules = [format!("a.example:{port}"), format!("127.0.0.2:{port}")];
    let outbound = outbound(&[&rules[0], &rules[1]], options().resolver(names));
    let body = text(&outbound, &format!("http://a.example:{port}/")).await;
    assert_eq!(body.unwrap(), "hello");
    assert_eq!((server.connections(), trap.connections()), (1, 0));
}

#[tokio::test]
async fn the_next_address_is_tried_if_one_refuses_or_does_not_answer() {
    let server = HttpServer::start(None, |_| text_answer("hello")).await;
    let port = server.port();
    let _full = FullListener::start(&format!("127.0.0.2:{port}")).await;
    // At 127.0.0.3, no server listens.
    let names = Names::default().answer("a.example", &["127.0.0.3", "127.0.0.2", "127.0.0.1"]);
    let rules = [format!("a.example:{port}"), format!("127.0.0.0/8:{port}")];
    let outbound = outbound(&[&rules[0], &rules[1]], options().resolver(names));
    let body = text(&outbound, &format!("http://a.example:{port}/")).await;
    assert_eq!(body.unwrap(), "hello");
}

#[tokio::test]
async fn an_odd_spelling_of_an_address_reaches_nothing() {
    let server = HttpServer::echo(None).await;
    let port = server.port();
    let spellings = [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.01",
        "127.0.0.0x1",
    ];
    let names = spellings.iter().fold(Names::default(), |names, spelling| {
        names.answer(spelling, &["127.0.0.1"])
    });
    let rules = [
        format!("localhost:{port}"),
        format!("127.0.0.1:{port}"),
        format!("0.0.0.0/0:{port}"),
        format!("*.0.example:{port}"),
    ];
    let rules: Vec<_> = rules.iter().map(String::as_str).collect();
    let outbound = outbound(&rules, options().resolver(names));
    for spelling in spellings {
        for dot in ["", "."] {
            let url = format!("http://{spelling}{dot}:{port}/");
            assert_error!(
                get(&outbound, &url).await,
                OutboundError::InvalidHost { .. }
            );
        }
    }
    // `0` and `0.0.0.0` are this machine for many systems.
    let result = get(&outbound, &format!("http://0:{port}/")).await;
    assert_error!(result, OutboundError::InvalidHost { .. });
    let result = get(&outbound, &format!("http://0.0.0.0:{port}/")).await;
    assert_error!(result, OutboundError::ProhibitedAddress { .. });
    let result = get(&outbound, &format!("http://[::]:{port}/")).await;
    assert_error!(result, OutboundError::Denied(_));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn a_redirect_is_a_response() {
    let trap = HttpServer::echo(None).await;
    let location = trap.url();
    let server = HttpServer::start(None, move |_| {
        let mut answer = text_answer("elsewhere");
        *answer.status_mut() = http::StatusCode::FOUND;
        let location = location.parse().unwrap();
        answer
            .headers_mut()
            .insert(http::header::LOCATION, location);
        answer
    })
    .await;
    let outbound = outbound_to(server.port(), options());
    let response = get(&outbound, &server.url()).await.unwrap();
    assert_eq!(response.status(), 302);
    assert_eq!(response.headers()["location"], trap.url());
    assert_eq!(read(response).await.unwrap(), "elsewhere");
    assert_eq!((server.requests(), trap.connections()), (1, 0));
}

#[tokio::test]
async fn a_name_without_an_address_is_an_error() {
    let names = Names::default().answer("empty.example", &[]);
    let outbound = outbound(&["*.example"], options().resolver(names));
    for name in ["empty.example", "absent.example"] {
        let result = get(&outbound, &format!("http://{name}/")).await;
        assert_error!(result, OutboundError::Dns(..));
    }
}
