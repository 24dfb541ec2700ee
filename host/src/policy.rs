//! The operator's session policy: what `default-config` returns to applications,
//! and what none of them may weaken. It is read from TOML and written into the
//! manager component, which then carries it along to any host.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use crate::linker::SessionsCtx;
use crate::manager::{Config, CookieConfig, Policy, SameSite, SessionError, SessionManager};
use crate::store::MemoryStore;

#[path = "../../guest/manager/src/policy.rs"]
mod place;

use place::{LIMITED, MARKER, NUMBERS, ROOM, VERSION};

/// What an operator says of all sessions; what is left out is as the manager has
/// it. Fields are as in `config` of `session3:sessions/manager`, times are in
/// seconds.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), session3::policy::PolicyError> {
/// use session3::{components::MANAGER, policy::SessionPolicy};
///
/// let policy = SessionPolicy::from_toml("
///     idle-timeout = 900
///     [require.cookie]
///     secure = true
/// ")?;
/// let manager = policy.write_into(MANAGER, None).await?;
/// assert_eq!(manager.len(), MANAGER.len());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SessionPolicy {
    cookie: CookieDefaults,
    idle_timeout: Option<u32>,
    absolute_timeout: Option<u32>,
    first_use_timeout: Option<u32>,
    renew_after: Option<u32>,
    renew_grace: Option<u32>,
    touch_after: Option<u32>,
    max_sessions_per_user: Option<u32>,
    on_client_change: Option<Reaction>,
    on_damage: Option<Reaction>,
    require: Requirements,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct CookieDefaults {
    name: Option<String>,
    path: Option<String>,
    domain: Option<String>,
    secure: Option<bool>,
    http_only: Option<bool>,
    same_site: Option<Site>,
    partitioned: Option<bool>,
    max_age: Option<u32>,
}

/// Times and counts are the greatest that are allowed, choices the weakest.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Requirements {
    cookie: CookieRequirements,
    idle_timeout: Option<u32>,
    absolute_timeout: Option<u32>,
    first_use_timeout: Option<u32>,
    renew_after: Option<u32>,
    renew_grace: Option<u32>,
    max_sessions_per_user: Option<u32>,
    on_client_change: Option<Reaction>,
    on_damage: Option<Reaction>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct CookieRequirements {
    secure: bool,
    http_only: bool,
    same_site: Option<Site>,
    partitioned: bool,
    max_age: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Site {
    Strict,
    Lax,
    None,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Reaction {
    Ignore,
    Report,
    End,
    Fail,
}

impl SessionPolicy {
    /// Reads it from TOML.
    pub fn from_toml(text: &str) -> Result<Self, PolicyError> {
        toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            PolicyError::Toml {
                line: before.map_or(1, |before| 1 + before.matches('\n').count()),
                why: error.message().to_owned(),
            }
        })
    }

    /// The manager component with this policy in it, in the place of the one
    /// that it had. Fails where the manager would refuse its own defaults.
    ///
    /// `cache` is where compiled code is kept: see
    /// [`ServeOptions::cache`](crate::ServeOptions::cache).
    pub async fn write_into(
        &self,
        manager: &[u8],
        cache: Option<&Path>,
    ) -> Result<Vec<u8>, PolicyError> {
        // With its own defaults, without the policy that it may have.
        let pristine = write(manager, &[0])?;
        // The manager itself says what is allowed, and then whether that is as
        // strict as required: better now than to every request.
        let config = open(&pristine, cache, |config| self.resolve(config)).await?;
        let written = write(manager, &self.encode(&config))?;
        open(&written, cache, |config| config).await?;
        Ok(written)
    }

    /// What `default-config` returns: what the policy says, or what the manager
    /// has, as strict as the policy requires.
    fn resolve(&self, config: Config) -> Config {
        let require = &self.require;
        Config {
            cookie: self.cookie.resolve(config.cookie, &require.cookie),
            idle_timeout: time(self.idle_timeout, config.idle_timeout, require.idle_timeout),
            absolute_timeout: time(
                self.absolute_timeout,
                config.absolute_timeout,
                require.absolute_timeout,
            ),
            first_use_timeout: time(
                self.first_use_timeout,
                config.first_use_timeout,
                require.first_use_timeout,
            ),
            renew_after: time(self.renew_after, config.renew_after, require.renew_after),
            renew_grace: time(self.renew_grace, config.renew_grace, require.renew_grace),
            touch_after: self.touch_after.unwrap_or(config.touch_after),
            max_sessions_per_user: self
                .max_sessions_per_user
                .or(require.max_sessions_per_user)
                .or(config.max_sessions_per_user),
            on_client_change: reaction(
                self.on_client_change,
                config.on_client_change,
                require.on_client_change,
            ),
            on_damage: reaction(self.on_damage, config.on_damage, require.on_damage),
        }
    }

    /// What stands behind the marker.
    fn encode(&self, config: &Config) -> Vec<u8> {
        let numbers = [&self.require.limits()[..], &numbers(config)].concat();
        let mut written = vec![VERSION];
        written.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
        let CookieConfig {
            name, path, domain, ..
        } = &config.cookie;
        for text in [name, path, domain.as_deref().unwrap_or_default()] {
            // What is longer than that has no room in any case.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            written.extend(length.to_le_bytes());
            written.extend(text.as_bytes());
        }
        written
    }
}

impl CookieDefaults {
    fn resolve(&self, cookie: CookieConfig, require: &CookieRequirements) -> CookieConfig {
        CookieConfig {
            name: self.name.clone().unwrap_or(cookie.name),
            path: self.path.clone().unwrap_or(cookie.path),
            domain: self.domain.clone().or(cookie.domain),
            secure: self.secure.unwrap_or(cookie.secure || require.secure),
            http_only: self
                .http_only
                .unwrap_or(cookie.http_only || require.http_only),
            same_site: match (self.same_site, require.same_site) {
                (Some(site), _) => site.into(),
                // The manager's is `lax`.
                (None, Some(Site::Strict)) => SameSite::Strict,
                (None, _) => cookie.same_site,
            },
            partitioned: self
                .partitioned
                .unwrap_or(cookie.partitioned || require.partitioned),
            max_age: self.max_age.or(cookie.max_age),
        }
    }
}

fn time(said: Option<u32>, default: u32, max: Option<u32>) -> u32 {
    said.unwrap_or(max.map_or(default, |max| default.min(max)))
}

fn reaction(said: Option<Reaction>, default: Policy, least: Option<Reaction>) -> Policy {
    match (said, least) {
        (Some(said), _) => said.into(),
        // The manager's are `report`.
        (None, Some(least @ (Reaction::End | Reaction::Fail))) => least.into(),
        (None, _) => default,
    }
}

impl From<Site> for SameSite {
    fn from(site: Site) -> Self {
        match site {
            Site::Strict => Self::Strict,
            Site::Lax => Self::Lax,
            Site::None => Self::None,
        }
    }
}

impl From<Reaction> for Policy {
    fn from(reaction: Reaction) -> Self {
        match reaction {
            Reaction::Ignore => Self::Ignore,
            Reaction::Report => Self::Report,
            Reaction::End => Self::End,
            Reaction::Fail => Self::Fail,
        }
    }
}

impl Requirements {
    /// In the order of [`LIMITED`].
    fn limits(&self) -> [u32; LIMITED.len()] {
        let cookie = &self.cookie;
        let on = |is_required| if is_required { 0 } else { u32::MAX };
        let most = |max: Option<u32>| max.unwrap_or(u32::MAX);
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
            most(self.max_sessions_per_user),
            least(self.on_client_change),
            least(self.on_damage),
        ]
    }
}

/// In the order of the WIT.
fn numbers(config: &Config) -> [u32; NUMBERS] {
    let cookie = &config.cookie;
    [
        cookie.secure.into(),
        cookie.http_only.into(),
        cookie.same_site as u32,
        cookie.partitioned.into(),
        cookie.max_age.unwrap_or(0),
        config.idle_timeout,
        config.absolute_timeout,
        config.first_use_timeout,
        config.renew_after,
        config.renew_grace,
        config.touch_after,
        config.max_sessions_per_user.unwrap_or(0),
        config.on_client_change as u32,
        config.on_damage as u32,
    ]
}

fn write(manager: &[u8], written: &[u8]) -> Result<Vec<u8>, PolicyError> {
    let windows = manager.windows(MARKER.len()).enumerate();
    let mut markers = windows.filter(|(_, window)| window == MARKER);
    let (Some((marker, _)), None) = (markers.next(), markers.next()) else {
        return Err(PolicyError::NoPlace);
    };
    let mut manager = manager.to_vec();
    let place = manager
        .get_mut(marker + MARKER.len()..)
        .and_then(|rest| rest.get_mut(..ROOM))
        .ok_or(PolicyError::NoPlace)?;
    let place = place.get_mut(..written.len()).ok_or(PolicyError::TooLong)?;
    place.copy_from_slice(written);
    Ok(manager)
}

/// Opens the manager with its default configuration, as it is changed; which
/// that is.
async fn open(
    manager: &[u8],
    cache: Option<&Path>,
    change: impl FnOnce(Config) -> Config,
) -> Result<Config, PolicyError> {
    let sessions = SessionsCtx::new(Arc::new(MemoryStore::default()));
    let mut changed = None;
    let opened = SessionManager::of(manager, cache, sessions, |config| {
        *config = change(config.clone());
        changed = Some(config.clone());
    });
    match (opened.await, changed) {
        (Ok(_), Some(config)) => Ok(config),
        (Err(SessionError::Invalid(why)), _) => Err(PolicyError::Refused(why)),
        (Err(error), _) => Err(PolicyError::Failed(error)),
        (Ok(_), None) => Err(PolicyError::NoPlace),
    }
}

/// Why there is no manager with this policy.
#[derive(Debug)]
#[non_exhaustive]
pub enum PolicyError {
    /// It is not TOML, or not a policy.
    Toml {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        why: String,
    },
    /// The manager does not allow it; why, and what to do.
    Refused(String),
    /// The cookie's name, path and domain are longer than the place for them.
    TooLong,
    /// The component is no session manager of this version.
    NoPlace,
    /// The manager does not run.
    Failed(SessionError),
}

impl std::error::Error for PolicyError {}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Toml { line, why } => {
                write!(f, "line {line}: {}", why.trim().replace('\n', "; "))
            }
            Self::Refused(why) => f.write_str(why),
            Self::TooLong => f.write_str(
                "the cookie's name, path and domain are too long: 900 bytes together have room",
            ),
            Self::NoPlace => f.write_str("the component is no session manager of this version"),
            Self::Failed(error) => write!(f, "the session manager does not run: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::MANAGER;

    #[test]
    fn what_is_wrong_is_said_in_one_line_with_its_place() {
        for (text, expected) in [
            (
                "idle-timeout = 60\nabsolut-timeout = 60\n",
                "line 2: unknown field `absolut-timeout`",
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
            ("[require]\nsecure = true", "line 2: unknown field `secure`"),
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

    #[test]
    fn only_a_manager_takes_it_and_only_what_has_room() {
        let twice = [MANAGER, MANAGER].concat();
        for component in [&b""[..], b"nonsense", MARKER, &twice] {
            let written = write(component, &[VERSION]);
            assert!(matches!(written, Err(PolicyError::NoPlace)));
        }
        assert!(write(MANAGER, &[VERSION; ROOM]).is_ok());
        let written = write(MANAGER, &[VERSION; ROOM + 1]);
        assert!(matches!(written, Err(PolicyError::TooLong)));
    }

    /// What the manager, run, returns when this policy has been written into it.
    async fn written(text: &str) -> Result<Config, PolicyError> {
        let policy = SessionPolicy::from_toml(text)?;
        let manager = policy.write_into(MANAGER, None).await?;
        open(&manager, None, |config| config).await
    }

    #[tokio::test]
    async fn every_default_is_the_operators() {
        let config = written(
            r#"
            idle-timeout = 2
            absolute-timeout = 3
            first-use-timeout = 4
            renew-after = 6
            renew-grace = 5
            touch-after = 1
            max-sessions-per-user = 8
            on-client-change = "end"
            on-damage = "fail"
            [cookie]
            name = "sid"
            path = "/app"
            domain = "example.org"
            secure = true
            http-only = false
            same-site = "none"
            partitioned = true
            max-age = 9
            "#,
        );
        let config = format!("{:?}", config.await.expect("a policy"));
        let expected = Config {
            cookie: CookieConfig {
                name: "sid".into(),
                path: "/app".into(),
                domain: Some("example.org".into()),
                secure: true,
                http_only: false,
                same_site: SameSite::None,
                partitioned: true,
                max_age: Some(9),
            },
            idle_timeout: 2,
            absolute_timeout: 3,
            first_use_timeout: 4,
            renew_after: 6,
            renew_grace: 5,
            touch_after: 1,
            max_sessions_per_user: Some(8),
            on_client_change: Policy::End,
            on_damage: Policy::Fail,
        };
        assert_eq!(config, format!("{expected:?}"));
        let none = open(MANAGER, None, |config| config).await;
        let none = none.expect("the manager's");
        let same = written("").await.expect("a policy");
        assert_eq!(format!("{same:?}"), format!("{none:?}"));
    }

    /// The place has 0 for what there is not.
    #[tokio::test]
    async fn nothing_is_not_written_0() {
        for (policy, field) in [
            ("cookie.max-age = 0", "cookie max-age"),
            ("max-sessions-per-user = 0", "max-sessions-per-user"),
        ] {
            let why = written(policy).await.expect_err(policy).to_string();
            assert!(why.starts_with(field), "{why}");
        }
    }

    #[tokio::test]
    async fn what_is_required_is_the_default_too_and_binds() {
        for (field, requirement, weaker) in [
            (
                "cookie secure",
                "cookie.secure = true",
                "cookie.secure = false\ncookie.name = \"a\"",
            ),
            (
                "cookie http-only",
                "cookie.http-only = true",
                "cookie.http-only = false",
            ),
            (
                "cookie same-site",
                "cookie.same-site = \"strict\"",
                "cookie.same-site = \"lax\"",
            ),
            (
                "cookie same-site",
                "cookie.same-site = \"lax\"",
                "cookie.same-site = \"none\"",
            ),
            (
                "cookie partitioned",
                "cookie.partitioned = true",
                "cookie.partitioned = false",
            ),
            (
                "cookie max-age",
                "cookie.max-age = 190",
                "cookie.max-age = 200",
            ),
            ("idle-timeout", "idle-timeout = 900", "idle-timeout = 901"),
            (
                "absolute-timeout",
                "absolute-timeout = 9000",
                "absolute-timeout = 9001",
            ),
            (
                "first-use-timeout",
                "first-use-timeout = 90",
                "first-use-timeout = 91",
            ),
            ("renew-after", "renew-after = 90", "renew-after = 91"),
            ("renew-after", "renew-after = 90", "renew-after = 0"),
            ("renew-grace", "renew-grace = 9", "renew-grace = 10"),
            (
                "max-sessions-per-user",
                "max-sessions-per-user = 9",
                "max-sessions-per-user = 10",
            ),
            (
                "on-client-change",
                "on-client-change = \"end\"",
                "on-client-change = \"report\"",
            ),
            (
                "on-client-change",
                "on-client-change = \"report\"",
                "on-client-change = \"ignore\"",
            ),
            (
                "on-damage",
                "on-damage = \"fail\"",
                "on-damage = \"report\"",
            ),
        ] {
            let require = format!("\n[require]\n{requirement}\n");
            assert!(written(&require).await.is_ok(), "{requirement}");
            let both = format!("{weaker}{require}");
            let why = written(&both).await.expect_err(weaker).to_string();
            let expected = format!("{field}: weaker than the operator's policy requires");
            assert_eq!(why, expected, "{both}");
        }
    }
}
