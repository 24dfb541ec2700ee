//! The headers of a commit, and how they join those of a response.

use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
use session3_store::caching::cache_control;

use crate::bindings::session3::sessions::manager::Header;
use crate::error::Error;

/// The headers that a commit returned for the response. Without them, the browser does not get
/// the cookie of a new session, and a cache may give a user's page to another user.
#[must_use = "the response needs these headers"]
#[derive(Debug)]
pub struct CommitHeaders(Vec<Header>);

impl CommitHeaders {
    pub(crate) fn new(headers: Vec<Header>) -> Self {
        Self(headers)
    }

    /// Adds the headers to those of a response, by the rule of `header` in the interface
    /// `session3:sessions/manager`: Set-Cookie and Vary join those that the response has. A
    /// response has a single Cache-Control header, which is the application's own if it is
    /// strict enough.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a header is malformed, which no session manager returns.
    pub fn add_to(self, response: &mut HeaderMap) -> Result<(), Error> {
        let sets_cookie = self.0.iter().any(|header| header.name == "Set-Cookie");
        for Header { name, value } in self.0 {
            let malformed = || Error::Store(format!("the header {name} is malformed"));
            let value = HeaderValue::try_from(value).map_err(|_| malformed())?;
            let header = HeaderName::try_from(&name).map_err(|_| malformed())?;
            if header == CACHE_CONTROL {
                set_cache_control(response, value, sets_cookie);
            } else {
                response.append(header, value);
            }
        }
        Ok(())
    }
}

fn set_cache_control(response: &mut HeaderMap, value: HeaderValue, sets_cookie: bool) {
    let own: Vec<_> = response.get_all(CACHE_CONTROL).iter().cloned().collect();
    let own: Vec<_> = own.iter().map(HeaderValue::as_bytes).collect();
    let chosen = cache_control(&own, value.as_bytes(), sets_cookie);
    let value = HeaderValue::from_bytes(chosen).unwrap_or(value);
    response.insert(CACHE_CONTROL, value);
}

#[cfg(test)]
mod tests {
    use http::header::{SET_COOKIE, VARY};

    use super::*;

    /// Returns the values of a header of a response with the headers `own` and those of a
    /// commit.
    fn values(
        own: &[(HeaderName, &str)],
        commit: &[(&str, &str)],
        name: HeaderName,
    ) -> Vec<String> {
        let mut response = HeaderMap::new();
        for (name, value) in own {
            response.append(name, value.parse().expect("a header"));
        }
        let commit = commit.iter().map(|(name, value)| Header {
            name: (*name).into(),
            value: (*value).into(),
        });
        let headers = CommitHeaders::new(commit.collect());
        headers.add_to(&mut response).expect("well-formed headers");
        let values = response.get_all(name).into_iter();
        values
            .map(|value| value.to_str().expect("a text").into())
            .collect()
    }

    const COOKIE: (&str, &str) = ("Set-Cookie", "session=1");
    const NO_STORE: (&str, &str) = ("Cache-Control", "no-store");
    const COOKIE_HEADERS: [(&str, &str); 3] = [COOKIE, NO_STORE, ("Vary", "Cookie")];

    #[test]
    fn cookies_and_vary_join_those_of_the_application() {
        let own = [(SET_COOKIE, "theme=dark"), (VARY, "Accept")];
        let cookies = values(&own, &COOKIE_HEADERS, SET_COOKIE);
        assert_eq!(cookies, ["theme=dark", "session=1"]);
        assert_eq!(values(&own, &COOKIE_HEADERS, VARY), ["Accept", "Cookie"]);
    }

    #[test]
    fn there_is_one_cache_control_which_is_strict_enough() {
        let private = [(CACHE_CONTROL, "private, max-age=60")];
        let of_page = [NO_STORE, ("Vary", "Cookie")];
        assert_eq!(values(&[], &of_page, CACHE_CONTROL), ["no-store"]);
        assert_eq!(
            values(&private, &of_page, CACHE_CONTROL),
            ["private, max-age=60"]
        );
        assert_eq!(
            values(&private, &COOKIE_HEADERS, CACHE_CONTROL),
            ["no-store"]
        );
        let two = [(CACHE_CONTROL, "public"), (CACHE_CONTROL, "max-age=60")];
        assert_eq!(values(&two, &of_page, CACHE_CONTROL), ["no-store"]);
        let kept = values(&two, &[("Vary", "Cookie")], CACHE_CONTROL);
        assert_eq!(kept, ["public", "max-age=60"]);
    }
}
