//! Events, errors and records contain no secrets. Other tests check when each event is
//! reported.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::{Mode, Policy};

/// Sends requests that cause most events, and returns all tokens that the browser had.
fn live(app: &mut App) -> Vec<String> {
    let fake = app.fake.clone();
    let mut tokens = Vec::new();
    app.client = (Some("192.0.2.1"), None);
    app.set("a", "1");
    tokens.push(app.cookie.clone());
    app.client = (Some("192.0.2.2"), None);
    app.log_in("alice");
    tokens.push(app.cookie.clone());
    let form = app.request(|s| s.create_form_token(&*fake).expect("a token"));
    tokens.push(format!("form={form}"));
    let mut late = app.open();
    late.set("b", text("2")).expect("sets");
    app.request(|s| s.remove_form_token(&form, &*fake).expect("an answer"));
    app.commit(&mut late).expect("a merge");
    let thief = app.copy();
    for _ in 0..2 {
        app.fake.wait(15 * 60);
        app.request(|_| ());
        tokens.push(app.cookie.clone());
        app.request(|_| ());
    }
    app.cookie.push('A');
    tokens.push(app.cookie.clone());
    app.open();
    app.cookie = tokens[0].clone();
    app.open();
    assert!(thief.open().is_new(), "the old token ends the session");
    tokens
}

#[test]
fn no_event_holds_a_token_or_a_secret() {
    let mut app = App::with(|c| c.on_client_change = Policy::Report);
    let tokens = live(&mut app);
    let events = format!("{:?}", app.fake.take_events());
    for name in [
        "Created",
        "UserChanged",
        "Renewed",
        "Merged",
        "ClientChanged",
        "Rejected",
        "Malformed",
        "ReplacedToken",
        "Ended",
        "ReplacedTokenReused",
    ] {
        assert!(events.contains(name), "{name} was not reported: {events}");
    }
    for token in &tokens {
        let token = token.split_once('=').map_or("", |(_, token)| token);
        let secret = token.rsplit('.').next().unwrap_or(token);
        assert!(secret.len() >= 22 && !events.contains(secret), "{events}");
    }
}

#[test]
fn the_store_holds_no_secret_that_opens_a_session() {
    let mut app = App::new();
    app.set("a", "1");
    app.request(|_| ());
    for _ in 0..4 {
        app.fake.wait(15 * 60);
        app.request(|_| ());
        app.request(|_| ());
        let sessions = app.fake.sessions.borrow();
        let stored = sessions.values().next().expect("it is stored");
        let (_, secret) = app.cookie.rsplit_once('.').expect("a token");
        let bytes = crate::token::decode_base64::<16>(secret).expect("a secret");
        let data = &stored.state.data;
        assert!(data.windows(16).all(|window| window != bytes));
        let text = String::from_utf8_lossy(data);
        assert!(!text.contains(secret));
    }
}

#[test]
fn the_store_holds_no_form_token() {
    let mut app = App::new();
    let fake = app.fake.clone();
    let form = app.request(|s| s.create_form_token(&*fake).expect("a token"));
    let bytes = crate::token::decode_base64::<16>(&form).expect("16 bytes");
    let sessions = app.fake.sessions.borrow();
    let data = &sessions.values().next().expect("it is stored").state.data;
    assert!(data.windows(16).all(|window| window != bytes));
}

#[test]
fn no_error_holds_a_token() {
    let mut app = App::with(|c| {
        c.on_damage = Policy::Fail;
        c.on_client_change = Policy::Fail;
    });
    app.log_in("alice");
    let (_, secret) = app.cookie.rsplit_once('.').expect("a token");
    app.client = (Some("192.0.2.2"), None);
    let other_client = app.open_as(Mode::Merge).err();
    app.client = (Some("192.0.2.1"), None);
    app.damage(&app);
    let damaged = app.open_as(Mode::Merge).err();
    let errors = format!("{:?}", (&other_client, &damaged));
    assert!(other_client.is_some() && damaged.is_some());
    assert!(!errors.contains(secret), "{errors}");
}
