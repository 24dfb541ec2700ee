//! The security checklist, item by item, through the real component, with a clock, random
//! numbers and a store that the test controls.
//!
//! The items come from OWASP's Session Management Cheat Sheet (O), ASVS 5.0
//! chapter 7 (A; 4.0 chapter 3 where marked), NIST SP 800-63B section 7 (N) and
//! RFC 6265bis (R).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use session3::bindings::exports::session3::sessions::manager::{
    Config, Header, Mode, Policy, Request, SameSite, SessionError,
};
use session3::store::{DirectoryStore, MemoryStore, SessionId, SessionStore};
use session3::{EndReason, Event, RejectReason};
use wasmtime::component::ResourceAny;
use wasmtime_wasi::WasiCtx;

use session3_test_harness::manager::{Manager, TestClock, cookie_of, on};
use session3_test_support::base64url::{decoded, encoded};
use session3_test_support::random::seed;
use session3_test_support::{block_on, files};

const MINUTE: u64 = 60_000;
const START: u64 = 1_700_000_000_000;

/// A manager with the clock, the random numbers and the store that it uses.
struct World {
    /// The seed of the random numbers.
    seed: u64,
    clock: Arc<AtomicU64>,
    store: Arc<dyn SessionStore>,
    manager: Manager,
}

/// Creates a manager on a store in memory, with the default configuration and these changes.
async fn world(change: impl FnOnce(&mut Config)) -> World {
    let clock = Arc::new(AtomicU64::new(START));
    let reader = clock.clone();
    let store = Arc::new(MemoryStore::new(move || reader.load(Ordering::SeqCst)));
    world_with(clock, store, change).await
}

async fn world_with(
    clock: Arc<AtomicU64>,
    store: Arc<dyn SessionStore>,
    change: impl FnOnce(&mut Config),
) -> World {
    let mut wasi = WasiCtx::builder();
    wasi.wall_clock(TestClock(clock.clone()));
    let seed = seed();
    wasi.secure_random(StdRng::seed_from_u64(seed));
    let manager = Manager::with(store.clone(), wasi.build(), change).await;
    World {
        seed,
        clock,
        store,
        manager,
    }
}

impl World {
    fn pass(&self, milliseconds: u64) {
        self.clock.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// Opens the session of a request with this cookie.
    async fn open(&mut self, cookie: &[u8]) -> ResourceAny {
        self.manager.open(vec![cookie.to_vec()]).await.unwrap()
    }

    /// Makes a request that changes an attribute. Returns the cookie for later requests.
    async fn visit(&mut self, cookie: &[u8]) -> Vec<u8> {
        self.manager.request(cookie, "visits", 1).await
    }

    /// Makes a request that logs a user in. Returns the cookie for later requests.
    async fn log_in(&mut self, cookie: &[u8], user: &str) -> Vec<u8> {
        let session = self.open(cookie).await;
        let manager = &mut self.manager;
        on!(manager, session, call_set_user, Some(user)).unwrap();
        let headers = manager.commit(session).await.unwrap();
        cookie_of(&headers).unwrap()
    }

    /// Makes a request that ends the session. Returns the headers for its response.
    async fn log_out(&mut self, cookie: &[u8]) -> Vec<Header> {
        let session = self.open(cookie).await;
        let manager = &mut self.manager;
        on!(manager, session, call_expire).unwrap();
        manager.commit(session).await.unwrap()
    }

    /// Makes a request that changes nothing. Returns whether the cookie opened a session.
    async fn opens(&mut self, cookie: &[u8]) -> bool {
        let session = self.open(cookie).await;
        let is_new = self.manager.is_new(session).await;
        self.manager.commit(session).await.unwrap();
        !is_new
    }

    /// Makes a request that changes nothing. Returns the new cookie, if the response sets one.
    async fn look(&mut self, cookie: &[u8]) -> Option<Vec<u8>> {
        let session = self.open(cookie).await;
        let headers = self.manager.commit(session).await.unwrap();
        cookie_of(&headers)
    }

    async fn user(&mut self, cookie: &[u8]) -> Option<String> {
        let session = self.open(cookie).await;
        let manager = &mut self.manager;
        on!(manager, session, call_user)
    }

    fn events(&self) -> Vec<Event> {
        std::mem::take(&mut self.manager.events.lock().unwrap())
    }

    fn has_event(&self, wanted: impl Fn(&Event) -> bool) -> bool {
        self.events().iter().any(wanted)
    }
}

/// Returns the ID and the secret of the cookie `name=id.secret`.
fn parts(cookie: &[u8]) -> (String, String) {
    let text = str::from_utf8(cookie).unwrap();
    let (_, token) = text.split_once('=').unwrap();
    let (id, secret) = token.split_once('.').unwrap();
    (id.to_owned(), secret.to_owned())
}

fn id_of(cookie: &[u8]) -> SessionId {
    parts(cookie).0.parse().unwrap()
}

fn set_cookie(headers: &[Header]) -> &str {
    let header = headers.iter().find(|header| header.name == "Set-Cookie");
    &header.unwrap().value
}

fn header<'a>(headers: &'a [Header], name: &str) -> Option<&'a str> {
    let header = headers.iter().find(|header| header.name == name)?;
    Some(&header.value)
}

#[test]
fn checklist_01_tokens_have_128_bits_of_a_cryptographic_source() {
    block_on(async {
        let mut world = world(|_| ()).await;
        // The ID and the secret are numbers from the random source, with none in common.
        let (id, secret) = parts(&world.visit(b"").await);
        let mut source = StdRng::seed_from_u64(world.seed);
        let numbers: [u64; 8] = std::array::from_fn(|_| source.next_u64());
        let joined = |pair: &[u64]| u128::from(pair[0]) << 64 | u128::from(pair[1]);
        let place_of = |number| {
            let mut pairs = numbers.windows(2);
            pairs.position(|pair| joined(pair) == number).unwrap()
        };
        let id = u128::from_str_radix(&id, 16).unwrap();
        let secret = u128::from_le_bytes(decoded(&secret).try_into().unwrap());
        assert!(place_of(id).abs_diff(place_of(secret)) >= 2);
        let mut seen = HashSet::new();
        // The number of secrets in which each bit is set.
        let mut ones = [0_u32; 128];
        for _ in 0..500 {
            let (id, secret) = parts(&world.visit(b"").await);
            assert_eq!((id.len(), secret.len()), (32, 22), "128 bits each");
            for (index, byte) in decoded(&secret).into_iter().enumerate() {
                for bit in 0..8 {
                    ones[8 * index + bit] += u32::from(byte >> bit & 1);
                }
            }
            assert!(seen.insert(id) && seen.insert(secret));
        }
        // Within ten standard deviations, so no bit is fixed, as six bits of a UUID are.
        assert!(
            ones.iter().all(|count| (140..360).contains(count)),
            "{ones:?}"
        );
    });
}

#[test]
fn checklist_02_the_token_holds_no_personal_data() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let tokens = [
            world.log_in(b"", "alice").await,
            world.log_in(b"", "alice").await,
        ];
        for token in &tokens {
            assert!(!String::from_utf8_lossy(token).contains("alice"));
        }
        let ([first, second], [other, another]) = (
            tokens.each_ref().map(|token| parts(token).0),
            tokens.each_ref().map(|token| parts(token).1),
        );
        assert!(
            first != second && other != another,
            "the user does not determine the token"
        );
    });
}

#[test]
fn checklist_03_the_syntax_is_checked_before_any_use() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let good = String::from_utf8(world.visit(b"").await).unwrap();
        let (id, secret) = parts(good.as_bytes());
        let bad = [
            id.clone(),
            format!("{id}.{secret}A"),
            format!("{id}.{}", &secret[1..]),
            format!("{}.{secret}", id.to_uppercase()),
            format!("{id}{secret}"),
            format!("../{}.{secret}", &id[3..]),
            format!("{id}.{secret}="),
            format!("{id}.{}", secret.replace(&secret[..1], "*")),
        ];
        world.events();
        for token in bad {
            let cookie = format!("__Host-session={token}");
            assert!(!world.opens(cookie.as_bytes()).await, "{cookie}");
            let malformed =
                |event: &Event| matches!(event, Event::Rejected((None, RejectReason::Malformed)));
            assert!(
                world.has_event(malformed),
                "{cookie}: not rejected as malformed"
            );
        }
        assert!(world.opens(good.as_bytes()).await);
    });
}

#[test]
fn checklist_04_a_token_that_was_never_issued_gets_a_new_session_and_an_event() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let (id, secret) = parts(&world.visit(b"").await);
        let unknown = format!("__Host-session={}.{secret}", "0".repeat(32));
        let wrong = format!("__Host-session={id}.{}", "A".repeat(22));
        for (cookie, reason) in [
            (unknown, RejectReason::Unknown),
            (wrong, RejectReason::WrongSecret),
        ] {
            world.events();
            let fresh = world.visit(cookie.as_bytes()).await;
            let (named, issued) = (id_of(cookie.as_bytes()), id_of(&fresh));
            assert_ne!(named, issued, "the client does not choose the ID");
            let named = named.to_string();
            assert!(world.has_event(
                |event| matches!(event, Event::Rejected((Some(id), why)) if *id == named && *why == reason)
            ));
        }
    });
}

#[test]
fn checklist_06_a_change_of_user_makes_a_new_token_and_ends_the_old_one_at_once() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let anonymous = world.visit(b"").await;
        let alice = world.log_in(&anonymous, "alice").await;
        let again = world.log_in(&alice, "alice").await;
        let bob = world.log_in(&again, "bob").await;
        assert!(
            [&anonymous, &alice, &again]
                .iter()
                .all(|token| **token != bob)
        );
        for old in [anonymous, alice, again] {
            assert!(!world.opens(&old).await);
        }
        assert_eq!(
            world.user(&bob).await.as_deref(),
            Some("bob"),
            "the session continues with its new user"
        );
    });
}

#[test]
fn checklist_07_after_log_out_the_session_is_gone_from_the_store_for_saves_under_way_too() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let cookie = world.log_in(b"", "alice").await;
        let slow = world.open(&cookie).await;
        world.manager.add(slow, "n", 1).await;
        world.log_out(&cookie).await;
        let committed = world.manager.commit(slow).await;
        assert!(matches!(committed, Err(SessionError::Ended)));
        assert_eq!(world.store.load_session(&id_of(&cookie)).await, Ok(None));
        assert!(!world.opens(&cookie).await);

        let cookie = world.log_in(b"", "alice").await;
        let slow = world.open(&cookie).await;
        world.manager.add(slow, "n", 1).await;
        world.pass(31 * MINUTE);
        assert!(!world.opens(&cookie).await, "the session has expired");
        let committed = world.manager.commit(slow).await;
        assert!(matches!(committed, Err(SessionError::Ended)));
        assert_eq!(world.store.load_session(&id_of(&cookie)).await, Ok(None));
    });
}

#[test]
fn checklist_08_the_idle_timeout_is_enforced_by_the_server() {
    block_on(async {
        let mut world = world(|config| config.renew_after = 0).await;
        let cookie = world.log_in(b"", "alice").await;
        assert!(world.opens(&cookie).await, "the first use of the session");
        for _ in 0..5 {
            world.pass(28 * MINUTE);
            assert!(world.opens(&cookie).await, "a session in use does not end");
        }
        world.pass(30 * MINUTE + 1);
        world.events();
        assert!(!world.opens(&cookie).await);
        assert!(world.has_event(|event| matches!(event, Event::Ended((_, EndReason::Idle)))));
    });
}

#[test]
fn checklist_09_the_absolute_timeout_too_however_active_it_is() {
    block_on(async {
        let mut world = world(|config| config.renew_after = 0).await;
        let cookie = world.log_in(b"", "alice").await;
        assert!(world.opens(&cookie).await, "the first use of the session");
        for _ in 0..12 * 6 - 1 {
            world.pass(10 * MINUTE);
            world.visit(&cookie).await;
        }
        assert!(world.opens(&cookie).await);
        world.pass(10 * MINUTE + 1);
        world.events();
        assert!(!world.opens(&cookie).await);
        assert!(world.has_event(|event| matches!(event, Event::Ended((_, EndReason::TooOld)))));
    });
}

#[test]
fn checklist_10_renewal_while_in_use_overlaps_for_a_bounded_time() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let old = world.log_in(b"", "alice").await;
        assert_eq!(world.look(&old).await, None);
        world.pass(16 * MINUTE);
        let new = world.look(&old).await.expect("a new token");
        // The response may get lost, so the old token is valid until the browser first presents
        // the new one, and for the grace after that.
        world.pass(5 * MINUTE);
        assert!(world.opens(&old).await);
        assert_eq!(world.user(&new).await.as_deref(), Some("alice"));
        assert!(world.opens(&new).await);
        world.pass(MINUTE - 1);
        assert!(
            world.opens(&old).await,
            "valid during the grace of a minute"
        );
        world.pass(2);
        assert!(!world.opens(&old).await, "not valid after the grace");
    });
}

#[test]
fn checklist_11_all_sessions_of_one_user_can_be_ended() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let alices = [
            world.log_in(b"", "alice").await,
            world.log_in(b"", "alice").await,
        ];
        let bobs = world.log_in(b"", "bob").await;
        assert_eq!(world.manager.admin_delete_user("alice").await, Ok(2));
        for cookie in alices {
            assert!(!world.opens(&cookie).await);
        }
        assert!(world.opens(&bobs).await);
    });
}

#[test]
fn checklist_12_all_others_of_a_user_can_be_ended_when_a_factor_changes() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let stolen = world.log_in(b"", "alice").await;
        let own = world.log_in(b"", "alice").await;
        let bobs = world.log_in(b"", "bob").await;
        let session = world.open(&own).await;
        let manager = &mut world.manager;
        assert!(matches!(on!(manager, session, call_expire_others), Ok(1)));
        assert!(!world.opens(&stolen).await);
        assert!(world.opens(&own).await && world.opens(&bobs).await);
    });
}

#[test]
fn checklist_13_an_administrator_can_end_one_session_one_users_or_everyones() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let mut cookies = Vec::new();
        for user in ["alice", "alice", "bob", "carol"] {
            cookies.push(world.log_in(b"", user).await);
        }
        let one = id_of(&cookies[3]).to_string();
        world.events();
        assert_eq!(world.manager.admin_delete(&one).await, Ok(true));
        let by = |event: &Event| matches!(event, Event::Ended((id, EndReason::ByAdministrator)) if *id == one);
        assert!(world.has_event(by));
        assert!(!world.opens(&cookies[3]).await && world.opens(&cookies[2]).await);
        assert_eq!(world.manager.admin_delete_user("alice").await, Ok(2));
        assert!(!world.opens(&cookies[0]).await && world.opens(&cookies[2]).await);
        assert_eq!(world.manager.admin_delete_all().await, Ok(1));
        assert!(!world.opens(&cookies[2]).await);
    });
}

#[test]
fn checklist_14_users_can_see_and_end_their_own_sessions_and_no_others() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let there = world.log_in(b"", "alice").await;
        let here = world.log_in(b"", "alice").await;
        let bobs = world.log_in(b"", "bob").await;
        let session = world.open(&here).await;
        let manager = &mut world.manager;
        let own = on!(manager, session, call_own_sessions).unwrap();
        let mut seen: Vec<_> = own
            .iter()
            .map(|own| (own.id.clone(), own.is_current))
            .collect();
        seen.sort();
        let mut wanted = vec![
            (id_of(&there).to_string(), false),
            (id_of(&here).to_string(), true),
        ];
        wanted.sort();
        assert_eq!(seen, wanted);
        let bob = id_of(&bobs).to_string();
        let ended = on!(manager, session, call_expire_own, &bob);
        assert!(matches!(ended, Ok(false)), "not a session of bob");
        let other = id_of(&there).to_string();
        let ended = on!(manager, session, call_expire_own, &other);
        assert!(matches!(ended, Ok(true)));
        assert!(!world.opens(&there).await);
        assert!(world.opens(&here).await && world.opens(&bobs).await);
    });
}

#[test]
fn checklist_15_a_users_sessions_are_bounded_and_the_least_recently_used_ends() {
    block_on(async {
        let mut world = world(|config| config.max_sessions_per_user = Some(2)).await;
        let first = world.log_in(b"", "alice").await;
        world.pass(2 * MINUTE);
        let second = world.log_in(b"", "alice").await;
        world.pass(2 * MINUTE);
        assert!(
            world.opens(&first).await,
            "this use makes the second session the least recently used"
        );
        world.pass(2 * MINUTE);
        world.events();
        let third = world.log_in(b"", "alice").await;
        assert!(world.has_event(|event| matches!(event, Event::Ended((_, EndReason::TooMany)))));
        assert!(!world.opens(&second).await);
        assert!(world.opens(&first).await && world.opens(&third).await);
    });
}

#[test]
fn checklist_16_the_time_of_the_last_authentication_can_be_read() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let cookie = world.visit(b"").await;
        let session = world.open(&cookie).await;
        let manager = &mut world.manager;
        assert_eq!(on!(manager, session, call_authenticated), None);
        world.pass(MINUTE);
        let cookie = world.log_in(&cookie, "alice").await;
        world.pass(MINUTE);
        world.visit(&cookie).await;
        let session = world.open(&cookie).await;
        let manager = &mut world.manager;
        assert_eq!(
            on!(manager, session, call_authenticated),
            Some(START + MINUTE)
        );
        let cookie = world.log_in(&cookie, "alice").await;
        let session = world.open(&cookie).await;
        let manager = &mut world.manager;
        assert_eq!(
            on!(manager, session, call_authenticated),
            Some(START + 2 * MINUTE)
        );
    });
}

/// Returns the Set-Cookie header of a first visit under a configuration.
async fn first_cookie(change: impl FnOnce(&mut Config)) -> String {
    let mut world = world(change).await;
    let session = world.open(b"").await;
    world.manager.add(session, "n", 1).await;
    let headers = world.manager.commit(session).await.unwrap();
    set_cookie(&headers).to_owned()
}

#[test]
fn checklist_17_cookies_are_secure_and_httponly_by_default() {
    block_on(async {
        let cookie = first_cookie(|_| ()).await;
        let attributes: Vec<&str> = cookie.split("; ").collect();
        assert!(
            attributes.contains(&"Secure") && attributes.contains(&"HttpOnly"),
            "{cookie}"
        );
    });
}

/// Opens a manager with a configuration that it must refuse. Returns the text of the error.
async fn refusal(change: impl FnOnce(&mut Config)) -> String {
    let mut world = world(|_| ()).await;
    match world.manager.open_config(change).await {
        Err(SessionError::Invalid(why)) => why,
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("the configuration was accepted"),
    }
}

#[test]
fn checklist_18_samesite_is_explicit_and_none_is_refused_without_secure() {
    block_on(async {
        for (same_site, text) in [
            (SameSite::Lax, "SameSite=Lax"),
            (SameSite::Strict, "SameSite=Strict"),
            (SameSite::None, "SameSite=None"),
        ] {
            let cookie = first_cookie(|config| config.cookie.same_site = same_site).await;
            assert!(cookie.contains(text), "{cookie}");
        }
        let why = refusal(|config| {
            config.cookie.name = "session".into();
            config.cookie.secure = false;
            config.cookie.same_site = SameSite::None;
        });
        assert!(why.await.contains("needs secure"));
    });
}

#[test]
fn checklist_19_host_prefix_by_default_and_contradictions_are_refused() {
    block_on(async {
        let cookie = first_cookie(|_| ()).await;
        assert!(cookie.starts_with("__Host-session="), "{cookie}");
        assert!(
            cookie.contains("Path=/;") || cookie.ends_with("Path=/"),
            "{cookie}"
        );
        assert!(
            cookie.contains("Secure") && !cookie.contains("Domain"),
            "{cookie}"
        );
        let contradictions: [fn(&mut Config); 5] = [
            |config| config.cookie.secure = false,
            |config| config.cookie.path = "/app".into(),
            |config| config.cookie.domain = Some("example.org".into()),
            |config| {
                config.cookie.name = "__Secure-session".into();
                config.cookie.secure = false;
            },
            |config| {
                config.cookie.name = "session".into();
                config.cookie.secure = false;
                config.cookie.partitioned = true;
            },
        ];
        for contradiction in contradictions {
            refusal(contradiction).await;
        }
    });
}

#[test]
fn checklist_20_name_and_value_and_lifetime_keep_to_the_limits() {
    block_on(async {
        let longest = 4096 - 55;
        let cookie = first_cookie(|config| config.cookie.name = "n".repeat(longest)).await;
        let pair = cookie.split(';').next().unwrap();
        assert!(pair.len() - 1 <= 4096, "{}", pair.len());
        refusal(|config| config.cookie.name = "n".repeat(longest + 1)).await;
        let days = 24 * 60 * 60;
        let cookie = first_cookie(|config| config.cookie.max_age = Some(400 * days)).await;
        assert!(cookie.contains("Max-Age=34560000"), "{cookie}");
        refusal(|config| config.cookie.max_age = Some(400 * days + 1)).await;
    });
}

#[test]
fn checklist_21_the_cookie_that_removes_repeats_what_was_set() {
    block_on(async {
        let mut world = world(|config| {
            config.cookie.name = "__Secure-s".into();
            config.cookie.path = "/app".into();
            config.cookie.domain = Some("example.org".into());
            config.cookie.partitioned = true;
        })
        .await;
        let cookie = world.visit(b"").await;
        let headers = world.log_out(&cookie).await;
        let removing = set_cookie(&headers);
        assert!(removing.starts_with("__Secure-s=;"), "{removing}");
        for part in [
            "Path=/app",
            "Domain=example.org",
            "Secure",
            "Partitioned",
            "Max-Age=0",
        ] {
            assert!(
                removing.split("; ").any(|attribute| attribute == part),
                "{removing}"
            );
        }
    });
}

#[test]
fn checklist_22_a_response_with_the_cookie_is_not_to_be_stored() {
    block_on(async {
        let mut world = world(|config| config.clear_cache = true).await;
        let session = world.open(b"").await;
        world.manager.add(session, "n", 1).await;
        let headers = world.manager.commit(session).await.unwrap();
        let cookie = cookie_of(&headers).unwrap();
        let ending = world.log_out(&cookie).await;
        for headers in [&headers, &ending] {
            assert_eq!(header(headers, "Cache-Control"), Some("no-store"));
            assert_eq!(header(headers, "Vary"), Some("Cookie"));
        }
        assert_eq!(header(&ending, "Clear-Site-Data"), Some("\"cache\""));
        // A log-out may also keep the session.
        let cookie = world.log_in(b"", "alice").await;
        let session = world.open(&cookie).await;
        let manager = &mut world.manager;
        on!(manager, session, call_set_user, None).unwrap();
        let headers = manager.commit(session).await.unwrap();
        assert_eq!(header(&headers, "Clear-Site-Data"), Some("\"cache\""));
    });
}

#[test]
fn checklist_23_the_cookie_ends_with_the_browser_unless_configured() {
    block_on(async {
        let cookie = first_cookie(|_| ()).await;
        assert!(
            !cookie.contains("Max-Age") && !cookie.contains("Expires"),
            "{cookie}"
        );
        let cookie = first_cookie(|config| config.cookie.max_age = Some(600)).await;
        assert!(cookie.contains("Max-Age=600"), "{cookie}");
    });
}

/// Creates a form token in a session, and commits it.
async fn form_token(world: &mut World, cookie: &[u8]) -> String {
    let session = world.open(cookie).await;
    let manager = &mut world.manager;
    let token = on!(manager, session, call_create_form_token).unwrap();
    manager.commit(session).await.unwrap();
    token
}

async fn uses_up(world: &mut World, cookie: &[u8], token: &str) -> bool {
    let session = world.open(cookie).await;
    let manager = &mut world.manager;
    on!(manager, session, call_remove_form_token, token).unwrap()
}

#[test]
fn checklist_24_form_tokens_are_random_one_time_and_bound_to_the_session() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let alices = world.log_in(b"", "alice").await;
        let bobs = world.log_in(b"", "bob").await;
        let (first, second) = (
            form_token(&mut world, &alices).await,
            form_token(&mut world, &alices).await,
        );
        assert!(first != second && first.len() >= 22, "128 bits");
        assert!(
            !uses_up(&mut world, &bobs, &first).await,
            "not valid in bob's session"
        );
        assert!(!uses_up(&mut world, &alices, "").await);
        assert!(!uses_up(&mut world, &alices, &first[1..]).await);
        // Of two submissions at once, one is accepted.
        let sessions = [world.open(&alices).await, world.open(&alices).await];
        let manager = &mut world.manager;
        let mut used = 0;
        for session in sessions {
            used += u32::from(on!(manager, session, call_remove_form_token, &first).unwrap());
        }
        assert_eq!(used, 1);
        assert!(!uses_up(&mut world, &alices, &first).await);
        assert!(
            uses_up(&mut world, &alices, &second).await,
            "the second token is still valid"
        );
    });
}

#[test]
fn checklist_25_what_happens_is_reported_with_the_id_and_never_with_the_token() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let mut secrets = Vec::new();
        let mut all = Vec::new();
        let first = world.visit(b"").await;
        let second = world.log_in(&first, "alice").await;
        world.pass(16 * MINUTE);
        let third = world.look(&second).await.unwrap();
        let wrong = format!("__Host-session={}.{}", id_of(&first), "A".repeat(22));
        world.opens(wrong.as_bytes()).await;
        world.opens(&first).await;
        world.log_out(&third).await;
        world.opens(&third).await;
        let id = id_of(&first).to_string();
        secrets.extend([&first, &second, &third].map(|cookie| parts(cookie).1));
        secrets.push("A".repeat(22));
        all.extend(world.events());
        let has = |wanted: &dyn Fn(&Event) -> bool| all.iter().any(wanted);
        assert!(has(
            &|event| matches!(event, Event::Created(session) if *session == id)
        ));
        assert!(has(
            &|event| matches!(event, Event::UserChanged(session) if *session == id)
        ));
        assert!(has(
            &|event| matches!(event, Event::Renewed(session) if *session == id)
        ));
        assert!(has(
            &|event| matches!(event, Event::Ended((session, _)) if *session == id)
        ));
        assert!(has(
            &|event| matches!(event, Event::Rejected((Some(session), _)) if *session == id)
        ));
        let text = format!("{all:?}");
        for secret in secrets {
            assert!(!text.contains(&secret), "a secret in {text}");
        }
    });
}

#[test]
fn checklist_26_a_change_of_client_is_reported_or_ends_the_session() {
    block_on(async {
        for policy in [Policy::Ignore, Policy::Report, Policy::End, Policy::Fail] {
            let mut world = world(|config| config.on_client_change = policy).await;
            let from = |cookie: &[u8], address: &str, agent: &str| Request {
                cookies: vec![cookie.to_vec()],
                remote_address: Some(address.into()),
                user_agent: Some(agent.into()),
            };
            let request = from(b"", "192.0.2.1", "one");
            let session = world
                .manager
                .get_session(&request, Mode::Merge)
                .await
                .unwrap();
            world.manager.add(session, "n", 1).await;
            let headers = world.manager.commit(session).await.unwrap();
            let cookie = cookie_of(&headers).unwrap();
            let same = from(&cookie, "192.0.2.1", "one");
            let same = world.manager.get_session(&same, Mode::Merge);
            let same = same.await.unwrap();
            assert!(!world.manager.is_new(same).await);
            world.events();
            for request in [
                from(&cookie, "192.0.2.2", "one"),
                from(&cookie, "192.0.2.1", "two"),
            ] {
                let session = world.manager.get_session(&request, Mode::Merge).await;
                let is_reported = world.has_event(|event| matches!(event, Event::ClientChanged(_)));
                assert_eq!(
                    is_reported,
                    [Policy::Report, Policy::Fail].contains(&policy)
                );
                match policy {
                    Policy::Fail => assert!(session.is_err()),
                    _ => {
                        let is_new = world.manager.is_new(session.unwrap()).await;
                        assert_eq!(is_new, policy == Policy::End);
                    }
                }
            }
            assert_eq!(world.opens(&cookie).await, policy != Policy::End);
        }
    });
}

#[test]
fn checklist_27_rejected_tokens_are_counted() {
    block_on(async {
        let mut world = world(|_| ()).await;
        let (id, _) = parts(&world.visit(b"").await);
        world.events();
        for guess in 0..50 {
            let cookie = format!("__Host-session={id}.{guess:021}A");
            assert!(!world.opens(cookie.as_bytes()).await);
        }
        let rejected = world.events();
        let of_session = rejected
            .iter()
            .filter(|event| matches!(event, Event::Rejected((Some(named), _)) if *named == id));
        assert_eq!(of_session.count(), 50);
    });
}

#[test]
fn checklist_28_a_stolen_copy_of_the_store_opens_no_session() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(DirectoryStore::open(directory.path(), Default::default()).unwrap());
        let clock = Arc::new(AtomicU64::new(START));
        let mut world = world_with(clock, store, |_| ()).await;
        let cookie = world.log_in(b"", "alice").await;
        let form = form_token(&mut world, &cookie).await;
        world.pass(16 * MINUTE);
        let renewed = world.look(&cookie).await.unwrap();
        for file in files(directory.path()) {
            let mut bytes = std::fs::read(&file).unwrap();
            bytes.extend(file.to_string_lossy().bytes());
            for secret in [&parts(&cookie).1, &parts(&renewed).1, &form] {
                let has =
                    |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
                assert!(!has(secret.as_bytes()), "stored as text");
                assert!(!has(&decoded(secret)), "stored as bytes");
            }
            // Bytes of the store, presented as a secret, do not open the session.
            for window in bytes.windows(16).take(1000) {
                let token = format!("__Host-session={}.{}", id_of(&cookie), encoded(window));
                assert!(!world.opens(token.as_bytes()).await);
            }
        }
        assert!(world.opens(&renewed).await);
    });
}
