//! The operator's session policy: what `default-config` returns to applications, and what
//! no application can weaken. It is read from TOML and written into the session manager
//! component, which then carries it along to any host.

use std::path::Path;
use std::sync::Arc;

use session3_policy::place::{NUMBERS, VERSION};
use session3_policy::{CookieDefaults, CookieRequirements, Reaction};
use thiserror::Error;

use crate::error::SessionError;
use crate::manager::{
    Config, CookieConfig, Policy, RememberConfig, SameSite, SessionManager, UserCaching,
};
use crate::store::MemoryStore;

pub use session3_policy::{PolicyError, SessionPolicy, nearest};

/// Returns the session manager component with this policy in place of the one that it had.
///
/// The manager runs to check the policy. `cache` is the directory that keeps compiled code,
/// as in [`ServeOptions::cache`](crate::ServeOptions::cache).
///
/// # Errors
///
/// [`WritePolicyError::Refused`] if the manager would refuse its own defaults,
/// [`WritePolicyError::Policy`] if the policy does not fit or the component is not a session
/// manager.
///
/// # Examples
///
/// ```
/// use session3::components::MANAGER;
/// use session3::policy::{SessionPolicy, write_policy};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let policy = SessionPolicy::from_toml("
///     idle-timeout = 900
///     [require.cookie]
///     secure = true
/// ")?;
/// let manager = write_policy(&policy, MANAGER, None).await?;
/// assert_eq!(manager.len(), MANAGER.len());
/// # Ok(())
/// # }
/// ```
pub async fn write_policy(
    policy: &SessionPolicy,
    manager: &[u8],
    cache: Option<&Path>,
) -> Result<Vec<u8>, WritePolicyError> {
    // The manager with its own defaults, without the policy that it may have.
    let pristine = session3_policy::write(manager, &[0])?;
    // The manager itself decides whether the defaults are allowed, and then whether they
    // are as strict as required. Otherwise every request would find out.
    let chosen = policy.clone();
    let config = open(&pristine, cache, move |config| resolve(&chosen, config)).await?;
    let written = session3_policy::write(manager, &encode(policy, &config))?;
    open(&written, cache, |config| config).await?;
    Ok(written)
}

/// Why a policy was not written into a session manager.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WritePolicyError {
    /// The policy or the component is of the wrong form.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The manager does not allow the policy. The text says why, and what to do.
    #[error("{0}")]
    Refused(String),
    /// The manager does not run.
    #[error("the session manager does not run: {0}")]
    Failed(#[source] SessionError),
}

/// Returns the defaults of applications: the policy's, or else the manager's own, made as
/// strict as the policy requires.
fn resolve(policy: &SessionPolicy, config: Config) -> Config {
    let require = &policy.require;
    let remember = resolve_remember(policy, &config);
    Config {
        cookie: resolve_cookie(&policy.cookie, config.cookie, &require.cookie),
        idle_timeout: time(
            policy.idle_timeout,
            config.idle_timeout,
            require.idle_timeout,
        ),
        absolute_timeout: time(
            policy.absolute_timeout,
            config.absolute_timeout,
            require.absolute_timeout,
        ),
        first_use_timeout: time(
            policy.first_use_timeout,
            config.first_use_timeout,
            require.first_use_timeout,
        ),
        renew_after: time(policy.renew_after, config.renew_after, require.renew_after),
        renew_grace: time(policy.renew_grace, config.renew_grace, require.renew_grace),
        touch_after: policy.touch_after.unwrap_or(config.touch_after),
        remember,
        max_sessions_per_user: policy
            .max_sessions_per_user
            .or(require.max_sessions_per_user)
            .or(config.max_sessions_per_user),
        on_client_change: reaction(
            policy.on_client_change,
            config.on_client_change,
            require.on_client_change,
        ),
        on_damage: reaction(policy.on_damage, config.on_damage, require.on_damage),
        user_caching: match (policy.user_caching, require.user_caching) {
            (Some(session3_policy::UserCaching::NoStore), _) => UserCaching::NoStore,
            (Some(session3_policy::UserCaching::Private), _) => UserCaching::Private,
            // The manager's own default is the strictest.
            (None, _) => config.user_caching,
        },
        clear_cache: policy
            .clear_cache
            .unwrap_or(config.clear_cache || require.clear_cache),
    }
}

/// Encodes the content of the policy's place in the manager.
fn encode(policy: &SessionPolicy, config: &Config) -> Vec<u8> {
    let numbers = [&policy.require.limits()[..], &numbers(config)].concat();
    let mut written = vec![VERSION];
    written.extend(numbers.into_iter().flat_map(u32::to_le_bytes));
    let CookieConfig {
        name, path, domain, ..
    } = &config.cookie;
    for text in [name, path, domain.as_deref().unwrap_or_default()] {
        // A longer text does not fit into the place in any case.
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        written.extend(length.to_le_bytes());
        written.extend(text.as_bytes());
    }
    written
}

fn resolve_cookie(
    defaults: &CookieDefaults,
    cookie: CookieConfig,
    require: &CookieRequirements,
) -> CookieConfig {
    CookieConfig {
        name: defaults.name.clone().unwrap_or(cookie.name),
        path: defaults.path.clone().unwrap_or(cookie.path),
        domain: defaults.domain.clone().or(cookie.domain),
        secure: defaults.secure.unwrap_or(cookie.secure || require.secure),
        http_only: defaults
            .http_only
            .unwrap_or(cookie.http_only || require.http_only),
        same_site: match (defaults.same_site, require.same_site) {
            (Some(site), _) => same_site(site),
            // The manager's own default is `lax`.
            (None, Some(session3_policy::SameSite::Strict)) => SameSite::Strict,
            (None, _) => cookie.same_site,
        },
        partitioned: defaults
            .partitioned
            .unwrap_or(cookie.partitioned || require.partitioned),
        max_age: defaults.max_age.or(cookie.max_age),
    }
}

/// Returns the times of remembered sessions. Where the policy requires nothing for them, what
/// it requires for all sessions counts. If it leaves them no time, no session is remembered.
fn resolve_remember(policy: &SessionPolicy, config: &Config) -> Option<RememberConfig> {
    let (defaults, require) = (&policy.remember, &policy.require);
    let own = &require.remember;
    let remember = config.remember.as_ref()?;
    let absolute_timeout = time(
        defaults.absolute_timeout,
        remember.absolute_timeout,
        own.absolute_timeout.or(require.absolute_timeout),
    );
    let times = RememberConfig {
        idle_timeout: time(
            defaults.idle_timeout,
            remember.idle_timeout.min(absolute_timeout),
            own.idle_timeout.or(require.idle_timeout),
        ),
        absolute_timeout,
        max_age: time(
            defaults.max_age,
            remember.max_age,
            own.max_age.or(require.cookie.max_age),
        ),
    };
    let touch_after = policy.touch_after.unwrap_or(config.touch_after);
    let grace = time(policy.renew_grace, config.renew_grace, require.renew_grace);
    let has_time =
        times.idle_timeout > touch_after && times.max_age > touch_after.saturating_add(grace);
    let is_chosen = [
        defaults.idle_timeout,
        defaults.absolute_timeout,
        defaults.max_age,
    ]
    .iter()
    .any(Option::is_some);
    let is_allowed = defaults
        .allowed
        .unwrap_or(!own.forbidden && (has_time || is_chosen));
    is_allowed.then_some(times)
}

/// Returns the chosen time, or the default within the largest allowed time.
fn time(chosen: Option<u32>, default: u32, max: Option<u32>) -> u32 {
    chosen.unwrap_or(max.map_or(default, |max| default.min(max)))
}

/// Returns the chosen reaction, or the default, or the weakest allowed one.
fn reaction(chosen: Option<Reaction>, default: Policy, least: Option<Reaction>) -> Policy {
    match (chosen, least) {
        (Some(chosen), _) => reaction_of(chosen),
        // The manager's own defaults are `report`.
        (None, Some(least @ (Reaction::End | Reaction::Fail))) => reaction_of(least),
        (None, _) => default,
    }
}

fn same_site(site: session3_policy::SameSite) -> SameSite {
    match site {
        session3_policy::SameSite::Strict => SameSite::Strict,
        session3_policy::SameSite::Lax => SameSite::Lax,
        session3_policy::SameSite::None => SameSite::None,
    }
}

fn reaction_of(reaction: Reaction) -> Policy {
    match reaction {
        Reaction::Ignore => Policy::Ignore,
        Reaction::Report => Policy::Report,
        Reaction::End => Policy::End,
        Reaction::Fail => Policy::Fail,
    }
}

/// Returns the numbers of a configuration, in the order of the WIT.
fn numbers(config: &Config) -> [u32; NUMBERS] {
    let cookie = &config.cookie;
    let remember = config.remember.as_ref();
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
        remember.map_or(0, |times| times.idle_timeout),
        remember.map_or(0, |times| times.absolute_timeout),
        remember.map_or(0, |times| times.max_age),
        config.max_sessions_per_user.unwrap_or(0),
        config.on_client_change as u32,
        config.on_damage as u32,
        config.user_caching as u32,
        config.clear_cache.into(),
    ]
}

/// Opens the manager with its default configuration as `change` changes it. Returns the
/// changed configuration.
async fn open(
    manager: &[u8],
    cache: Option<&Path>,
    change: impl FnOnce(Config) -> Config + Send + 'static,
) -> Result<Config, WritePolicyError> {
    let (sender, mut receiver) = tokio::sync::oneshot::channel();
    let opened = SessionManager::builder(Arc::new(MemoryStore::default()))
        .component(manager)
        .cache(cache)
        .max_sessions(1)
        .configure(|config| {
            *config = change(config.clone());
            let _ = sender.send(config.clone());
        })
        .build();
    match (opened.await, receiver.try_recv()) {
        (Ok(_), Ok(config)) => Ok(config),
        (Err(SessionError::Invalid(why)), _) => Err(WritePolicyError::Refused(why)),
        (Err(error), _) => Err(WritePolicyError::Failed(error)),
        (Ok(_), Err(_)) => Err(PolicyError::NoPlace.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::MANAGER;

    /// Returns the default configuration of the manager with this policy.
    async fn written(text: &str) -> Result<Config, WritePolicyError> {
        let policy = SessionPolicy::from_toml(text)?;
        let manager = write_policy(&policy, MANAGER, None).await?;
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
            user-caching = "private"
            clear-cache = true
            remember = { idle-timeout = 10, absolute-timeout = 11, max-age = 12 }
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
            remember: Some(RememberConfig {
                idle_timeout: 10,
                absolute_timeout: 11,
                max_age: 12,
            }),
            max_sessions_per_user: Some(8),
            on_client_change: Policy::End,
            on_damage: Policy::Fail,
            user_caching: UserCaching::Private,
            clear_cache: true,
        };
        assert_eq!(config, format!("{expected:?}"));
        let none = open(MANAGER, None, |config| config).await;
        let none = none.expect("the manager's");
        let same = written("").await.expect("a policy");
        assert_eq!(format!("{same:?}"), format!("{none:?}"));
    }

    /// A policy from before there were remembered sessions holds for these, too.
    #[tokio::test]
    async fn what_is_required_of_all_sessions_holds_for_remembered_ones() {
        let require = "[require]\nidle-timeout = 900\nabsolute-timeout = 9000\n";
        let require = format!("{require}cookie.max-age = 800\n");
        let remember = written(&require).await.expect("a policy").remember;
        let remember = remember.expect("the default");
        assert_eq!(
            (
                remember.idle_timeout,
                remember.absolute_timeout,
                remember.max_age
            ),
            (900, 9000, 800)
        );
        let own = format!("{require}remember.idle-timeout = 1000\n");
        let remember = written(&own).await.expect("a policy").remember;
        assert_eq!(remember.expect("the default").idle_timeout, 1000);
        for (key, value) in [
            ("idle-timeout", 901),
            ("absolute-timeout", 9001),
            ("max-age", 801),
        ] {
            let weaker = format!("remember.{key} = {value}\n{require}");
            let why = written(&weaker).await.expect_err(key).to_string();
            assert_eq!(
                why,
                format!("remember {key}: weaker than the operator's policy requires")
            );
        }
        // The least that they need is more than a policy from before may allow.
        let short = written("[require]\ncookie.max-age = 100\n")
            .await
            .expect("a policy");
        assert!(short.remember.is_none());
        let none = written("remember.allowed = false").await.expect("a policy");
        assert!(none.remember.is_none());
    }

    /// In the place, 0 stands for an absent value.
    #[tokio::test]
    async fn nothing_is_not_written_0() {
        for (policy, field) in [
            ("cookie.max-age = 0", "cookie max-age"),
            ("max-sessions-per-user = 0", "max-sessions-per-user"),
            ("remember.max-age = 0", "remember max-age"),
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
                "remember idle-timeout",
                "remember.idle-timeout = 9000",
                "remember.idle-timeout = 9001",
            ),
            (
                "remember absolute-timeout",
                "remember.absolute-timeout = 2000000",
                "remember.absolute-timeout = 2000001",
            ),
            (
                "remember max-age",
                "remember.max-age = 9000",
                "remember.max-age = 9001",
            ),
            (
                "remember idle-timeout",
                "remember.forbidden = true",
                "remember.allowed = true",
            ),
            (
                "user-caching",
                "user-caching = \"no-store\"",
                "user-caching = \"private\"",
            ),
            ("clear-cache", "clear-cache = true", "clear-cache = false"),
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
