//! What the log and the metrics say of requests to other servers.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use http::Request;
use http_body_util::Empty;
use hyper::body::Bytes;
use session3::outbound::{
    OUTBOUND_REQUESTS, Options, Outbound, OutboundError, Resolve, Rule, Timeouts,
};
use session3_test_support::observer::observed;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

/// Every name is a private address.
struct Private;

#[async_trait]
impl Resolve for Private {
    async fn resolve(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![[10, 0, 0, 1].into()])
    }
}

fn outbound(rules: &[&str]) -> Outbound {
    let rules = rules.iter().map(|rule| Rule::parse(rule).unwrap());
    Outbound::new(rules.collect(), Options::default().resolver(Private)).unwrap()
}

async fn get(outbound: &Outbound, url: &str) -> Result<(), OutboundError> {
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    outbound.send(request, Timeouts::default()).await.map(drop)
}

#[test]
fn a_denial_is_logged_once_without_secrets() {
    observed(async |observer| {
        let outbound = outbound(&["b.example"]);
        for _ in 0..3 {
            for host in ["a.example", "b.example", "127.1"] {
                let url = format!("http://{host}/secret?secret");
                get(&outbound, &url).await.unwrap_err();
            }
        }
        get(&outbound, "ftp://a.example/").await.unwrap_err();
        let lines = observer.lines();
        let expected = [
            "the application may not call a.example:80: allow it with --allow-outbound a.example",
            "the application may not call b.example:80 at 10.0.0.1, a private address: allow it \
             with --allow-outbound 10.0.0.1",
            "the application may not call the host \"127.1\": write an IPv4 address as four \
             decimal numbers, such as 127.0.0.1",
        ];
        let relevant: Vec<_> = lines
            .iter()
            .filter(|line| line.contains("may not call"))
            .collect();
        assert_eq!(relevant.len(), expected.len(), "{lines:?}");
        for (line, expected) in relevant.iter().zip(expected) {
            assert!(
                line.contains(" WARN ") && line.ends_with(expected),
                "{line}"
            );
        }
        assert!(!lines.concat().contains("secret"), "{lines:?}");
    });
}

#[test]
fn the_metrics_have_each_result() {
    observed(async |observer| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (outbound, url) = (outbound(&[&address]), format!("http://{address}/"));
        for _ in 0..2 {
            let answering = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                // An answer before the request would be an error of the protocol.
                assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
                let answer = b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n";
                stream.write_all(answer).await.unwrap();
            };
            let (got, ()) = tokio::join!(get(&outbound, &url), answering);
            got.unwrap();
        }
        get(&outbound, "http://a.example/").await.unwrap_err();
        // Nothing accepts this connection.
        let cancelled = timeout(Duration::from_millis(50), get(&outbound, &url));
        assert!(cancelled.await.is_err());
        for (result, count) in [("ok", 2), ("denied", 1), ("cancelled", 1)] {
            assert_eq!(
                observer.counter_of(OUTBOUND_REQUESTS, result),
                count,
                "{result}"
            );
        }
        assert_eq!(observer.counter(OUTBOUND_REQUESTS), 4);
    });
}
