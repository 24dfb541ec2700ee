//! Finding sessions, and showing one.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;
use session3::SessionError;
use session3::admin::SessionInfo;
use session3::store::browser;
use session3::store::{SessionId, StoreError, StoredSession, Timestamp};
use tokio::time::Instant;

use crate::access::Operator;
use crate::dashboard::App;
use crate::layout::{self, Tab, address, time};
use crate::overview::shown_user;
use crate::refused::Refused;
use crate::words;

/// The number of sessions on a page.
const PAGE: usize = 50;
/// The number of sessions that a search reads at a time.
const SCAN: u32 = 250;
/// How long a search reads before it shows what it has found so far.
const SCAN_TIME: Duration = Duration::from_secs(1);

/// What is searched, and where the page begins.
#[derive(Deserialize)]
pub struct Search {
    #[serde(default)]
    by: By,
    #[serde(default)]
    text: String,
    after: Option<String>,
}

/// What a session is searched by.
#[derive(Clone, Copy, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum By {
    #[default]
    User,
    Id,
    Address,
    Browser,
    Attribute,
}

impl By {
    const ALL: [(Self, &str, &str); 5] = [
        (Self::User, "user", "User"),
        (Self::Id, "id", "ID"),
        (Self::Address, "address", "Address contains"),
        (Self::Browser, "browser", "Browser contains"),
        (Self::Attribute, "attribute", "Attribute contains"),
    ];

    /// Returns the name in the address of a page.
    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(by, ..)| *by == self);
        found.map_or("user", |(_, name, _)| name)
    }
}

impl Search {
    /// Returns whether a session is one that is searched, if that takes its content. The case
    /// of letters does not matter.
    fn finds(&self, session: &SessionInfo) -> bool {
        let wanted = self.text.to_lowercase();
        let contains = |text: &str| text.to_lowercase().contains(&wanted);
        match self.by {
            By::Address => session.remote_address.as_deref().is_some_and(contains),
            By::Browser => session.user_agent.as_deref().is_some_and(|user_agent| {
                contains(user_agent) || contains(&browser::name(user_agent))
            }),
            By::Attribute => {
                let mut attributes = session.attributes.iter();
                attributes.any(|(name, value)| contains(name) || contains(value.get()))
            }
            By::User | By::Id => true,
        }
    }

    /// Returns the address of the next page.
    fn next(&self, after: &str) -> String {
        let query = [
            ("by", self.by.name()),
            ("text", &self.text),
            ("after", after),
        ];
        address("/sessions", &query)
    }
}

/// A page of sessions.
#[derive(Default)]
struct Found {
    sessions: Vec<SessionInfo>,
    damaged: Vec<(String, String)>,
    /// The cursor of the next page.
    next: Option<String>,
    /// The number of sessions that were read.
    visited: usize,
}

/// Lists sessions.
pub async fn list(
    State(app): State<Arc<App>>,
    operator: Operator,
    Query(mut search): Query<Search>,
) -> Result<Response, Refused> {
    // An address that is pasted into the form often has a space at its end; the name of a user
    // may have one.
    if search.by != By::User {
        search.text = search.text.trim().to_owned();
    }
    if search.by == By::Id && !search.text.is_empty() {
        let id: SessionId = search.text.to_lowercase().parse().map_err(|_| {
            Refused::Malformed("An ID has 32 hexadecimal digits: go back and correct it.")
        })?;
        return Ok(Redirect::to(&format!("/session/{id}")).into_response());
    }
    if !search.text.is_empty() {
        // What is searched may be personal, so the log has the kind only.
        tracing::info!(
            operator = %operator.log_in, by = search.by.name(), "the operator searched sessions"
        );
    }
    let found = match (search.by, search.text.as_str()) {
        (By::User, user) if !user.is_empty() => {
            of_user(&app, user, search.after.as_deref()).await?
        }
        _ => scan(&app, &search).await?,
    };
    let now = app.now().await;
    let content = html! {
        (form(&search))
        (results(&app, &search, &found, now))
    };
    let page = layout::page(&app, &operator, Tab::Sessions, "Sessions", content);
    Ok(page.into_response())
}

/// Returns a page of the sessions of a user, which the store's index has.
async fn of_user(app: &App, user: &str, after: Option<&str>) -> Result<Found, Refused> {
    let after = match after {
        Some(after) => Some(after.parse::<SessionId>()?),
        None => None,
    };
    let mut ids = app.store.sessions_of_user(user).await?;
    ids.sort_unstable();
    ids.retain(|id| after.is_none_or(|after| *id > after));
    let mut found = Found::default();
    for id in ids.iter().take(PAGE) {
        found.visited += 1;
        match app.administration.session(id).await {
            Ok(session) => {
                let session = session.filter(|session| session.user.as_deref() == Some(user));
                found.sessions.extend(session);
            }
            Err(SessionError::Store(why)) => found.damaged.push((id.to_string(), why)),
            Err(error) => return Err(error.into()),
        }
    }
    if ids.len() > PAGE {
        found.next = ids.get(PAGE - 1).map(SessionId::to_string);
    }
    Ok(found)
}

/// Reads sessions until a page is full of those that are searched, or the time is over.
async fn scan(app: &App, search: &Search) -> Result<Found, Refused> {
    let mut found = Found {
        next: search.after.clone(),
        ..Found::default()
    };
    let is_all = search.text.is_empty();
    let limit = if is_all { PAGE as u32 } else { SCAN };
    let began = Instant::now();
    loop {
        let page = app
            .administration
            .sessions(found.next.as_deref(), limit)
            .await?;
        found.visited += page.sessions.len() + page.damaged.len();
        let sessions = page.sessions.into_iter();
        let mut matching: Vec<_> = sessions
            .filter(|session| is_all || search.finds(session))
            .collect();
        found.sessions.append(&mut matching);
        if is_all {
            found.damaged.extend(page.damaged);
        }
        found.next = page.next;
        let is_full = found.sessions.len() + found.damaged.len() >= PAGE;
        if found.next.is_none() || is_full || began.elapsed() > SCAN_TIME {
            return Ok(found);
        }
    }
}

fn form(search: &Search) -> Markup {
    html! {
        form.search method="get" action="/sessions" role="search" {
            label { "Search by "
                select name="by" { @for (by, name, label) in By::ALL {
                    option value=(name) selected[by == search.by] { (label) }
                } }
            }
            label { "Text " input type="search" name="text" value=(search.text) autocomplete="off"; }
            button { "Search" }
        }
    }
}

fn results(app: &App, search: &Search, found: &Found, now: Timestamp) -> Markup {
    let is_user = search.by == By::User && !search.text.is_empty();
    html! {
        @if found.sessions.is_empty() && found.damaged.is_empty() {
            p role="status" { "No session was found" @if found.next.is_some() { " so far" } "." }
        }
        ul.sessions {
            @for session in &found.sessions { li { (row(session, now)) } }
            @for (id, why) in &found.damaged {
                li.bad { a href={ "/session/" (id) } { code { (id) } } p { "cannot be read: " (why) } }
            }
        }
        p.pages {
            (words::count(found.visited as u64)) " sessions were looked at. "
            @if let Some(next) = &found.next { a href=(search.next(next)) { "Continue" } }
            @else { "These are the last ones." }
        }
        @if is_user && !app.is_read_only && !found.sessions.is_empty() {
            p { a.danger href=(address("/end", &[("user", &search.text)])) {
                "End all sessions of " (shown_user(&search.text)) "…"
            } }
        }
    }
}

fn row(session: &SessionInfo, now: Timestamp) -> Markup {
    let browser = session.user_agent.as_deref().map(browser::name);
    html! {
        p.who {
            @match &session.user {
                Some(user) => strong { (shown_user(user)) },
                None => span { "not logged in" },
            }
            " " a href={ "/session/" (session.id) } { code { (session.id) } }
        }
        p.what {
            (browser.as_deref().unwrap_or("Unknown browser"))
            @if let Some(address) = &session.remote_address { ", " (address) }
        }
        p.what {
            "used " (time(session.accessed, now))
            ", born " (time(session.created, now))
            ", " (expiry(session.expires, now))
        }
    }
}

fn expiry(expires: Timestamp, now: Timestamp) -> Markup {
    html! {
        @if expires <= now { "expired " } @else { "expires " }
        (time(expires, now))
    }
}

/// Shows one session.
pub async fn show(
    State(app): State<Arc<App>>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Markup, Refused> {
    let missing = Refused::Missing("There is no such session. It may have ended.");
    let Ok(id) = id.parse::<SessionId>() else {
        return Err(missing);
    };
    let stored = match app.store.load_session(&id).await {
        Ok(None) => return Err(missing),
        Ok(Some(stored)) => Ok(stored),
        Err(StoreError::Corrupt(why)) => Err(why),
        Err(error) => return Err(error.into()),
    };
    let content = match app.administration.session(&id).await {
        Ok(Some(content)) => Ok(content),
        Ok(None) => return Err(missing),
        Err(SessionError::Store(why)) => Err(why),
        Err(error) => return Err(error.into()),
    };
    tracing::info!(operator = %operator.log_in, session = %id, "the operator looked at a session");
    let now = app.now().await;
    let content = html! {
        p { code { (id) } }
        @match stored {
            Ok(stored) => (record(&stored, now)),
            Err(why) => p.problem { "The record is damaged: " (why) },
        }
        @match content {
            Ok(content) => (contents(&content, now)),
            Err(why) => p.problem { "The content cannot be read: " (why) },
        }
        @if !app.is_read_only {
            p { a.danger href=(address("/end", &[("session", &id.to_string())])) { "End this session…" } }
        }
    };
    Ok(layout::page(
        &app,
        &operator,
        Tab::Sessions,
        "Session",
        content,
    ))
}

/// Shows what the store knows of a session.
fn record(stored: &StoredSession, now: Timestamp) -> Markup {
    html! {
        dl.facts {
            dt { "User" }
            dd { @match &stored.state.user {
                Some(user) => a href=(address("/sessions", &[("by", "user"), ("text", user)])) {
                    (shown_user(user))
                },
                None => "not logged in",
            } }
            dt { "Last used" } dd { (time(stored.modified, now)) }
            dt { "Expiry" } dd { (expiry(stored.state.expires, now)) }
            dt { "Version" } dd { (words::count(stored.version)) }
            dt { "Size" } dd { (words::bytes(stored.state.size() as u64)) }
        }
    }
}

/// Shows what the session manager knows of a session. It leaves out what opens the session.
fn contents(content: &SessionInfo, now: Timestamp) -> Markup {
    let unknown = "unknown";
    html! {
        dl.facts {
            dt { "Born" } dd { (time(content.created, now)) }
            @if let Some(authenticated) = content.authenticated {
                dt { "Logged in" } dd { (time(authenticated, now)) }
            }
            dt { "Remembered" } dd { (if content.is_remembered { "yes" } else { "no" }) }
            dt { "Address" } dd { (content.remote_address.as_deref().unwrap_or(unknown)) }
            dt { "Browser" }
            dd { @match &content.user_agent {
                Some(user_agent) => { (browser::name(user_agent)) br; small { (user_agent) } }
                None => (unknown),
            } }
        }
        h2 { "Attributes" }
        @if content.attributes.is_empty() { p { "It has none." } } @else {
            dl.facts { @for (name, value) in &content.attributes {
                dt { (name) } dd { code { (value.get()) } }
            } }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::value::to_raw_value;

    use super::*;

    const HOSTILE: &str = "\"'><script>alert(1)</script>&";

    fn session() -> SessionInfo {
        let value = to_raw_value(HOSTILE).expect("JSON");
        SessionInfo {
            id: SessionId::from(1).to_string(),
            user: Some(HOSTILE.into()),
            created: 0,
            accessed: 0,
            expires: 0,
            authenticated: Some(0),
            is_remembered: true,
            remote_address: Some(HOSTILE.into()),
            user_agent: Some(HOSTILE.into()),
            attributes: BTreeMap::from([(HOSTILE.into(), value)]),
        }
    }

    #[test]
    fn what_a_session_holds_is_escaped() {
        let session = session();
        for (page, times) in [
            (contents(&session, 1).into_string(), 4),
            (row(&session, 1).into_string(), 2),
        ] {
            assert!(!page.contains("<script>") && !page.contains("'>"), "{page}");
            let count = page
                .matches("&lt;script&gt;alert(1)&lt;/script&gt;&amp;")
                .count();
            assert_eq!(count, times, "{page}");
        }
    }

    #[test]
    fn a_search_looks_at_what_it_names_in_any_case() {
        let mut session = session();
        session.user_agent = Some("Mozilla/5.0 (Windows NT 10.0) Firefox/140.0".into());
        let finds = |by, text: &str| {
            let (text, after) = (text.to_owned(), None);
            Search { by, text, after }.finds(&session)
        };
        assert!(finds(By::Browser, "firefox on windows"));
        assert!(finds(By::Browser, "NT 10"));
        assert!(!finds(By::Browser, "script"));
        assert!(finds(By::Address, "ALERT"));
        assert!(finds(By::Attribute, "</script>&"));
        assert!(!finds(By::Attribute, "Windows"));
    }

    #[test]
    fn the_next_page_searches_the_same() {
        let (by, text, after) = (By::Address, "a&b=\"".to_owned(), None);
        let search = Search { by, text, after };
        let expected = "/sessions?by=address&text=a%26b%3D%22&after=x";
        assert_eq!(search.next("x"), expected);
    }
}
