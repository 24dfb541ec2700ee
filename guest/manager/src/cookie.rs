//! Cookies: the tokens in a request's, and the header that sets ours.

use crate::bindings::exports::session3::sessions::manager::{CookieConfig, Header, SameSite};

/// The values of all cookies called `name`, in the order they came. Whatever
/// is not a cookie is passed over.
///
/// The library's parser is for Set-Cookie, dates and all, and would make up a
/// fifth of the component; a request's cookies are pairs and nothing more (RFC
/// 6265bis §5.8.3).
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

/// The headers that give the browser its token.
pub fn set(config: &CookieConfig, token: &str) -> Vec<Header> {
    headers(set_cookie(config, token, config.max_age))
}

/// The headers that take it away: with the same attributes, or browsers keep
/// it. The caches go too.
pub fn clear(config: &CookieConfig) -> Vec<Header> {
    let mut headers = headers(set_cookie(config, "", Some(0)));
    headers.push(clear_caches());
    headers
}

/// What makes the browser drop the pages that it kept of a user who has gone,
/// and nothing else that this site or its neighbours may have there
/// (<https://www.w3.org/TR/clear-site-data/>).
pub fn clear_caches() -> Header {
    header("Clear-Site-Data", "\"cache\"".into())
}

/// Neither a shared nor a private cache may keep a response that sets the
/// cookie, or show it to somebody else (OWASP, "Web Content Caching").
fn headers(set_cookie: String) -> Vec<Header> {
    vec![
        header("Set-Cookie", set_cookie),
        header("Cache-Control", "no-store".into()),
        header("Vary", "Cookie".into()),
    ]
}

fn header(name: &str, value: String) -> Header {
    let name = name.into();
    Header { name, value }
}

/// RFC 6265bis §4.1.1. The configuration was checked, and a token needs no
/// quotes.
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
        // The removal's value is empty, and has an equals sign all the same.
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
            set_cookie_of(&set(&config, "T")),
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
            set_cookie_of(&set(&config, "T")),
            "sid=T; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.org; Max-Age=3600"
        );
        assert_eq!(
            set_cookie_of(&clear(&config)),
            "sid=; SameSite=None; Partitioned; Secure; Path=/app; Domain=example.org; Max-Age=0"
        );
    }

    #[test]
    fn a_response_that_sets_the_cookie_is_not_cached() {
        let headers = set(&default_config().cookie, "T");
        let rest: Vec<_> = headers[1..]
            .iter()
            .map(|h| (h.name.as_str(), h.value.as_str()))
            .collect();
        assert_eq!(rest, [("Cache-Control", "no-store"), ("Vary", "Cookie")]);
    }

    #[test]
    fn a_log_out_clears_the_caches_too_and_nothing_else() {
        let config = default_config().cookie;
        let values = |headers: Vec<Header>| {
            let found = headers.into_iter().find(|h| h.name == "Clear-Site-Data");
            found.map(|header| header.value)
        };
        assert_eq!(values(clear(&config)).as_deref(), Some("\"cache\""));
        assert_eq!(values(set(&config, "T")), None);
        assert_eq!(clear(&config)[1].value, "no-store");
    }
}
