//! The host that a request is for.

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Request, Version};

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

fn host(headers: &HeaderMap) -> Option<Authority> {
    let host = Authority::try_from(headers.get(HOST)?.as_bytes()).ok()?;
    is_host(&host).then_some(host)
}

/// Returns whether an authority is a host and maybe a port, without a user.
fn is_host(authority: &Authority) -> bool {
    let Some(port) = authority.as_str().strip_prefix(authority.host()) else {
        return false;
    };
    let is_port = port.is_empty() || port == ":" || authority.port_u16().is_some();
    is_port && !authority.host().is_empty()
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
        for host in ["u:p@h", "u@h", "h:99999", "h:x", "", "a b", "h/p", "@"] {
            assert!(!names_its_host(&request("/", &[host])), "{host}");
            assert!(!names_its_host(&request("http://h/", &[host])), "{host}");
        }
        assert!(!names_its_host(&request("/", &[])));
        assert!(!names_its_host(&request("/", &["h", "h"])));
        assert!(!names_its_host(&request("http://h/", &["h", "g"])));
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
