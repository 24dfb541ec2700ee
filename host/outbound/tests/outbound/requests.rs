//! Sends requests.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use session3_outbound::{Options, Outbound, OutboundError, ResponseBody, Rule, Rules, Timeouts};

/// A time that is over before a test has waited for long, for tests in which a server never
/// does what it is waited for.
pub const SHORT: Duration = Duration::from_millis(150);
/// A time that no test reaches unless it fails.
pub const LONG: Duration = Duration::from_secs(60);

/// Options with time limits that no test reaches unless it fails.
pub fn options() -> Options {
    Options::default()
        .dns_timeout(LONG)
        .connect_timeout(LONG)
        .first_byte_timeout(LONG)
        .between_bytes_timeout(LONG)
}

pub fn rules(texts: &[&str]) -> Rules {
    texts
        .iter()
        .map(|text| Rule::parse(text).unwrap())
        .collect()
}

pub fn outbound(texts: &[&str], options: Options) -> Outbound {
    Outbound::new(rules(texts), options).unwrap()
}

/// Returns what may call a server at this port of 127.0.0.1.
pub fn outbound_to(port: u16, options: Options) -> Outbound {
    outbound(&[&format!("127.0.0.1:{port}")], options)
}

pub async fn get(outbound: &Outbound, url: &str) -> Result<Response<ResponseBody>, OutboundError> {
    let request = Request::get(url).body(Empty::<Bytes>::new()).unwrap();
    outbound.send(request, Timeouts::default()).await
}

/// Returns the body of a response to a request with the method GET.
pub async fn text(outbound: &Outbound, url: &str) -> Result<String, OutboundError> {
    read(get(outbound, url).await?).await
}

pub async fn read(response: Response<ResponseBody>) -> Result<String, OutboundError> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.into()).unwrap())
}

/// Waits until a condition holds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let result = tokio::time::timeout(LONG, wait).await;
    assert!(result.is_ok(), "waited in vain for {what}");
}

/// Asserts that a result is an error of this pattern.
#[macro_export]
macro_rules! assert_error {
    ($result:expr, $pattern:pat) => {
        match $result {
            Ok(_) => panic!("the request succeeded"),
            Err(error) => assert!(matches!(error, $pattern), "{error:?}"),
        }
    };
}
