//! The policy's file.

use serde::Deserialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use crate::place::LIMITED;

/// The policy of an operator. A field that the file leaves out is `None`: the manager's
/// default applies.
///
/// The fields are those of `config` in the interface `session3:sessions/manager`. Times
/// are in seconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SessionPolicy {
    /// The defaults for the cookie.
    pub cookie: CookieDefaults,
    /// The default idle timeout, in seconds.
    pub idle_timeout: Option<u32>,
    /// The default absolute timeout, in seconds.
    pub absolute_timeout: Option<u32>,
    /// The default timeout until the first use, in seconds.
    pub first_use_timeout: Option<u32>,
    /// The default age at which a token is renewed, in seconds.
    pub renew_after: Option<u32>,
    /// The default time for which a replaced token stays good, in seconds.
    pub renew_grace: Option<u32>,
    /// The default interval between two touches, in seconds.
    pub touch_after: Option<u32>,
    /// The default times of remembered sessions.
    pub remember: RememberDefaults,
    /// The default number of sessions that a user may have.
    pub max_sessions_per_user: Option<u32>,
    /// The default reaction to a changed client.
    pub on_client_change: Option<Reaction>,
    /// The default reaction to a damaged record.
    pub on_damage: Option<Reaction>,
    /// The default `Cache-Control` for users who are logged in.
    pub user_caching: Option<UserCaching>,
    /// Whether a log-out clears the browser's cache by default.
    pub clear_cache: Option<bool>,
    /// What no application can weaken.
    pub require: Requirements,
}

/// The defaults for the cookie.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CookieDefaults {
    /// The cookie's name.
    pub name: Option<String>,
    /// The `Path` attribute.
    pub path: Option<String>,
    /// The `Domain` attribute.
    pub domain: Option<String>,
    /// Whether the cookie has the `Secure` attribute.
    pub secure: Option<bool>,
    /// Whether the cookie has the `HttpOnly` attribute.
    pub http_only: Option<bool>,
    /// The `SameSite` attribute.
    pub same_site: Option<SameSite>,
    /// Whether the cookie has the `Partitioned` attribute.
    pub partitioned: Option<bool>,
    /// The `Max-Age` attribute, in seconds.
    pub max_age: Option<u32>,
}

/// The default times of remembered sessions, in seconds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RememberDefaults {
    /// Whether sessions can be remembered.
    pub allowed: Option<bool>,
    /// The idle timeout, in seconds.
    pub idle_timeout: Option<u32>,
    /// The absolute timeout, in seconds.
    pub absolute_timeout: Option<u32>,
    /// The lifetime of the cookie, in seconds.
    pub max_age: Option<u32>,
}

/// What no application can weaken. Times and counts are the largest values that are
/// allowed, choices the weakest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Requirements {
    /// The requirements for the cookie.
    pub cookie: CookieRequirements,
    /// The largest idle timeout, in seconds.
    pub idle_timeout: Option<u32>,
    /// The largest absolute timeout, in seconds.
    pub absolute_timeout: Option<u32>,
    /// The largest timeout until the first use, in seconds.
    pub first_use_timeout: Option<u32>,
    /// The largest age at which a token is renewed, in seconds.
    pub renew_after: Option<u32>,
    /// The largest time for which a replaced token stays good, in seconds.
    pub renew_grace: Option<u32>,
    /// The requirements for remembered sessions.
    pub remember: RememberRequirements,
    /// The largest number of sessions that a user may have.
    pub max_sessions_per_user: Option<u32>,
    /// The weakest reaction to a changed client.
    pub on_client_change: Option<Reaction>,
    /// The weakest reaction to a damaged record.
    pub on_damage: Option<Reaction>,
    /// The weakest `Cache-Control` for users who are logged in.
    pub user_caching: Option<UserCaching>,
    /// Whether a log-out must clear the browser's cache.
    pub clear_cache: bool,
}

/// The requirements for remembered sessions. A time that is left out is that of the other
/// sessions, so that an idle or absolute timeout holds for all sessions unless the policy says
/// otherwise here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RememberRequirements {
    /// Whether sessions must not be remembered.
    pub forbidden: bool,
    /// The largest idle timeout, in seconds.
    pub idle_timeout: Option<u32>,
    /// The largest absolute timeout, in seconds.
    pub absolute_timeout: Option<u32>,
    /// The largest lifetime of the cookie, in seconds.
    pub max_age: Option<u32>,
}

/// The requirements for the cookie.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CookieRequirements {
    /// Whether the cookie must be `Secure`.
    pub secure: bool,
    /// Whether the cookie must be `HttpOnly`.
    pub http_only: bool,
    /// The weakest `SameSite` that is allowed.
    pub same_site: Option<SameSite>,
    /// Whether the cookie must be `Partitioned`.
    pub partitioned: bool,
    /// The largest `Max-Age`, in seconds.
    pub max_age: Option<u32>,
}

/// A value of the cookie's `SameSite` attribute, from the strictest to the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// No request from another site carries the cookie.
    Strict,
    /// Only top-level navigation from another site carries the cookie.
    Lax,
    /// Every request carries the cookie.
    None,
}

/// The `Cache-Control` header of a response for a user who is logged in, from the strictest to
/// the weakest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserCaching {
    /// No cache keeps the page.
    NoStore,
    /// The browser may keep the page.
    Private,
}

/// What happens to a session with a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reaction {
    /// Nothing.
    Ignore,
    /// The manager reports an event.
    Report,
    /// The manager ends the session.
    End,
    /// The request fails.
    Fail,
}

/// The sections of a file that also has the options of a server.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Sections {
    policy: SessionPolicy,
    #[serde(rename = "serve")]
    _serve: IgnoredAny,
    #[serde(rename = "dev")]
    _dev: IgnoredAny,
}

impl SessionPolicy {
    /// Parses the content of a policy's file. If the file has a section `policy`, or a section
    /// `serve` with the options of a server, the policy is what is in the section `policy`.
    ///
    /// # Errors
    ///
    /// [`PolicyError::Toml`] if the text is not TOML, or has an unknown field or a value of
    /// the wrong type.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        let parsed = match has_section(text, "serve") || has_section(text, "policy") {
            true => toml::from_str(text).map(|sections: Sections| sections.policy),
            false => toml::from_str(text),
        };
        parsed.map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            PolicyError::Toml {
                line: before.map_or(1, |before| 1 + before.matches('\n').count()),
                why: in_words(error.message()),
            }
        })
    }

    /// Returns whether the content of a file has a policy, valid or not. A file with a section
    /// `serve` has one only if it has a section `policy`, too.
    pub fn is_in(text: &str) -> bool {
        has_section(text, "policy") || !has_section(text, "serve")
    }
}

/// How alike a key and a misspelt one are at least, from 0 to 1.
const MIN_LIKENESS: f64 = 0.8;

/// The name of the session cookie over plain HTTP. The prefix `__Host-` of the default name
/// requires `Secure`.
const PLAIN_HTTP_COOKIE: &str = "session3";

impl SessionPolicy {
    /// Returns this policy for development over plain HTTP, where not every browser keeps a
    /// cookie that is `Secure`: the cookie is called `session3`, is neither `Secure` nor
    /// partitioned, and need not be.
    ///
    /// # Examples
    ///
    /// ```
    /// use session3_policy::SessionPolicy;
    ///
    /// let policy = SessionPolicy::default().for_plain_http();
    /// assert_eq!(policy.cookie.secure, Some(false));
    /// ```
    #[must_use]
    pub fn for_plain_http(mut self) -> Self {
        self.cookie.name = Some(PLAIN_HTTP_COOKIE.into());
        self.cookie.secure = Some(false);
        self.cookie.partitioned = Some(false);
        self.require.cookie.secure = false;
        self.require.cookie.partitioned = false;
        self
    }
}

/// Says what is wrong in a file in the words of its author, who knows no types of Rust.
fn in_words(message: &str) -> String {
    let message = message.trim().replace('\n', "; ");
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return ["u8", "u16", "u32"]
            .iter()
            .fold(message, |message, name| {
                message.replace(&format!("expected {name}"), "expected a whole number")
            })
            .replace("expected a boolean", "expected true or false");
    };
    let (key, known) = rest.split_once('`').unwrap_or((rest, ""));
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    match nearest(known.iter().copied(), key) {
        Some(nearest) => format!("unknown key `{key}`: did you mean `{nearest}`?"),
        None => format!(
            "unknown key `{key}`: the keys here are {}",
            known.join(", ")
        ),
    }
}

/// Returns the name that is most like a misspelt one; `None` if none is much like it.
///
/// # Examples
///
/// ```
/// use session3_policy::nearest;
///
/// let names = ["idle-timeout", "absolute-timeout"];
/// assert_eq!(nearest(names.into_iter(), "idle-timout"), Some("idle-timeout"));
/// assert_eq!(nearest(names.into_iter(), "cookie"), None);
/// ```
pub fn nearest<'a>(names: impl Iterator<Item = &'a str>, misspelt: &str) -> Option<&'a str> {
    let likenesses = names.map(|name| (strsim::jaro_winkler(name, misspelt), name));
    let (likeness, nearest) = likenesses.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= MIN_LIKENESS).then_some(nearest)
}

/// Returns whether a file has a section. A text that is not TOML has none.
fn has_section(text: &str, name: &str) -> bool {
    let file: Result<toml::Table, _> = toml::from_str(text);
    file.is_ok_and(|file| file.contains_key(name))
}

impl Requirements {
    /// Returns the limits as numbers, in the order of [`LIMITED`].
    pub fn limits(&self) -> [u32; LIMITED.len()] {
        let cookie = &self.cookie;
        let on = |is_required| if is_required { 0 } else { u32::MAX };
        let most = |max: Option<u32>| max.unwrap_or(u32::MAX);
        let remember = |own: Option<u32>, general: Option<u32>| match self.remember.forbidden {
            true => 0,
            false => most(own.or(general)),
        };
        let least = |reaction: Option<Reaction>| match reaction {
            Some(Reaction::End | Reaction::Fail) => 0,
            Some(Reaction::Report) => 1,
            Some(Reaction::Ignore) | None => u32::MAX,
        };
        [
            on(cookie.secure),
            on(cookie.http_only),
            cookie.same_site.map_or(u32::MAX, |site| site as u32),
            on(cookie.partitioned),
            most(cookie.max_age),
            most(self.idle_timeout),
            most(self.absolute_timeout),
            most(self.first_use_timeout),
            most(self.renew_after),
            most(self.renew_grace),
            remember(self.remember.idle_timeout, self.idle_timeout),
            remember(self.remember.absolute_timeout, self.absolute_timeout),
            remember(self.remember.max_age, cookie.max_age),
            most(self.max_sessions_per_user),
            least(self.on_client_change),
            least(self.on_damage),
            self.user_caching.map_or(u32::MAX, |caching| caching as u32),
            on(self.clear_cache),
        ]
    }
}

/// Why a policy cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is not TOML, or not a policy.
    #[error("line {line}: {why}")]
    Toml {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong there, in one line.
        why: String,
    },
    /// The cookie's name, path and domain do not fit into the place for them.
    #[error("the cookie's name, path and domain are too long: 900 bytes together have room")]
    TooLong,
    /// The component has no place for a policy.
    #[error("the component is no session manager of this version")]
    NoPlace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_sections_has_the_policy_in_one_of_them() {
        for (text, idle_timeout, is_in) in [
            ("", None, true),
            ("idle-timeout = 5", Some(5), true),
            ("[policy]\nidle-timeout = 5", Some(5), true),
            (
                "[serve]\nport = 80\n[policy]\nidle-timeout = 5",
                Some(5),
                true,
            ),
            ("[serve]\nidle-timeout = 5", None, false),
        ] {
            let policy = SessionPolicy::from_toml(text).expect(text);
            assert_eq!(policy.idle_timeout, idle_timeout, "{text}");
            assert_eq!(SessionPolicy::is_in(text), is_in, "{text}");
        }
        for (text, expected) in [
            (
                "idle-timeout = 5\n[serve]",
                "line 1: unknown key `idle-timeout`",
            ),
            ("[policy]\n[require]", "line 2: unknown key `require`"),
            ("[serve]\n[policy]\nidle = 5", "line 3: unknown key `idle`"),
        ] {
            let why = SessionPolicy::from_toml(text).expect_err(text).to_string();
            assert!(why.starts_with(expected), "{why}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_its_place() {
        for (text, expected) in [
            (
                "idle-timeout = 60\nabsolut-timeout = 60\n",
                "line 2: unknown key `absolut-timeout`",
            ),
            (
                "[cookie]\n\nsame-site = \"Lax\"",
                "line 3: unknown variant `Lax`",
            ),
            (
                "idle-timeout = \"30m\"",
                "line 1: invalid type: string \"30m\"",
            ),
            ("idle-timeout = -1", "line 1: invalid value: integer `-1`"),
            ("[require]\nsecure = true", "line 2: unknown key `secure`"),
            (
                "idle-timeout = 1\nidle-timeout = 2",
                "line 2: duplicate key",
            ),
            ("idle-timeout", "line 1: "),
        ] {
            let why = SessionPolicy::from_toml(text).expect_err(text).to_string();
            assert!(why.starts_with(expected), "{why}");
            assert_eq!(why.lines().count(), 1, "{why}");
        }
    }
}
