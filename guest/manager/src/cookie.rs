//! Cookies: the tokens in a request's, and the header that sets ours.

use cookie::time::Duration;
use cookie::{Cookie, SameSite as Site};

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
    headers(config, token, config.max_age.map(i64::from))
}

/// The headers that take it away: with the same attributes, or browsers keep
/// it.
pub fn clear(config: &CookieConfig) -> Vec<Header> {
    headers(config, "", Some(0))
}

/// Neither a shared nor a private cache may keep a response that sets the
/// cookie, or show it to somebody else (OWASP, "Web Content Caching").
fn headers(config: &CookieConfig, value: &str, max_age: Option<i64>) -> Vec<Header> {
    [
        ("Set-Cookie", set_cookie(config, value, max_age)),
        ("Cache-Control", "no-store".into()),
        ("Vary", "Cookie".into()),
    ]
    .map(|(name, value)| Header {
        name: name.into(),
        value,
    })
    .into()
}

fn set_cookie(config: &CookieConfig, value: &str, max_age: Option<i64>) -> String {
    let mut cookie = Cookie::build((&config.name, value))
        .path(&config.path)
        .secure(config.secure)
        .http_only(config.http_only)
        .partitioned(config.partitioned)
        .same_site(match config.same_site {
            SameSite::Strict => Site::Strict,
            SameSite::Lax => Site::Lax,
            SameSite::None => Site::None,
        });
    if let Some(domain) = &config.domain {
        cookie = cookie.domain(domain);
    }
    if let Some(seconds) = max_age {
        cookie = cookie.max_age(Duration::seconds(seconds));
    }
    cookie.build().to_string()
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
}
