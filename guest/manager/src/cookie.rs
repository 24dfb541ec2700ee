//! The cookie that carries the token: how requests bring it, and the response headers that
//! set or delete it.

use crate::bindings::exports::session3::sessions::manager::{
    CookieConfig, Header, SameSite, UserCaching,
};

/// Returns the values of all cookies with this name, in the order of the request. It skips
/// the parts of the headers that are not cookies.
///
/// A parser from a library would also know Set-Cookie headers with their dates, and would
/// be a fifth of the component. The cookies of a request are only pairs of name and value
/// (RFC 6265bis §5.8.3).
pub fn values<'a>(headers: &'a [Vec<u8>], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .iter()
        .flat_map(|header| header.split(|byte| *byte == b';'))
        .filter_map(move |pair| {
            let equals = pair.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (&pair[..equals], &pair[equals + 1..]);
            (key.trim_ascii() == name.as_bytes()).then(|| unquoted(value.trim_ascii()))
        })
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// Returns the headers that give the token to the browser, for `max_age` seconds or until the
/// browser ends.
pub fn set(config: &CookieConfig, token: &str, max_age: Option<u32>) -> Vec<Header> {
    headers(set_cookie(config, token, max_age))
}

/// Returns the headers that delete the cookie. They repeat the cookie's attributes, since a
/// browser keeps the cookie if its attributes differ.
pub fn clear(config: &CookieConfig) -> Vec<Header> {
    headers(set_cookie(config, "", Some(0)))
}

/// Returns the header that makes the browser drop the cached pages of a user who has logged
/// out (<https://www.w3.org/TR/clear-site-data/>). It spares cookies and storage, which may
/// belong to other applications of the site.
pub fn clear_cache() -> Header {
    header("Clear-Site-Data", "\"cache\"".into())
}

/// Returns the headers of a response that sets or deletes the cookie. No cache, shared or
/// private, may keep such a response, or another user could receive the cookie (OWASP, "Web
/// Content Caching").
fn headers(set_cookie: String) -> Vec<Header> {
    vec![
        header("Set-Cookie", set_cookie),
        header("Cache-Control", "no-store".into()),
        vary(),
    ]
}

/// Returns the header of a response that depends on the session, so that a shared cache gives
/// it to no other visitor (RFC 9111 §4.1).
pub fn vary() -> Header {
    header("Vary", "Cookie".into())
}

/// Returns the header of a response that may show what belongs to a user.
pub fn user_caching(caching: UserCaching) -> Header {
    let value = match caching {
        UserCaching::NoStore => "no-store",
        UserCaching::Private => "private",
    };
    header("Cache-Control", value.into())
}

fn header(name: &str, value: String) -> Header {
    let name = name.into();
    Header { name, value }
}

/// Returns the value of the Set-Cookie header (RFC 6265bis §4.1.1). Nothing is escaped: the
/// configuration was checked, and a token needs no quotes.
fn set_cookie(config: &CookieConfig, value: &str, max_age: Option<u32>) -> String {
    let max_age = max_age.map(|seconds| seconds.to_string());
    let parts = [
        Some((config.name.as_str(), value)),
        config.http_only.then_some(("; HttpOnly", "")),
        Some(("; SameSite", same_site(config.same_site))),
        config.partitioned.then_some(("; Partitioned", "")),
        config.secure.then_some(("; Secure", "")),
        Some(("; Path", &config.path)),
        config.domain.as_deref().map(|domain| ("; Domain", domain)),
        max_age.as_deref().map(|seconds| ("; Max-Age", seconds)),
    ];
    let mut text = String::with_capacity(256);
    for (index, (name, value)) in parts.into_iter().flatten().enumerate() {
        text.push_str(name);
        // The cookie itself has an equals sign even if its value is empty, as when it is
        // deleted.
        if index == 0 || !value.is_empty() {
            text.push('=');
            text.push_str(value);
        }
    }
    text
}

fn same_site(same_site: SameSite) -> &'static str {
    match same_site {
        SameSite::Strict => "Strict",
        SameSite::Lax => "Lax",
        SameSite::None => "None",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::default_config;

    fn found(headers: &[&[u8]]) -> Vec<String> {
        let headers: Vec<_> = headers.iter().map(|h| h.to_vec()).collect();
        values(&headers, "sid")
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    #[test]
    fn our_cookie_is_found_among_others_and_in_several_headers() {
        assert_eq!(found(&[b"a=1; sid=x; b=2"]), ["x"]);
        assert_eq!(found(&[b"a=1", b"sid=x;sid=y", b"sid=z"]), ["x", "y", "z"]);
        assert_eq!(found(&[b"sid=\"quoted\""]), ["quoted"]);
        assert_eq!(found(&[b"sid=\"; sid=\"x"]), ["\"", "\"x"]);
        assert_eq!(found(&[b"  sid =  x  "]), ["x"]);
        assert_eq!(found(&[b"sid=a=b"]), ["a=b"]);
    }

    #[test]
    fn what_is_not_our_cookie_is_passed_over() {
        let headers: [&[u8]; 9] = [
            b"",
            b";;;",
            b"=",
            b"sid",
            b"SID=x",
            b"xsid=x",
            b"=sid",
            b"\xff\xfe=\x00",
            b"a=sid=x",
        ];
        for header in headers {
            assert!(found(&[header]).is_empty(), "{header:?}");
        }
    }

    #[test]
    fn bytes_that_are_not_utf_8_do_not_hide_the_cookies_beside_them() {
        assert_eq!(found(&[b"a=\xff\xc3; sid=x; \xe9t\xe9=1"]), ["x"]);
    }

    fn set_cookie_of(headers: &[Header]) -> &str {
        assert_eq!(headers[0].name, "Set-Cookie");
        &headers[0].value
    }

    #[test]
    fn the_default_cookie_is_host_only_secure_and_hidden_from_scripts() {
        let config = default_config().cookie;
        assert_eq!(
            set_cookie_of(&set(&config, "T", config.max_age)),
            "__Host-session=T; HttpOnly; SameSite=Lax; Secure; Path=/"
        );
    }

    #[test]
    fn every_attribute_is_set_and_the_removal_repeats_them() {
        let config = CookieConfig {
            name: "sid".into(),
            path: "/app".into(),
            domain: Some("example.org".into()),
            secure: true,
            http_only: false,
            same_site: SameSite::None,
            partitioned: true,
            max_age: Some(3600),
        };
        assert_eq!(
            set_cookie_of(&set(&config, "T", config.max_age)),
            "sid=T; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.org; Max-Age=3600"
        );
        assert_eq!(
            set_cookie_of(&clear(&config)),
            "sid=; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.org; Max-Age=0"
        );
    }

    #[test]
    fn a_response_that_sets_the_cookie_is_not_cached() {
        let headers = set(&default_config().cookie, "T", None);
        let rest: Vec<_> = headers[1..]
            .iter()
            .map(|h| (h.name.as_str(), h.value.as_str()))
            .collect();
        assert_eq!(rest, [("Cache-Control", "no-store"), ("Vary", "Cookie")]);
    }
}
