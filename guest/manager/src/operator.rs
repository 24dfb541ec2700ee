//! The operator's policy, which the host has written into [`PLACE`].

use std::sync::atomic::{AtomicU8, Ordering};

use crate::bindings::exports::session3::sessions::manager::{
    Config, CookieConfig, Policy, RememberConfig, SameSite, SessionError, UserCaching,
};
use session3_policy::place::{LIMITED, MARKER, NUMBERS, ROOM, VERSION};

const LENGTH: usize = MARKER.len() + ROOM;

/// The place in the component's data into which the host writes the policy. It is marked as
/// used and its bytes are atomic, so that the compiler neither removes it nor takes its
/// initial bytes for constants.
#[used]
static PLACE: [AtomicU8; LENGTH] = empty_place();

const fn empty_place() -> [AtomicU8; LENGTH] {
    let mut place = [const { AtomicU8::new(0) }; LENGTH];
    let mut index = 0;
    while index < MARKER.len() {
        place[index] = AtomicU8::new(MARKER[index]);
        index += 1;
    }
    place
}

/// The policy of an operator.
pub struct Operator {
    /// The greatest allowed value of each field in [`LIMITED`].
    limits: [u32; LIMITED.len()],
    /// The configuration that `default-config` returns.
    pub config: Config,
}

impl Operator {
    /// Reads the policy that the host has written, or returns `None` if it has written none.
    ///
    /// # Errors
    ///
    /// `invalid` if the policy was written for another version of the manager.
    pub fn written_by_host() -> Result<Option<Self>, SessionError> {
        let place = PLACE.iter().skip(MARKER.len());
        let mut place = place.map(|byte| byte.load(Ordering::Relaxed));
        match place.next() {
            None | Some(0) => Ok(None),
            Some(VERSION) => Self::read(&mut place).map(Some).ok_or_else(other_version),
            Some(_) => Err(other_version()),
        }
    }

    fn read(written: &mut impl Iterator<Item = u8>) -> Option<Self> {
        let limits = read_numbers(written)?;
        let numbers = read_numbers(written)?;
        let [name, path, domain] = [
            read_text(written)?,
            read_text(written)?,
            read_text(written)?,
        ];
        let domain = Some(domain).filter(|domain| !domain.is_empty());
        let config = config(numbers, name, path, domain)?;
        Some(Self { limits, config })
    }

    /// Checks that an application's configuration is at least as strict as the policy.
    ///
    /// # Errors
    ///
    /// `invalid` if a field is weaker than the policy requires. The text names the field.
    pub fn check(&self, config: &Config) -> Result<(), SessionError> {
        let weaknesses = weaknesses(config).into_iter();
        let mut fields = weaknesses.zip(self.limits).zip(LIMITED);
        match fields.find(|((weakness, limit), _)| weakness > limit) {
            Some((_, field)) => Err(SessionError::Invalid(format!(
                "{field}: weaker than the operator's policy requires"
            ))),
            None => Ok(()),
        }
    }
}

fn other_version() -> SessionError {
    let why = "the operator's policy in this component is for another version of the session \
               manager: write it again";
    SessionError::Invalid(why.into())
}

fn read_number(written: &mut impl Iterator<Item = u8>) -> Option<u32> {
    let mut next = || written.next();
    Some(u32::from_le_bytes([next()?, next()?, next()?, next()?]))
}

fn read_numbers<const N: usize>(written: &mut impl Iterator<Item = u8>) -> Option<[u32; N]> {
    let mut numbers = [0; N];
    for place in &mut numbers {
        *place = read_number(written)?;
    }
    Some(numbers)
}

fn read_text(written: &mut impl Iterator<Item = u8>) -> Option<String> {
    let length = read_number(written)?.try_into().ok()?;
    let text: Vec<_> = written.take(length).collect();
    let is_whole = text.len() == length;
    String::from_utf8(text).ok().filter(|_| is_whole)
}

fn config(
    numbers: [u32; NUMBERS],
    name: String,
    path: String,
    domain: Option<String>,
) -> Option<Config> {
    let [
        secure,
        http_only,
        same_site,
        partitioned,
        max_age,
        idle_timeout,
        absolute_timeout,
        first_use_timeout,
        renew_after,
        renew_grace,
        touch_after,
        remember_idle_timeout,
        remember_absolute_timeout,
        remember_max_age,
        max_sessions_per_user,
        on_client_change,
        on_damage,
        user_caching,
        clear_cache,
    ] = numbers;
    let optional = |number| Some(number).filter(|number| *number != 0);
    Some(Config {
        cookie: CookieConfig {
            name,
            path,
            domain,
            secure: secure != 0,
            http_only: http_only != 0,
            same_site: *[SameSite::Strict, SameSite::Lax, SameSite::None]
                .get(same_site as usize)?,
            partitioned: partitioned != 0,
            max_age: optional(max_age),
        },
        idle_timeout,
        absolute_timeout,
        first_use_timeout,
        renew_after,
        renew_grace,
        touch_after,
        remember: optional(remember_max_age).map(|max_age| RememberConfig {
            idle_timeout: remember_idle_timeout,
            absolute_timeout: remember_absolute_timeout,
            max_age,
        }),
        max_sessions_per_user: optional(max_sessions_per_user),
        on_client_change: policy(on_client_change)?,
        on_damage: policy(on_damage)?,
        user_caching: *[UserCaching::NoStore, UserCaching::Private].get(user_caching as usize)?,
        clear_cache: clear_cache != 0,
    })
}

fn policy(index: u32) -> Option<Policy> {
    let policies = [Policy::Ignore, Policy::Report, Policy::End, Policy::Fail];
    policies.get(index as usize).copied()
}

/// Returns the values of the fields in the order of [`LIMITED`]. A greater value is weaker.
fn weaknesses(config: &Config) -> [u32; LIMITED.len()] {
    let cookie = &config.cookie;
    let remember = config.remember.as_ref();
    [
        u32::from(!cookie.secure),
        u32::from(!cookie.http_only),
        match cookie.same_site {
            SameSite::Strict => 0,
            SameSite::Lax => 1,
            SameSite::None => 2,
        },
        u32::from(!cookie.partitioned),
        cookie.max_age.unwrap_or(0),
        config.idle_timeout,
        config.absolute_timeout,
        config.first_use_timeout,
        match config.renew_after {
            0 => u32::MAX,
            seconds => seconds,
        },
        config.renew_grace,
        remember.map_or(0, |times| times.idle_timeout),
        remember.map_or(0, |times| times.absolute_timeout),
        remember.map_or(0, |times| times.max_age),
        config.max_sessions_per_user.unwrap_or(u32::MAX),
        weakness(config.on_client_change),
        weakness(config.on_damage),
        match config.user_caching {
            UserCaching::NoStore => 0,
            UserCaching::Private => 1,
        },
        u32::from(!config.clear_cache),
    ]
}

fn weakness(policy: Policy) -> u32 {
    match policy {
        Policy::End | Policy::Fail => 0,
        Policy::Report => 1,
        Policy::Ignore => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::default_config;

    #[test]
    fn without_a_policy_there_is_none() {
        assert!(
            Operator::written_by_host()
                .expect("nothing was written")
                .is_none()
        );
    }

    #[test]
    fn what_is_cut_short_or_no_choice_is_not_read() {
        let whole = [&[0; 4 * (LIMITED.len() + NUMBERS)][..], &[0; 12]].concat();
        assert!(Operator::read(&mut whole.iter().copied()).is_some());
        for length in 0..whole.len() {
            assert!(
                Operator::read(&mut whole[..length].iter().copied()).is_none(),
                "{length}"
            );
        }
        for (number, choices) in [(2, 3), (15, 4), (16, 4), (17, 2)] {
            let mut wrong = whole.clone();
            wrong[4 * (LIMITED.len() + number)] = choices;
            assert!(
                Operator::read(&mut wrong.iter().copied()).is_none(),
                "{number}"
            );
        }
        let mut wrong = whole;
        let length = wrong.len();
        wrong[length - 1] = 1;
        assert!(
            Operator::read(&mut wrong.iter().copied()).is_none(),
            "a text's length"
        );
    }

    fn remember(config: &mut Config) -> &mut RememberConfig {
        config.remember.as_mut().expect("the default")
    }

    /// Returns the error text for a changed configuration, under a policy whose limits are
    /// the values of the unchanged one.
    fn refusal(change: impl FnOnce(&mut Config)) -> Option<String> {
        let mut config = default_config();
        config.cookie.partitioned = true;
        config.cookie.max_age = Some(60);
        config.max_sessions_per_user = Some(3);
        config.clear_cache = true;
        let operator = Operator {
            limits: weaknesses(&config),
            config: default_config(),
        };
        change(&mut config);
        match operator.check(&config) {
            Ok(()) => None,
            Err(SessionError::Invalid(why)) => Some(why),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_as_strict_or_stricter_is_accepted() {
        assert_eq!(refusal(|_| ()), None);
        let stricter = |config: &mut Config| {
            config.cookie.same_site = SameSite::Strict;
            config.cookie.max_age = None;
            config.idle_timeout = 1;
            config.absolute_timeout = 1;
            config.first_use_timeout = 1;
            config.renew_after = 1;
            config.renew_grace = 1;
            config.max_sessions_per_user = Some(1);
            config.on_client_change = Policy::End;
            config.on_damage = Policy::Fail;
            config.remember = None;
        };
        assert_eq!(refusal(stricter), None);
    }

    #[test]
    fn nothing_that_is_required_can_be_weakened() {
        type Change = fn(&mut Config);
        let changes: &[(&str, Change)] = &[
            ("cookie secure", |c| c.cookie.secure = false),
            ("cookie http-only", |c| c.cookie.http_only = false),
            ("cookie same-site", |c| c.cookie.same_site = SameSite::None),
            ("cookie partitioned", |c| c.cookie.partitioned = false),
            ("cookie max-age", |c| c.cookie.max_age = Some(61)),
            ("idle-timeout", |c| c.idle_timeout += 1),
            ("absolute-timeout", |c| c.absolute_timeout += 1),
            ("first-use-timeout", |c| c.first_use_timeout += 1),
            ("renew-after", |c| c.renew_after += 1),
            ("renew-after", |c| c.renew_after = 0),
            ("renew-grace", |c| c.renew_grace += 1),
            ("remember idle-timeout", |c| remember(c).idle_timeout += 1),
            ("remember absolute-timeout", |c| {
                remember(c).absolute_timeout += 1;
            }),
            ("remember max-age", |c| remember(c).max_age += 1),
            ("user-caching", |c| c.user_caching = UserCaching::Private),
            ("clear-cache", |c| c.clear_cache = false),
            ("max-sessions-per-user", |c| {
                c.max_sessions_per_user = Some(4)
            }),
            ("max-sessions-per-user", |c| c.max_sessions_per_user = None),
            ("on-client-change", |c| c.on_client_change = Policy::Ignore),
            ("on-damage", |c| c.on_damage = Policy::Ignore),
        ];
        for (field, change) in changes {
            let why = refusal(*change).unwrap_or_else(|| panic!("accepted: {field}"));
            assert!(why.starts_with(field), "{why}");
        }
    }
}
