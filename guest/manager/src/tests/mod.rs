//! Tests of sessions over several requests. The tests control the store, the clock and the
//! random numbers.

mod admin;
mod attributes;
mod clients;
mod cookies;
mod csrf;
mod damage;
mod events;
mod forms;
mod fuzz;
mod headers;
mod late;
mod merge;
mod messages;
mod model;
mod modes;
mod own;
mod remember;
mod renewal;
mod requests;
mod reuse;
mod timeouts;
mod users;

use std::rc::Rc;

use crate::bindings::exports::session3::sessions::manager::{
    Config, Header, Mode, Request, SessionError,
};
use crate::bindings::session3::sessions::session_types::Value;
use crate::config::default_config;
use crate::fake::Fake;
use crate::manager::SessionManager;
use crate::session::Session;

/// An application with one browser.
struct App {
    fake: Rc<Fake>,
    manager: Rc<SessionManager>,
    cookie: String,
    /// The remote address and the user agent of the browser.
    client: (Option<&'static str>, Option<&'static str>),
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
            client: (Some("192.0.2.1"), None),
        }
    }

    /// Returns the same application with another browser, which has this browser's cookie.
    fn copy(&self) -> Self {
        Self {
            fake: self.fake.clone(),
            manager: self.manager.clone(),
            cookie: self.cookie.clone(),
            client: self.client,
        }
    }

    fn open_as(&self, mode: Mode) -> Result<Session, SessionError> {
        let request = Request {
            cookies: vec![self.cookie.clone().into_bytes()],
            remote_address: self.client.0.map(str::to_owned),
            user_agent: self.client.1.map(str::to_owned),
        };
        self.manager.get_session(&request, mode, &*self.fake)
    }

    fn open(&self) -> Session {
        self.open_as(Mode::Merge).expect("a session")
    }

    /// Commits the session and keeps the cookie, as a browser does.
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

    /// Serves a request: opens the session, calls `work`, and commits.
    fn request<T>(&mut self, work: impl FnOnce(&mut Session) -> T) -> T {
        let mut session = self.open();
        let result = work(&mut session);
        self.commit(&mut session).expect("a commit");
        result
    }

    fn set(&mut self, name: &str, value: &str) {
        self.request(|s| s.set(name, text(value)).expect("sets"));
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

    /// Makes the record of a browser's session damaged.
    fn damage(&self, browser: &App) {
        let id = browser.id();
        self.fake.damaged.borrow_mut().extend(id);
    }

    /// Makes the store fail to delete a browser's session.
    fn keep_busy(&self, browser: &App) {
        let id = browser.id();
        self.fake.busy.borrow_mut().extend(id);
    }

    fn stored(&self) -> usize {
        self.fake.sessions.borrow().len()
    }
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}
