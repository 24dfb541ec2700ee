//! What a session does from one request to the next, with the store, the clock
//! and the randomness in the test's hands.

use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{
    Config, Header, Mode, Policy, Request, SessionError,
};
use crate::bindings::session3::sessions::{
    events::{EndReason, Event, RejectReason},
    store::StoreError,
    types::Value,
};
use crate::config::default_config;
use crate::fake::Fake;
use crate::manager::SessionManager;
use crate::session::Session;

/// An application with one browser.
struct App {
    fake: Rc<Fake>,
    manager: Rc<SessionManager>,
    cookie: String,
}

impl App {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = default_config();
        change(&mut config);
        Self {
            fake: Rc::default(),
            manager: Rc::new(SessionManager::open(config).expect("a good configuration")),
            cookie: String::new(),
        }
    }

    /// The same application, at another browser that has this one's cookie.
    fn copy(&self) -> Self {
        Self {
            fake: self.fake.clone(),
            manager: self.manager.clone(),
            cookie: self.cookie.clone(),
        }
    }

    fn open_as(&self, mode: Mode) -> Result<Session, SessionError> {
        let request = Request {
            cookies: vec![self.cookie.clone().into_bytes()],
            remote_address: Some("192.0.2.1".into()),
            user_agent: None,
        };
        self.manager.get_session(&request, mode, &*self.fake)
    }

    fn open(&self) -> Session {
        self.open_as(Mode::Merge).expect("a session")
    }

    /// Commits, and keeps the cookie as a browser does.
    fn commit(&mut self, session: &mut Session) -> Result<(), SessionError> {
        let headers = session.commit(&*self.fake)?;
        self.take_cookie(&headers);
        Ok(())
    }

    fn take_cookie(&mut self, headers: &[Header]) {
        if let Some(header) = headers.iter().find(|h| h.name == "Set-Cookie") {
            let pair = header.value.split(';').next().unwrap_or_default();
            self.cookie = pair.to_owned();
        }
    }

    /// A whole request.
    fn request<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.open();
        let result = work(&mut session);
        self.commit(&mut session).expect("a commit");
        result
    }

    fn set(&mut self, name: &str, value: &str) {
        self.request(|s| s.set(name.into(), text(value)).expect("sets"));
    }

    fn get(&self, name: &str) -> Option<Value> {
        self.open().get(name)
    }

    fn log_in(&mut self, user: &str) {
        let fake = self.fake.clone();
        self.request(|s| s.set_user(Some(user.into()), &*fake).expect("logs in"));
    }

    fn is_logged_in(&self) -> bool {
        self.open().view().user.is_some()
    }

    fn id(&self) -> Option<String> {
        self.open().id().map(str::to_owned)
    }

    fn stored(&self) -> usize {
        self.fake.sessions.borrow().len()
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

#[test]
fn a_visitor_with_nothing_to_keep_leaves_nothing_behind() {
    let mut app = App::new();
    app.request(|s| assert!(s.is_new() && s.id().is_none() && !s.view().has_info()));
    app.request(|s| {
        s.set("a".into(), text("1")).expect("sets");
        s.remove("a".into()).expect("removes");
    });
    let fake = app.fake.clone();
    app.request(|s| s.set_user(None, &*fake).expect("nobody again"));
    app.request(|s| s.expire().expect("nothing to end"));
    assert_eq!((app.stored(), app.fake.writes.get()), (0, 0));
    assert_eq!((app.cookie.as_str(), app.fake.take_events()), ("", vec![]));
}

#[test]
fn attributes_of_every_kind_last() {
    let values = [
        Value::Boolean(false),
        Value::Integer(i64::MIN),
        Value::Number(f64::MAX),
        text("grüße"),
        Value::Bytes(vec![0, 255]),
        Value::Json("{\"a\":[1]}".into()),
    ];
    let mut app = App::new();
    app.request(|s| {
        for (index, value) in values.iter().enumerate() {
            s.set(index.to_string(), value.clone()).expect("sets");
        }
    });
    for (index, value) in values.into_iter().enumerate() {
        assert_eq!(app.get(&index.to_string()), Some(value));
    }
    assert_eq!(app.open().view().attributes.len(), 6);
    assert_eq!(
        app.open().view().remote_address.as_deref(),
        Some("192.0.2.1")
    );
}

#[test]
fn the_cookie_comes_with_the_first_commit_and_not_again() {
    let mut app = App::new();
    let mut session = app.open();
    session.set("a".into(), text("1")).expect("sets");
    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(headers[0].value.starts_with("__Host-session="));
    app.take_cookie(&headers);
    let id = session.id().expect("it is stored").to_owned();
    assert_eq!(app.fake.take_events(), [Event::Created(id.clone())]);

    let mut session = app.open();
    assert_eq!((session.id(), session.is_new()), (Some(id.as_str()), false));
    session.set("a".into(), text("2")).expect("sets");
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
}

#[test]
fn a_second_commit_saves_what_changed_since_the_first() {
    let mut app = App::new();
    app.request(|_| ());
    let mut session = app.open();
    session.add("n".into(), 1).expect("adds");
    app.commit(&mut session).expect("creates");
    session.add("n".into(), 1).expect("adds");
    app.commit(&mut session).expect("saves");
    app.commit(&mut session).expect("has nothing to save");
    assert_eq!(app.get("n"), Some(Value::Integer(2)));
    assert_eq!(app.fake.writes.get(), 2);
}

#[test]
fn a_request_that_changes_nothing_writes_nothing() {
    let mut app = App::new();
    app.set("a", "1");
    app.fake.wait(1);
    app.request(|_| ()); // The first use, which moves the expiry far.
    let writes = app.fake.writes.get();
    for _ in 0..50 {
        app.fake.wait(1);
        app.request(|s| s.get("a"));
    }
    assert_eq!(app.fake.writes.get(), writes);
    app.fake.wait(10);
    app.request(|s| s.get("a"));
    assert_eq!(app.fake.writes.get(), writes + 1, "touched once a minute");
}

#[test]
fn a_request_that_does_not_commit_changes_nothing() {
    let mut app = App::new();
    app.set("a", "1");
    let cookie = app.cookie.clone();
    let mut session = app.open();
    session.set("a".into(), text("2")).expect("sets");
    session.add("n".into(), 1).expect("adds");
    session.expire().expect("ends");
    drop(session);
    assert_eq!(app.get("a"), Some(text("1")));
    assert_eq!((app.get("n"), app.cookie), (None, cookie));
}

#[test]
fn forgotten_changes_are_not_saved() {
    let mut app = App::new();
    app.set("a", "1");
    let fake = app.fake.clone();
    app.request(|s| {
        s.set("a".into(), text("2")).expect("sets");
        s.set_user(Some("eve".into()), &*fake).expect("logs in");
        s.expire().expect("ends");
        s.forget_changes();
        assert_eq!(s.get("a"), Some(text("1")));
        s.set("b".into(), text("3")).expect("sets");
    });
    assert_eq!(app.get("a"), Some(text("1")));
    assert_eq!(app.get("b"), Some(text("3")));
    assert!(!app.is_logged_in());
}

#[test]
fn logging_in_keeps_the_id_and_the_attributes_and_changes_the_secret() {
    let mut app = App::new();
    app.set("cart", "3");
    let before = app.copy();
    app.fake.take_events();
    app.log_in("alice");
    assert_ne!(app.cookie, before.cookie);
    assert_eq!(app.open().view().user.as_deref(), Some("alice"));
    assert_eq!(app.get("cart"), Some(text("3")));
    let id = app.id().expect("it is stored");
    assert_eq!(app.fake.take_events(), [Event::UserChanged(id.clone())]);

    // The old secret is refused, and the session stays as it is.
    assert!(before.open().is_new());
    let wrong = RejectReason::WrongSecret;
    assert_eq!(app.fake.take_events(), [Event::Rejected((Some(id), wrong))]);
    assert!(app.is_logged_in());
}

#[test]
fn the_same_user_again_is_a_new_authentication_and_a_new_secret() {
    let mut app = App::new();
    app.log_in("alice");
    app.set("a", "1");
    let (cookie, then) = (app.cookie.clone(), app.open().view().authenticated);
    app.fake.wait(5);
    app.log_in("alice");
    assert_ne!(app.cookie, cookie);
    assert_eq!(app.open().view().authenticated, then.map(|t| t + 5000));
    assert_eq!(app.get("a"), Some(text("1")));
}

#[test]
fn attributes_go_with_their_user() {
    for next in [Some("bob"), None] {
        let mut app = App::new();
        app.log_in("alice");
        app.set("secret", "alice's");
        let fake = app.fake.clone();
        app.request(|s| {
            s.set("more".into(), text("alice's")).expect("sets");
            s.set_user(next.map(str::to_owned), &*fake)
                .expect("changes");
            assert_eq!(s.names(), Vec::<String>::new());
            s.set("own".into(), text("new")).expect("sets");
        });
        assert_eq!(app.open().names(), ["own"]);
        assert_eq!(app.open().view().user.as_deref(), next);
        assert_eq!(app.open().view().authenticated.is_some(), next.is_some());
    }
}

#[test]
fn a_change_of_user_and_back_within_a_request_still_drops_the_attributes() {
    let mut app = App::new();
    app.log_in("alice");
    app.set("a", "1");
    let fake = app.fake.clone();
    app.request(|s| {
        s.set_user(None, &*fake).expect("logs out");
        s.set_user(Some("alice".into()), &*fake).expect("logs in");
    });
    assert_eq!((app.get("a"), app.is_logged_in()), (None, true));
}

#[test]
fn expire_ends_the_session_at_the_commit_and_clears_the_cookie() {
    let mut app = App::new();
    app.log_in("alice");
    let id = app.id().expect("it is stored");
    app.fake.take_events();
    let mut session = app.open();
    session.expire().expect("ends");
    session.expire().expect("ends a second time");
    assert!(!session.view().has_info());
    assert_eq!(session.set("a".into(), text("1")), Err(SessionError::Ended));
    assert_eq!(app.stored(), 1, "not before the commit");

    let headers = session.commit(&*app.fake).expect("a commit");
    assert!(headers[0].value.starts_with("__Host-session=; "));
    assert!(headers[0].value.ends_with("; Max-Age=0"));
    assert_eq!(session.commit(&*app.fake), Ok(vec![]), "once");
    assert_eq!((session.id(), app.stored()), (None, 0));
    let by_application = EndReason::ExpiredByApplication;
    assert_eq!(app.fake.take_events(), [Event::Ended((id, by_application))]);
    assert!(app.open().is_new());
}

#[test]
fn additions_start_at_0_and_stay_integers_within_64_bits() {
    let app = App::new();
    let mut s = app.open();
    assert_eq!(s.add("n".into(), 2), Ok(2));
    assert_eq!(s.add("n".into(), -5), Ok(-3));
    s.set("max".into(), Value::Integer(i64::MAX)).expect("sets");
    s.set("t".into(), text("7")).expect("sets");
    for (name, delta) in [("max", 1), ("t", 1), ("", 1)] {
        let refused = s.add(name.into(), delta);
        assert!(matches!(refused, Err(SessionError::Invalid(_))), "{name}");
    }
    assert_eq!(s.get("max"), Some(Value::Integer(i64::MAX)));
    assert_eq!(s.get("t"), Some(text("7")));
    assert_eq!(s.add("max".into(), i64::MIN), Ok(-1));
}

#[test]
fn names_and_numbers_of_attributes_have_bounds() {
    let mut app = App::new();
    let mut s = app.open();
    s.set("n".repeat(256), text("")).expect("a long name");
    for name in [String::new(), "n".repeat(257)] {
        let refused = s.set(name, text(""));
        assert!(matches!(refused, Err(SessionError::Invalid(_))));
    }
    for user in [String::new(), "u".repeat(1025)] {
        let refused = s.set_user(Some(user), &*app.fake);
        assert!(matches!(refused, Err(SessionError::Invalid(_))));
    }
    for index in 1..1000 {
        s.set(index.to_string(), text(""))
            .expect("one of a thousand");
    }
    assert!(matches!(
        s.add("x".into(), 1),
        Err(SessionError::Invalid(_))
    ));
    s.set("1".into(), text("again")).expect("one that is there");
    app.commit(&mut s).expect("a commit");
    assert_eq!(app.open().names().len(), 1000);
}

/// What happens when `other` commits between this request's load and its save.
fn race(
    mode: Mode,
    mine: impl FnOnce(&mut Session, &Fake),
    other: impl FnOnce(&mut Session, &Fake) + 'static,
) -> (App, Result<(), SessionError>) {
    let mut app = App::new();
    app.log_in("alice");
    app.request(|s| {
        s.set("n".into(), Value::Integer(10)).expect("sets");
        s.set("a".into(), text("0")).expect("sets");
    });
    app.fake.take_events();
    let mut session = app.open_as(mode).expect("a session");
    mine(&mut session, &app.fake);
    let mut others = app.copy();
    app.fake.meanwhile.borrow_mut().push(Box::new(move |fake| {
        let mut session = others.open();
        other(&mut session, fake);
        others.commit(&mut session).expect("the other's commit");
    }));
    let result = app.commit(&mut session);
    (app, result)
}

fn add(delta: i64) -> impl FnOnce(&mut Session, &Fake) {
    move |s, _| {
        s.add("n".into(), delta).expect("adds");
    }
}

fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut Session, &Fake) {
    move |s, _| s.set(name.into(), text(value)).expect("sets")
}

#[test]
fn concurrent_additions_all_count() {
    let (app, result) = race(Mode::Merge, add(1), add(5));
    assert_eq!(result, Ok(()));
    assert_eq!(app.get("n"), Some(Value::Integer(16)));
    let id = app.id().expect("it is stored");
    assert_eq!(app.fake.take_events(), [Event::Merged(id)]);
}

#[test]
fn different_attributes_do_not_disturb_each_other() {
    let (app, result) = race(Mode::Merge, set("mine", "1"), set("other", "2"));
    assert_eq!(result, Ok(()));
    assert_eq!(app.open().names(), ["a", "mine", "n", "other"]);
}

#[test]
fn of_the_same_attribute_set_twice_the_later_commit_counts() {
    let (app, result) = race(Mode::Merge, set("a", "mine"), set("a", "other"));
    assert_eq!((result, app.get("a")), (Ok(()), Some(text("mine"))));
    let remove = |s: &mut Session, _: &Fake| {
        s.remove("a".into()).expect("removes");
    };
    let (app, result) = race(Mode::Merge, remove, set("a", "other"));
    assert_eq!((result, app.get("a")), (Ok(()), None));
}

#[test]
fn an_addition_to_what_is_no_integer_any_more_saves_nothing() {
    let (app, result) = race(Mode::Merge, add(1), set("n", "text"));
    assert!(matches!(result, Err(SessionError::Invalid(_))));
    assert_eq!(app.get("n"), Some(text("text")));
    let (app, result) = race(Mode::Merge, add(i64::MAX - 10), add(1));
    assert!(matches!(result, Err(SessionError::Invalid(_))));
    assert_eq!(app.get("n"), Some(Value::Integer(11)));
}

#[test]
fn a_log_out_wins_against_requests_under_way() {
    let expire = |s: &mut Session, _: &Fake| s.expire().expect("ends");
    let (app, result) = race(Mode::Merge, add(1), expire);
    assert_eq!(result, Err(SessionError::Ended));
    assert_eq!((app.stored(), app.open().is_new()), (0, true));
}

#[test]
fn a_commit_that_began_under_another_user_saves_nothing() {
    for user in [Some("bob"), None] {
        let change = move |s: &mut Session, fake: &Fake| {
            s.set_user(user.map(str::to_owned), fake).expect("changes");
        };
        let (app, result) = race(Mode::Merge, set("secret", "alice's"), change);
        assert_eq!(result, Err(SessionError::Ended));
        let sessions = app.fake.sessions.borrow();
        let stored = sessions.values().next().expect("one session");
        let data = String::from_utf8_lossy(&stored.state.data);
        assert!(!data.contains("secret") && !data.contains("alice"));
    }
}

#[test]
fn a_new_authentication_of_the_same_user_merges_and_its_secret_stays() {
    let again = |s: &mut Session, fake: &Fake| {
        s.set_user(Some("alice".into()), fake).expect("logs in");
    };
    let (app, result) = race(Mode::Merge, add(1), again);
    assert_eq!(result, Ok(()));
    // The slow request's browser has the old token, which opens nothing now.
    assert!(app.open().is_new());
    let sessions = app.fake.sessions.borrow();
    assert_eq!(sessions.values().next().map(|s| s.version), Some(4));
}

#[test]
fn a_strict_session_merges_nothing() {
    let (app, result) = race(Mode::Strict, add(1), add(5));
    assert_eq!(result, Err(SessionError::Conflict));
    assert_eq!(app.get("n"), Some(Value::Integer(15)));
}

#[test]
fn a_merge_gives_up_after_64_rounds() {
    let mut app = App::new();
    app.set("a", "1");
    let mut session = app.open();
    session.add("n".into(), 1).expect("adds");
    for _ in 0..64 {
        let mut others = app.copy();
        app.fake.meanwhile.borrow_mut().push(Box::new(move |fake| {
            let meanwhile = fake.meanwhile.take();
            others.request(|s| s.add("other".into(), 1).expect("adds"));
            *fake.meanwhile.borrow_mut() = meanwhile;
        }));
    }
    assert_eq!(app.commit(&mut session), Err(SessionError::Conflict));
    assert_eq!(app.get("other"), Some(Value::Integer(64)));
    app.commit(&mut session).expect("when the others are done");
    assert_eq!(app.get("n"), Some(Value::Integer(1)));
}

#[test]
fn a_read_only_session_writes_nothing_at_all() {
    let mut app = App::new();
    app.set("a", "1");
    app.fake.wait(120);
    let writes = app.fake.writes.get();
    let fake = app.fake.clone();
    let mut s = app.open_as(Mode::ReadOnly).expect("a session");
    assert_eq!(s.get("a"), Some(text("1")));
    let refused = Err(SessionError::ReadOnly);
    assert_eq!(s.set("a".into(), text("2")), refused);
    assert_eq!(s.set_user(Some("eve".into()), &*fake), refused);
    assert_eq!(s.add("n".into(), 1), Err(SessionError::ReadOnly));
    assert_eq!(s.remove("a".into()), Err(SessionError::ReadOnly));
    assert_eq!(s.expire(), refused);
    app.commit(&mut s).expect("nothing to do");
    app.fake.wait(24 * 60 * 60);
    assert!(app.open_as(Mode::ReadOnly).expect("a session").is_new());
    assert_eq!((app.fake.writes.get(), app.stored()), (writes, 1));
}

#[test]
fn an_exclusive_session_is_refused_for_now() {
    let refused = App::new().open_as(Mode::Exclusive).err();
    assert!(matches!(refused, Some(SessionError::Invalid(_))));
}

fn ended(app: &App, reason: EndReason) {
    let id = app.fake.sessions.borrow().keys().next().cloned();
    let id = id.expect("it is still stored");
    app.fake.take_events();
    assert!(app.open().is_new());
    assert_eq!(app.stored(), 0, "deleted, so that it stays ended");
    let expected = [
        Event::Ended((id.clone(), reason)),
        Event::Rejected((Some(id), RejectReason::Ended)),
    ];
    assert_eq!(app.fake.take_events(), expected);
}

#[test]
fn a_session_ends_when_it_is_not_used() {
    let mut app = App::new();
    app.set("a", "1");
    app.request(|_| ());
    app.fake.wait(30 * 60 - 1);
    app.request(|s| assert!(!s.is_new()));
    app.fake.wait(30 * 60);
    ended(&app, EndReason::Idle);
}

#[test]
fn a_session_ends_at_its_age_however_busy_it_is() {
    let mut app = App::new();
    app.set("a", "1");
    for minute in 0..(12 * 60 - 1) {
        app.fake.wait(60);
        app.request(|s| assert!(!s.is_new(), "minute {minute}"));
    }
    app.fake.wait(60);
    ended(&app, EndReason::TooOld);
}

#[test]
fn a_session_whose_cookie_never_comes_back_ends_soon() {
    let mut app = App::new();
    app.set("a", "1");
    let robot = app.copy();
    app.fake.wait(10 * 60 - 1);
    app.request(|s| assert!(!s.is_new(), "it came back just in time"));
    app.fake.wait(10 * 60);
    assert!(
        !app.open().is_new(),
        "from then on, the idle timeout counts"
    );

    let mut app = robot;
    app.cookie = String::new();
    app.fake.sessions.borrow_mut().clear();
    app.set("a", "1");
    app.fake.wait(10 * 60);
    ended(&app, EndReason::Idle);
}

#[test]
fn an_emptied_session_does_not_stay_for_long() {
    let mut app = App::new();
    app.log_in("alice");
    let fake = app.fake.clone();
    app.request(|s| s.set_user(None, &*fake).expect("logs out"));
    app.fake.wait(10 * 60);
    ended(&app, EndReason::Idle);
}

#[test]
fn accessed_is_the_use_before_this_one() {
    let mut app = App::new();
    let start = app.fake.now.get();
    app.set("a", "1");
    app.fake.wait(100);
    app.request(|s| assert_eq!(s.accessed(), start));
    app.fake.wait(100);
    app.request(|s| assert_eq!(s.accessed(), start + 100_000));
    assert_eq!(app.open().view().created, start);
}

#[test]
fn a_cookie_with_a_lifetime_is_sent_again_while_the_session_is_used() {
    let mut app = App::with(|c| c.cookie.max_age = Some(3600));
    app.set("a", "1");
    app.request(|_| ());
    for change in [false, true] {
        app.fake.wait(61);
        let mut session = app.open();
        if change {
            session.set("a".into(), text("2")).expect("sets");
        }
        let headers = session.commit(&*app.fake).expect("a commit");
        assert!(headers[0].value.starts_with(&app.cookie));
        let again = app.open().commit(&*app.fake);
        assert_eq!(again, Ok(vec![]), "not with every request");
    }
}

#[test]
fn of_several_cookies_the_first_that_opens_a_session_counts() {
    let mut app = App::new();
    app.set("a", "1");
    let good = app.cookie.clone();
    let bad = "__Host-session=x";
    app.fake.take_events();
    for (cookies, opens) in [
        (format!("{bad}; {good}"), true),
        (format!("{bad}; {bad}; {bad}; {good}"), true),
        (format!("{bad}; {bad}; {bad}; {bad}; {good}"), false),
    ] {
        app.cookie = cookies;
        assert_eq!(!app.open().is_new(), opens);
    }
    let malformed = Event::Rejected((None, RejectReason::Malformed));
    assert_eq!(app.fake.take_events(), vec![malformed; 1 + 3 + 4]);
}

#[test]
fn a_token_that_was_never_issued_gets_a_new_id() {
    let mut app = App::new();
    let id = "0".repeat(32);
    app.cookie = format!("__Host-session={id}.AAAAAAAAAAAAAAAAAAAAAA");
    app.set("a", "1");
    assert_ne!(app.id().as_deref(), Some(id.as_str()));
    let unknown = Event::Rejected((Some(id), RejectReason::Unknown));
    assert_eq!(app.fake.take_events()[0], unknown);
}

#[test]
fn a_refused_token_changes_nothing_and_clears_no_cookie() {
    let mut app = App::new();
    app.log_in("alice");
    let id = app.id().expect("it is stored");
    let before = app.fake.sessions.borrow().clone();
    let mut thief = app.copy();
    thief.cookie = format!("__Host-session={id}.AAAAAAAAAAAAAAAAAAAAAA");
    let mut session = thief.open();
    assert!(session.is_new());
    session.expire().expect("there is nothing to end");
    assert_eq!(session.commit(&*app.fake), Ok(vec![]));
    assert!(before == *app.fake.sessions.borrow());
    assert!(app.is_logged_in());
}

#[test]
fn a_damaged_session_is_kept_and_follows_the_policy() {
    for policy in [Policy::Ignore, Policy::Report, Policy::Fail] {
        let mut app = App::with(|c| c.on_damage = policy);
        app.set("a", "1");
        let id = app.id().expect("it is stored");
        app.fake.take_events();
        app.fake
            .fault
            .replace(Some(StoreError::Corrupt("torn".into())));
        let session = app.open_as(Mode::Merge);
        assert_eq!(session.is_err(), policy == Policy::Fail);
        let event = Event::Damaged((id, "torn".into()));
        let reported = policy != Policy::Ignore;
        assert_eq!(app.fake.take_events(), vec![event; reported.into()]);

        let break_state = |app: &App| {
            for session in app.fake.sessions.borrow_mut().values_mut() {
                session.state.data.pop();
            }
        };
        break_state(&app);
        assert_eq!(app.open_as(Mode::Merge).is_err(), policy == Policy::Fail);
        assert_eq!(app.stored(), 1);
    }
}

#[test]
fn a_newer_managers_session_is_an_error_and_stays() {
    let mut app = App::new();
    app.set("a", "1");
    for session in app.fake.sessions.borrow_mut().values_mut() {
        session.state.data[0] = 2;
    }
    let error = app.open_as(Mode::Merge).err();
    assert!(matches!(error, Some(SessionError::Store(_))));
    assert_eq!(app.stored(), 1);
}

#[test]
fn a_store_that_fails_is_an_error_and_what_changed_is_still_there_to_commit() {
    let mut app = App::new();
    let unavailable = || Some(StoreError::Unavailable("disk full".into()));
    let failed = Err(SessionError::Store("disk full".into()));
    let mut session = app.open();
    session.set("a".into(), text("1")).expect("sets");
    for fault in [
        (unavailable(), failed.clone()),
        (Some(StoreError::Busy), Err(SessionError::Busy)),
    ] {
        app.fake.fault.replace(fault.0);
        assert_eq!(app.commit(&mut session), fault.1);
    }
    app.fake.fault.replace(Some(StoreError::TooLarge(9)));
    let too_large = app.commit(&mut session);
    assert!(matches!(too_large, Err(SessionError::Invalid(why)) if why.contains("9 bytes")));
    app.commit(&mut session).expect("a commit");

    let mut session = app.open();
    session.set("b".into(), text("2")).expect("sets");
    app.fake.fault.replace(unavailable());
    assert_eq!(app.commit(&mut session), failed);
    app.commit(&mut session).expect("a commit");
    assert_eq!(app.open().names(), ["a", "b"]);
    app.fake.fault.replace(unavailable());
    assert!(app.open_as(Mode::Merge).is_err(), "not a new session");
}

#[test]
fn a_random_source_that_repeats_itself_ends_in_an_error() {
    let mut app = App::new();
    let mut session = app.open();
    session.set("a".into(), text("1")).expect("sets");
    app.fake.stuck.set(true);
    app.commit(&mut session).expect("the first of its ID");
    let mut session = App {
        cookie: String::new(),
        ..app.copy()
    }
    .open();
    session.set("a".into(), text("1")).expect("sets");
    assert!(matches!(
        app.commit(&mut session),
        Err(SessionError::Store(_))
    ));
    assert_eq!(app.stored(), 1);
}
