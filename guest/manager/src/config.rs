//! The configuration: its defaults, and the check for contradictions.

use crate::bindings::exports::session3::sessions::manager::{
    Config, CookieConfig, Policy, RememberConfig, SameSite, SessionError, UserCaching,
};
use crate::token::TOKEN_LENGTH;

/// The size of a cookie's name and value together, in octets (RFC 6265bis §5.6).
const MAX_NAME_AND_VALUE: usize = 4096;
/// The size of the value of one cookie attribute, in octets (RFC 6265bis §5.6).
const MAX_ATTRIBUTE_VALUE: usize = 1024;
/// The lifetime of a cookie in seconds: 400 days (RFC 6265bis §5.5).
const MAX_MAX_AGE: u32 = 400 * DAY;
const DAY: u32 = 24 * 60 * 60;

/// Returns the safe defaults.
pub fn default_config() -> Config {
    Config {
        cookie: CookieConfig {
            name: "__Host-session".into(),
            path: "/".into(),
            domain: None,
            secure: true,
            http_only: true,
            same_site: SameSite::Lax,
            partitioned: false,
            max_age: None,
        },
        idle_timeout: 30 * 60,
        absolute_timeout: 12 * 60 * 60,
        first_use_timeout: 60 * 60,
        renew_after: 15 * 60,
        renew_grace: 60,
        touch_after: 60,
        remember: Some(RememberConfig {
            idle_timeout: 14 * DAY,
            absolute_timeout: 30 * DAY,
            max_age: 30 * DAY,
        }),
        max_sessions_per_user: None,
        on_client_change: Policy::Report,
        on_damage: Policy::Report,
        user_caching: UserCaching::NoStore,
        clear_cache: false,
    }
}

/// Checks a configuration.
///
/// # Errors
///
/// `invalid` if a field has a value that is not allowed, or if two fields contradict each
/// other. The text names the field and says what it must be.
pub fn check(config: &Config) -> Result<(), SessionError> {
    let problem = cookie_problem(&config.cookie)
        .or_else(|| other_problem(config))
        .or_else(|| remember_problem(config));
    match problem {
        Some(why) => Err(SessionError::Invalid(why.into())),
        None => Ok(()),
    }
}

/// Returns a configured time in milliseconds, which is the unit of the store.
pub fn milliseconds(seconds: u32) -> u64 {
    u64::from(seconds) * 1000
}

fn cookie_problem(cookie: &CookieConfig) -> Option<&'static str> {
    let name = cookie.name.to_ascii_lowercase();
    let host_only = cookie.path == "/" && cookie.domain.is_none();
    let rules = [
        (
            is_token(&cookie.name),
            "cookie name: use letters, digits and !#$%&'*+-.^_`|~, at least one",
        ),
        (
            name.len() + TOKEN_LENGTH <= MAX_NAME_AND_VALUE,
            "cookie name: too long, give a name that has at most 4096 octets with the token",
        ),
        (
            is_path(&cookie.path),
            "cookie path: start it with '/', use visible ASCII without ';', at most 1024 octets",
        ),
        (
            cookie.domain.as_deref().is_none_or(is_domain),
            "cookie domain: give a host name such as example.org, in ASCII, or none",
        ),
        (
            cookie.secure || cookie.same_site != SameSite::None,
            "cookie: SameSite=None needs secure",
        ),
        (
            cookie.secure || !cookie.partitioned,
            "cookie: partitioned needs secure",
        ),
        // Browsers compare the prefixes case-insensitively (RFC 6265bis §5.7).
        (
            cookie.secure || !name.starts_with("__secure-"),
            "cookie: a name with the prefix __Secure- needs secure",
        ),
        (
            (cookie.secure && host_only) || !name.starts_with("__host-"),
            "cookie: a name with the prefix __Host- needs secure, path '/' and no domain",
        ),
        (
            (cookie.secure && cookie.http_only && host_only) || !name.starts_with("__host-http-"),
            "cookie: a name with the prefix __Host-Http- needs secure, http-only, path '/' and no \
             domain",
        ),
        (
            (cookie.secure && cookie.http_only) || !name.starts_with("__http-"),
            "cookie: a name with the prefix __Http- needs secure and http-only",
        ),
        (
            cookie.max_age.is_none_or(is_max_age),
            "cookie max-age: give 1 second to 400 days, or none",
        ),
    ];
    first_broken(&rules)
}

fn other_problem(config: &Config) -> Option<&'static str> {
    let rules = [
        (config.idle_timeout > 0, "idle-timeout: more than 0 seconds"),
        (
            config.absolute_timeout >= config.idle_timeout,
            "absolute-timeout: at least the idle-timeout",
        ),
        (
            config.first_use_timeout > 0,
            "first-use-timeout: more than 0 seconds",
        ),
        (
            config.touch_after < config.idle_timeout,
            "touch-after: less than the idle-timeout, or sessions end while they are used",
        ),
        (
            config.touch_after < config.first_use_timeout,
            "touch-after: less than the first-use-timeout, or sessions end while they are used",
        ),
        (
            // During the grace before a renewal the cookie is not sent again.
            config
                .cookie
                .max_age
                .is_none_or(|age| outlasts_a_pause(age, config)),
            "cookie max-age: more than touch-after and renew-grace together, or the cookie \
             expires while its session is used",
        ),
        (
            config.renew_grace > 0,
            "renew-grace: more than 0 seconds, or requests in progress end the session",
        ),
        (
            config.renew_after == 0 || config.renew_after >= config.renew_grace,
            "renew-after: at least the renew-grace, or 0",
        ),
        (
            config.max_sessions_per_user != Some(0),
            "max-sessions-per-user: at least 1, or none",
        ),
        (
            config.on_damage != Policy::End,
            "on-damage: damaged records are never deleted, so give ignore, report or fail",
        ),
    ];
    first_broken(&rules)
}

fn remember_problem(config: &Config) -> Option<&'static str> {
    let remember = config.remember.as_ref()?;
    let rules = [
        (
            remember.idle_timeout > config.touch_after,
            "remember idle-timeout: more than touch-after, or sessions end while they are used",
        ),
        (
            remember.absolute_timeout >= remember.idle_timeout,
            "remember absolute-timeout: at least the remember idle-timeout",
        ),
        (
            is_max_age(remember.max_age),
            "remember max-age: give 1 second to 400 days",
        ),
        (
            outlasts_a_pause(remember.max_age, config),
            "remember max-age: more than touch-after and renew-grace together, or the cookie \
             expires while its session is used",
        ),
    ];
    first_broken(&rules)
}

fn is_max_age(age: u32) -> bool {
    (1..=MAX_MAX_AGE).contains(&age)
}

/// Returns whether a cookie of this lifetime lasts until it is sent again, in a session that
/// is used.
fn outlasts_a_pause(max_age: u32, config: &Config) -> bool {
    max_age > config.touch_after.saturating_add(config.renew_grace)
}

fn first_broken(rules: &[(bool, &'static str)]) -> Option<&'static str> {
    rules.iter().find(|(holds, _)| !holds).map(|(_, why)| *why)
}

/// Returns whether a text is a token in the sense of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= MAX_ATTRIBUTE_VALUE
        && text
            .bytes()
            .all(|b| (b.is_ascii_graphic() || b == b' ') && b != b';')
}

fn is_domain(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(change: impl FnOnce(&mut Config)) -> Option<String> {
        let mut config = default_config();
        change(&mut config);
        match check(&config) {
            Ok(()) => None,
            Err(SessionError::Invalid(why)) => Some(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_defaults_and_ordinary_choices_are_accepted() {
        assert_eq!(refusal(|_| ()), None);
        assert_eq!(
            refusal(|c| {
                c.cookie.name = "sid".into();
                c.cookie.secure = false;
                c.cookie.domain = Some("example.org".into());
                c.cookie.path = "/app".into();
                c.cookie.max_age = Some(MAX_MAX_AGE);
                c.touch_after = 0;
                c.first_use_timeout = 1;
                c.renew_after = 0;
                c.max_sessions_per_user = Some(1);
                c.on_client_change = Policy::End;
                c.on_damage = Policy::Fail;
                c.remember = None;
                c.user_caching = UserCaching::Private;
                c.clear_cache = true;
            }),
            None
        );
        for name in ["__Secure-s", "__Host-s", "__Http-s", "__Host-Http-s"] {
            assert_eq!(refusal(|c| c.cookie.name = name.into()), None, "{name}");
        }
    }

    fn remember(config: &mut Config) -> &mut RememberConfig {
        config.remember.as_mut().expect("the default")
    }

    #[test]
    fn every_contradiction_is_refused_with_what_to_do() {
        type Change = fn(&mut Config);
        let contradictions: &[(&str, Change)] = &[
            ("cookie name", |c| c.cookie.name = String::new()),
            ("cookie name", |c| c.cookie.name = "a b".into()),
            ("cookie name", |c| c.cookie.name = "a=b".into()),
            ("cookie name", |c| c.cookie.name = "séance".into()),
            ("too long", |c| c.cookie.name = "a".repeat(4096 - 54)),
            ("cookie path", |c| c.cookie.path = String::new()),
            ("cookie path", |c| c.cookie.path = "app".into()),
            ("cookie path", |c| c.cookie.path = "/;Domain=evil".into()),
            ("cookie path", |c| c.cookie.path = "/\r\nX: y".into()),
            ("cookie domain", |c| c.cookie.domain = Some(String::new())),
            ("cookie domain", |c| c.cookie.domain = Some("a;b".into())),
            ("cookie domain", |c| c.cookie.domain = Some("a..b".into())),
            ("SameSite=None", |c| {
                c.cookie.name = "sid".into();
                c.cookie.same_site = SameSite::None;
                c.cookie.secure = false;
            }),
            ("partitioned", |c| {
                c.cookie.name = "sid".into();
                c.cookie.partitioned = true;
                c.cookie.secure = false;
            }),
            ("__Secure-", |c| {
                c.cookie.name = "__Secure-sid".into();
                c.cookie.secure = false;
            }),
            ("__Host-", |c| c.cookie.secure = false),
            ("__Host-", |c| c.cookie.path = "/app".into()),
            ("__Host-", |c| {
                c.cookie.name = "__HOST-sid".into();
                c.cookie.domain = Some("example.org".into());
            }),
            ("__Http-", |c| {
                c.cookie.name = "__Http-sid".into();
                c.cookie.http_only = false;
            }),
            ("__Http-", |c| {
                c.cookie.name = "__HTTP-sid".into();
                c.cookie.secure = false;
            }),
            ("__Host-Http-", |c| {
                c.cookie.name = "__Host-Http-sid".into();
                c.cookie.http_only = false;
            }),
            ("__Host-", |c| {
                c.cookie.name = "__host-http-sid".into();
                c.cookie.path = "/app".into();
            }),
            ("remember idle-timeout", |c| {
                remember(c).idle_timeout = c.touch_after
            }),
            ("remember absolute-timeout", |c| {
                remember(c).absolute_timeout = remember(c).idle_timeout - 1;
            }),
            ("remember max-age", |c| remember(c).max_age = 0),
            ("remember max-age", |c| {
                remember(c).max_age = MAX_MAX_AGE + 1
            }),
            ("remember max-age", |c| {
                remember(c).max_age = c.touch_after + c.renew_grace;
            }),
            ("max-age", |c| c.cookie.max_age = Some(0)),
            ("max-age", |c| c.cookie.max_age = Some(MAX_MAX_AGE + 1)),
            ("idle-timeout", |c| c.idle_timeout = 0),
            ("absolute-timeout", |c| c.absolute_timeout = 60),
            ("first-use-timeout", |c| c.first_use_timeout = 0),
            ("touch-after", |c| c.touch_after = c.idle_timeout),
            ("renew-grace", |c| c.renew_grace = 0),
            ("renew-after", |c| c.renew_after = c.renew_grace - 1),
            ("touch-after", |c| c.first_use_timeout = c.touch_after),
            ("max-age", |c| c.cookie.max_age = Some(c.touch_after)),
            ("max-age", |c| {
                c.cookie.max_age = Some(c.touch_after + c.renew_grace);
            }),
            ("max-age", |c| {
                c.renew_grace = u32::MAX;
                c.renew_after = 0;
                c.cookie.max_age = Some(c.touch_after);
            }),
            ("max-sessions-per-user", |c| {
                c.max_sessions_per_user = Some(0);
            }),
            ("on-damage", |c| c.on_damage = Policy::End),
        ];
        for (names, change) in contradictions {
            let why = refusal(change).unwrap_or_else(|| panic!("accepted: {names}"));
            assert!(why.contains(names), "{names}: {why}");
        }
    }
}
