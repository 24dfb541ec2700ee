//! Interleaved requests compared with a model. Their commits have the effect of some order in
//! which they run one after the other, except that a commit of an earlier user or of an ended
//! session saves nothing.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::session_types::Value;
use crate::csrf::CsrfSeed;
use crate::session::Session;

const SEED: [u8; 32] = *b"interleavings of 2 to 4 requests";
const CASES: u32 = 10_000;
const MAX_FORMS: usize = 32;
/// The owner of values that a session without a user contains.
const ANONYMOUS: &str = "anonymous";

/// One step of a request.
#[derive(Clone, Debug)]
enum Step {
    Set(u8),
    Remove(u8),
    Add(u8, i8),
    Flash,
    TakeFlashes,
    CreateFormTokens(u8),
    /// Uses up one of all form tokens that were ever created.
    RemoveFormToken(u8),
    SetUser(Option<u8>),
    Remember(bool),
    CsrfToken,
    /// A request with the token from before the last change of user, which is still on its way.
    Late,
    Renew,
    Expire,
    ForgetChanges,
    Commit,
    /// Advances the clock.
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..4u8).prop_map(Step::Set),
        2 => (0..4u8).prop_map(Step::Remove),
        4 => (0..6u8, -3..4i8).prop_map(|(name, delta)| Step::Add(name, delta)),
        3 => Just(Step::Flash),
        2 => Just(Step::TakeFlashes),
        3 => Just(Step::CreateFormTokens(1)),
        1 => (2..40u8).prop_map(Step::CreateFormTokens),
        3 => any::<u8>().prop_map(Step::RemoveFormToken),
        2 => proptest::option::of(0..2u8).prop_map(Step::SetUser),
        2 => any::<bool>().prop_map(Step::Remember),
        2 => Just(Step::CsrfToken),
        1 => Just(Step::Late),
        1 => Just(Step::Renew),
        1 => Just(Step::Expire),
        1 => Just(Step::ForgetChanges),
        9 => Just(Step::Commit),
        1 => Just(Step::Wait),
    ]
}

/// The contents of a session.
#[derive(Clone, Debug, Default, PartialEq)]
struct Contents {
    user: Option<String>,
    epoch: u32,
    attributes: BTreeMap<String, Value>,
    messages: Vec<String>,
    forms: Vec<String>,
    is_remembered: bool,
    csrf: Option<CsrfSeed>,
}

/// One change that a request makes.
#[derive(Clone, Debug)]
enum Effect {
    Set(String, Value),
    Remove(String),
    Add(String, i64),
    Message(String),
    Take(Vec<String>),
    Form(String),
    /// Sets the user, and says whether that clears the contents.
    User(Option<String>, bool),
    Remember(bool),
    /// Creates the first CSRF seed.
    Csrf(CsrfSeed),
    Renew,
}

impl Contents {
    fn add(&mut self, name: &str, delta: i64) -> bool {
        let value = self
            .attributes
            .entry(name.into())
            .or_insert(Value::Integer(0));
        if let Value::Integer(number) = value {
            *number += delta;
            return true;
        }
        false
    }

    fn clear(&mut self) {
        self.attributes.clear();
        self.messages.clear();
        self.forms.clear();
        self.is_remembered = false;
        self.csrf = None;
    }

    /// Applies a change. Returns false if that is not possible in this state.
    fn apply(&mut self, effect: &Effect) -> bool {
        match effect.clone() {
            Effect::Set(name, value) => {
                self.attributes.insert(name, value);
            }
            Effect::Remove(name) => {
                self.attributes.remove(&name);
            }
            Effect::Add(name, delta) => return self.add(&name, delta),
            Effect::Message(text) => self.messages.push(text),
            Effect::Take(texts) => self.messages.retain(|text| !texts.contains(text)),
            Effect::Form(token) => {
                self.forms.push(token);
                let surplus = self.forms.len().saturating_sub(MAX_FORMS);
                self.forms.drain(..surplus);
            }
            Effect::User(user, clears) => {
                if clears {
                    self.clear();
                }
                if self.user != user {
                    self.csrf = None;
                }
                self.user = user;
            }
            Effect::Remember(is_remembered) => self.is_remembered = is_remembered,
            Effect::Csrf(seed) => {
                self.csrf.get_or_insert(seed);
            }
            Effect::Renew => {}
        }
        true
    }

    /// Checks that the session shows these contents.
    fn check_view_of(&self, session: &Session) {
        let view = session.view();
        let names = session.names().into_iter();
        let seen = Self {
            user: view.user.clone(),
            epoch: self.epoch,
            attributes: names
                .filter_map(|name| Some((name.clone(), session.get(&name)?)))
                .collect(),
            messages: view.messages.texts(),
            forms: self.forms.clone(),
            is_remembered: view.is_remembered,
            csrf: view.csrf.clone(),
        };
        assert_eq!(*self, seen);
        // A session does not list its form tokens, so each is tried.
        assert_eq!(self.forms.len(), view.forms.len());
        let is_good = |token: &String| session.has_form_token(token);
        assert!(self.forms.iter().all(is_good));
    }
}

/// A request, with the contents that the model expects.
struct Request {
    session: Session,
    found: Contents,
    view: Contents,
    effects: Vec<Effect>,
    expires: bool,
    is_over: bool,
}

/// The store of the model, and the state that all requests share.
struct World {
    app: App,
    /// The stored contents; `None` once the session has ended.
    stored: Option<Contents>,
    /// All form tokens that were ever created.
    forms: Vec<String>,
    /// The browser's cookie before the last change of user, and the time of the change.
    previous: Option<(String, u64)>,
    count: u32,
}

impl World {
    /// Sends a request that was on its way when the user changed: it sees an empty session,
    /// saves nothing, and sends no cookie.
    fn send_late_request(&self) {
        let Some((cookie, changed)) = &self.previous else {
            return;
        };
        let fake = &self.app.fake;
        if self.stored.is_none() || fake.now.get() >= changed + 60_000 {
            return;
        }
        let mut late = self.app.copy();
        late.cookie.clone_from(cookie);
        let mut session = late.open();
        assert!(session.is_new() && !session.view().has_info());
        assert_eq!(session.commit(&**fake), Ok(vec![]));
        session.set("late", text("anonymous")).expect("sets");
        assert_eq!(session.commit(&**fake), Err(SessionError::Ended));
    }
}

impl Request {
    fn open(world: &World) -> Option<Self> {
        let found = world.stored.clone()?;
        let session = world.app.open();
        assert!(!session.is_new(), "the token still opens the session");
        Some(Self {
            session,
            view: found.clone(),
            found,
            effects: Vec::new(),
            expires: false,
            is_over: false,
        })
    }

    fn effect(&mut self, effect: Effect) {
        assert!(self.view.apply(&effect));
        self.effects.push(effect);
    }

    fn drop_effects_on(&mut self, name: &str) {
        self.effects.retain(|effect| match effect {
            Effect::Set(n, _) | Effect::Remove(n) | Effect::Add(n, _) => n != name,
            _ => true,
        });
    }

    /// Drops the oldest form token that the request created, if there are too many.
    fn drop_surplus_forms(&mut self) {
        let is_form = |effect: &Effect| matches!(effect, Effect::Form(_));
        if self.effects.iter().filter(|effect| is_form(effect)).count() > MAX_FORMS {
            let oldest = self.effects.iter().position(is_form);
            self.effects.remove(oldest.expect("one of them"));
        }
    }

    /// Returns whether another request committed since this one loaded the session.
    fn is_behind(&self, world: &World) -> bool {
        let sessions = world.app.fake.sessions.borrow();
        let stored = self.session.stored.as_ref();
        stored.is_some_and(|mine| sessions.get(&mine.id).map(|s| s.version) != Some(mine.version))
    }

    fn take(&mut self, world: &mut World, step: &Step) {
        let is_ended = self.expires || self.is_over;
        world.count += 1;
        let count = world.count;
        let owner = self.view.user.clone().unwrap_or(ANONYMOUS.into());
        let fake = world.app.fake.clone();
        let session = &mut self.session;
        let ended = Err(SessionError::Ended);
        match step.clone() {
            Step::Set(name) => {
                let value = text(&format!("{owner} {count}"));
                let result = session.set(&name.to_string(), value.clone());
                if is_ended {
                    return assert_eq!(result, ended);
                }
                assert_eq!(result, Ok(()));
                self.drop_effects_on(&name.to_string());
                self.effect(Effect::Set(name.to_string(), value));
            }
            Step::Remove(name) => {
                let name = name.to_string();
                let result = session.remove(&name);
                if is_ended {
                    return assert_eq!(result, Err(SessionError::Ended));
                }
                let value = self.view.attributes.get(&name).cloned();
                assert_eq!(result, Ok(value.clone()));
                if value.is_some() {
                    self.drop_effects_on(&name);
                    self.effect(Effect::Remove(name));
                }
            }
            Step::Add(name, delta) => {
                let (name, delta) = (name.to_string(), delta.into());
                let result = session.add(&name, delta);
                let mut view = self.view.clone();
                if is_ended {
                    assert_eq!(result, Err(SessionError::Ended));
                } else if view.add(&name, delta) {
                    let sum = view.attributes[&name].clone();
                    assert_eq!(result.map(Value::Integer), Ok(sum));
                    self.effect(Effect::Add(name, delta));
                } else {
                    assert!(matches!(result, Err(SessionError::Invalid(_))));
                }
            }
            Step::Flash => {
                let text = format!("{owner} {count}");
                if session.flash(text.clone()) == Ok(()) {
                    self.effect(Effect::Message(text));
                } else {
                    assert!(is_ended);
                }
            }
            Step::TakeFlashes => {
                let result = session.take_flashes();
                if is_ended {
                    return assert_eq!(result, Err(SessionError::Ended));
                }
                assert_eq!(result, Ok(self.view.messages.clone()));
                let mut taken = std::mem::take(&mut self.view.messages);
                // Messages that this request added are not stored.
                taken.retain(|text| self.found.messages.contains(text));
                self.effects
                    .retain(|effect| !matches!(effect, Effect::Message(_)));
                if !taken.is_empty() {
                    self.effects.push(Effect::Take(taken));
                }
            }
            Step::CreateFormTokens(count) => {
                for _ in 0..count {
                    if let Ok(token) = self.session.create_form_token(&*fake) {
                        world.forms.push(token.clone());
                        self.effect(Effect::Form(token));
                        self.drop_surplus_forms();
                    } else {
                        assert!(is_ended);
                    }
                }
            }
            Step::RemoveFormToken(index) => {
                let number = usize::from(index) % world.forms.len().max(1);
                if let Some(token) = world.forms.get(number).cloned() {
                    self.remove_form_token(world, &token, is_ended);
                }
            }
            Step::SetUser(user) => {
                let user = user.map(|user| ["alice", "bob"][usize::from(user)].to_owned());
                let result = session.set_user(user.clone(), &*fake);
                if is_ended {
                    return assert_eq!(result, ended);
                }
                let clears = self.view.user.is_some() && self.view.user != user;
                if clears {
                    self.effects.clear();
                }
                if clears || user.is_some() {
                    self.effect(Effect::User(user, clears));
                }
            }
            Step::Remember(is_remembered) => {
                let result = session.remember(is_remembered);
                if is_ended {
                    return assert_eq!(result, ended);
                }
                assert_eq!(result, Ok(()));
                if self.view.is_remembered != is_remembered {
                    self.effect(Effect::Remember(is_remembered));
                }
            }
            Step::CsrfToken => {
                let result = session.csrf_token(&*fake);
                if is_ended {
                    return assert_eq!(result, Err(SessionError::Ended));
                }
                let token = result.expect("a token");
                assert!(session.is_csrf_token(&token));
                if self.view.csrf.is_none() {
                    let seed = session.view().csrf.clone();
                    self.effect(Effect::Csrf(seed.expect("it was created")));
                }
            }
            Step::Late => world.send_late_request(),
            Step::Renew => {
                if session.renew() == Ok(()) {
                    self.effect(Effect::Renew);
                } else {
                    assert!(is_ended);
                }
            }
            Step::Expire => {
                assert_eq!(session.expire(), Ok(()));
                self.expires = true;
                self.view = Contents::default();
            }
            Step::ForgetChanges => {
                session.forget_changes();
                if !self.is_over {
                    self.expires = false;
                    self.effects.clear();
                    self.view = self.found.clone();
                }
            }
            Step::Commit => self.commit(world),
            Step::Wait => fake.wait(20),
        }
    }

    fn remove_form_token(&mut self, world: &mut World, token: &str, is_ended: bool) {
        let result = self.session.remove_form_token(token, &*world.app.fake);
        let is_other = |form: &String| form != token;
        if is_ended {
            return assert_eq!(result, Err(SessionError::Ended));
        }
        if self.view.forms.iter().all(is_other) {
            return assert_eq!(result, Ok(false));
        }
        let is_own = |effect: &Effect| matches!(effect, Effect::Form(form) if form == token);
        if self.effects.iter().any(is_own) {
            self.effects.retain(|effect| !is_own(effect));
            assert_eq!(result, Ok(true));
        } else {
            let stored = world.stored.as_mut();
            let Some(stored) = stored.filter(|stored| stored.epoch == self.found.epoch) else {
                return assert_eq!(result, Err(SessionError::Ended));
            };
            assert_eq!(result, Ok(!stored.forms.iter().all(is_other)));
            stored.forms.retain(is_other);
            self.found.forms.retain(is_other);
        }
        self.view.forms.retain(is_other);
    }

    fn commit(&mut self, world: &mut World) {
        let merges = self.is_behind(world);
        let before = world.app.cookie.clone();
        let result = world.app.commit(&mut self.session);
        if self.is_over {
            return assert_eq!(result, Ok(()));
        }
        if self.expires {
            assert_eq!(result, Ok(()));
            self.is_over = true;
            world.stored = None;
            return;
        }
        if self.effects.is_empty() {
            return assert_eq!(result, Ok(()));
        }
        let stored = world.stored.clone();
        let Some(mut next) = stored.filter(|stored| stored.epoch == self.found.epoch) else {
            return assert_eq!(result, Err(SessionError::Ended));
        };
        let mut effects = self.effects.iter();
        let clears = effects.any(|effect| matches!(effect, Effect::User(_, true)));
        if !self.effects.iter().all(|effect| next.apply(effect)) {
            return assert!(matches!(result, Err(SessionError::Invalid(_))));
        }
        assert_eq!(result, Ok(()));
        let sets_user = |effect: &Effect| matches!(effect, Effect::User(..));
        if self.effects.iter().any(sets_user) {
            world.previous = Some((before, world.app.fake.now.get()));
        }
        next.epoch += u32::from(clears || next.user != self.found.user);
        if !merges {
            // The request may have dropped older form tokens in favour of some that it used
            // up later.
            next.forms.clone_from(&self.view.forms);
        }
        self.effects.clear();
        self.found = next.clone();
        self.view = next.clone();
        world.stored = Some(next);
    }

    fn check(&self) {
        if self.is_over {
            return;
        }
        self.view.check_view_of(&self.session);
        check_owner(&self.view);
    }
}

/// Checks that the contents belong to the session's user or to no user.
fn check_owner(contents: &Contents) {
    let user = contents.user.as_deref().unwrap_or(ANONYMOUS);
    let values = contents
        .attributes
        .values()
        .filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        });
    for value in values.chain(contents.messages.iter().map(String::as_str)) {
        assert!(value.starts_with(user) || value.starts_with(ANONYMOUS));
    }
}

fn run(requests: usize, steps: &[(u8, Step)]) {
    let mut world = World {
        app: App::with(|c| {
            c.first_use_timeout = c.idle_timeout;
            c.renew_after = 60;
            c.renew_grace = 60;
            c.touch_after = 10;
        }),
        stored: Some(Contents::default()),
        forms: Vec::new(),
        previous: None,
        count: 0,
    };
    world.app.request(|s| s.add("5", 1).expect("adds"));
    if let Some(stored) = &mut world.stored {
        stored.add("5", 1);
    }
    let mut open: Vec<Option<Request>> = (0..requests).map(|_| Request::open(&world)).collect();
    for (number, step) in steps {
        let place = usize::from(*number) % requests;
        if let Some(request) = &mut open[place] {
            request.take(&mut world, step);
            request.check();
        }
        if let Some(stored) = &world.stored {
            let real = world.app.open();
            assert!(!real.is_new(), "the token still opens the session");
            stored.check_view_of(&real);
        } else {
            assert_eq!(world.app.stored(), 0, "ended sessions stay ended");
        }
        // After a commit, the browser may send its next request.
        if matches!(step, Step::Commit) && number % 3 == 0 {
            open[place] = Request::open(&world);
        }
    }
}

#[test]
fn interleaved_requests_do_what_some_order_of_their_commits_would() {
    println!("seed {SEED:?}");
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &SEED);
    let steps = proptest::collection::vec((any::<u8>(), step()), 1..40);
    TestRunner::new_with_rng(config, rng)
        .run(&(2..=4usize, steps), |(requests, steps)| {
            run(requests, &steps);
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
