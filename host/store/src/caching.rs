//! The `Cache-Control` header of a response whose session has one, too: the one rule that the
//! tower layer, the middleware and the demo applications use. The record `header` of the
//! interface `session3:sessions/manager` states it.

/// Returns the single value for a response with the values `own` of its application, and the
/// value `session` that the commit returned. `sets_cookie` says whether the commit returned a
/// Set-Cookie header, too.
///
/// ```
/// use session3_store::caching::cache_control;
///
/// assert_eq!(cache_control(&[], b"no-store", false), b"no-store");
/// // Nothing public about the page of a user.
/// assert_eq!(cache_control(&[b"max-age=60"], b"private", false), b"private");
/// // The application has ruled out shared caches itself.
/// let own: &[u8] = b"private, max-age=60";
/// assert_eq!(cache_control(&[own], b"no-store", false), own);
/// // A response with a new cookie is not kept at all.
/// assert_eq!(cache_control(&[own], b"no-store", true), b"no-store");
/// ```
pub fn cache_control<'a>(own: &[&'a [u8]], session: &'a [u8], sets_cookie: bool) -> &'a [u8] {
    let has = |name: &[u8]| {
        let directives = own
            .iter()
            .flat_map(|value| value.split(|byte| *byte == b','));
        let mut names = directives.map(<[u8]>::trim_ascii);
        names.any(|directive| directive.eq_ignore_ascii_case(name))
    };
    match own {
        [own] if has(b"no-store") => own,
        [own] if has(b"private") && !has(b"public") && !sets_cookie => own,
        // Several headers of the application may contradict each other.
        _ if has(b"no-store") => b"no-store",
        _ => session,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_response_becomes_cacheable_for_others() {
        for (own, sets_cookie, expected) in [
            ("public, max-age=60", false, "no-store"),
            ("no-cache", false, "no-store"),
            ("Private", false, "Private"),
            ("private=\"set-cookie\"", false, "no-store"),
            ("public, private", false, "no-store"),
            ("private; public", false, "no-store"),
            ("private", true, "no-store"),
            ("max-age=60, NO-STORE", true, "max-age=60, NO-STORE"),
            ("public; no-store", false, "no-store"),
        ] {
            // A semicolon stands between two headers.
            let own: Vec<_> = own.split("; ").map(str::as_bytes).collect();
            let value = cache_control(&own, b"no-store", sets_cookie);
            assert_eq!(value, expected.as_bytes(), "{own:?} {sets_cookie}");
        }
        assert_eq!(
            cache_control(&[b"private", b"max-age=1"], b"private", false),
            b"private"
        );
    }
}
