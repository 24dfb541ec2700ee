//! The host that a request is for.

use hyper::header::{HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Request, Uri, Version};
use session3_listen::is_host;

/// Returns the host that a request is for, from its target or from its header `Host`.
pub fn authority_of<B>(request: &Request<B>) -> Option<Authority> {
    let target = request.uri().authority().cloned();
    target.or_else(|| host(request.headers()))
}

/// Returns whether a request names its host as RFC 9112 §3.2 asks for: with exactly one
/// header `Host`, which HTTP/2 replaces by its `:authority`.
pub fn names_its_host<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    if second.is_some() || (first.is_some() && host(request.headers()).is_none()) {
        return false;
    }
    match request.uri().authority() {
        Some(authority) => is_host(authority),
        None => first.is_some(),
    }
}

/// Adds `Host` to a request of HTTP/1.0 that has none, as health checks send it, since
/// applications need one.
pub fn complete<B>(request: &mut Request<B>, host: &Authority) {
    let is_missing = authority_of(request).is_none() && !request.headers().contains_key(HOST);
    if is_missing
        && request.version() == Version::HTTP_10
        && let Ok(host) = host.as_str().try_into()
    {
        request.headers_mut().insert(HOST, host);
    }
}

/// Replaces the host of a request.
pub fn replace<B>(request: &mut Request<B>, host: &Authority) {
    if let Ok(value) = HeaderValue::try_from(host.as_str())
        && request.headers().contains_key(HOST)
    {
        request.headers_mut().insert(HOST, value);
    }
    if request.uri().authority().is_some() {
        let mut parts = request.uri().clone().into_parts();
        parts.authority = Some(host.clone());
        if let Ok(uri) = Uri::from_parts(parts) {
            *request.uri_mut() = uri;
        }
    }
}

fn host(headers: &HeaderMap) -> Option<Authority> {
    let host = Authority::try_from(headers.get(HOST)?.as_bytes()).ok()?;
    is_host(&host).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str, hosts: &[&str]) -> Request<()> {
        let mut request = Request::get(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).expect("a request")
    }

    #[test]
    fn a_request_names_one_host() {
        for host in ["h", "h:80", "1.2.3.4:65535", "[::1]", "[::1]:8080", "h:"] {
            assert!(names_its_host(&request("/", &[host])), "{host}");
            let target = format!("http://{host}/");
            assert!(names_its_host(&request(&target, &[host])), "{host}");
            assert!(names_its_host(&request(&target, &[])), "{host}");
        }
        for host in [
            "u:p@h",
            "u@h",
            "h@h",
            "h@h:80",
            "h.example:x@h.example.org:443",
            "[::1]evil:80",
            "h:+80",
            "h:99999",
            "h:x",
            "",
            "a b",
            "h/p",
            "@",
        ] {
            assert!(!names_its_host(&request("/", &[host])), "{host}");
            assert!(!names_its_host(&request("http://h/", &[host])), "{host}");
        }
        assert!(!names_its_host(&request("/", &[])));
        assert!(!names_its_host(&request("/", &["h", "h"])));
        assert!(!names_its_host(&request("http://h/", &["h", "g"])));
    }

    #[test]
    fn the_host_is_replaced_where_the_request_names_it() {
        let wanted = Authority::from_static("shop.example:8443");
        for (target, hosts) in [
            ("/a?b", &["h"][..]),
            ("http://h/a?b", &["h"]),
            ("http://h/a?b", &[]),
        ] {
            let mut request = request(target, hosts);
            replace(&mut request, &wanted);
            assert!(names_its_host(&request));
            assert_eq!(authority_of(&request).as_ref(), Some(&wanted));
            let named = request.headers().get(HOST);
            assert_eq!(named.is_some(), !hosts.is_empty());
            assert!(named.is_none_or(|host| host == wanted.as_str()));
            assert_eq!(request.uri().path_and_query().expect("a path"), "/a?b");
        }
    }

    #[test]
    fn a_request_of_http_1_0_gets_a_host() {
        let host = Authority::from_static("127.0.0.1:8080");
        for (version, is_served) in [(Version::HTTP_10, true), (Version::HTTP_11, false)] {
            let mut request = request("/", &[]);
            *request.version_mut() = version;
            complete(&mut request, &host);
            assert_eq!(names_its_host(&request), is_served);
        }
    }
}
