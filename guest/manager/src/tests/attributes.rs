//! Attributes: their values, their sums and their limits.

use super::{App, text};
use crate::bindings::exports::session3::sessions::manager::SessionError;
use crate::bindings::session3::sessions::session_types::Value;

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
            s.set(&index.to_string(), value.clone()).expect("sets");
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
fn additions_start_at_0_and_stay_integers_within_64_bits() {
    let app = App::new();
    let mut s = app.open();
    assert_eq!(s.add("n", 2), Ok(2));
    assert_eq!(s.add("n", -5), Ok(-3));
    s.set("max", Value::Integer(i64::MAX)).expect("sets");
    s.set("t", text("7")).expect("sets");
    for (name, delta) in [("max", 1), ("t", 1), ("", 1)] {
        let refused = s.add(name, delta);
        assert!(matches!(refused, Err(SessionError::Invalid(_))), "{name}");
    }
    assert_eq!(s.get("max"), Some(Value::Integer(i64::MAX)));
    assert_eq!(s.get("t"), Some(text("7")));
    assert_eq!(s.add("max", i64::MIN), Ok(-1));
}

#[test]
fn names_and_numbers_of_attributes_have_bounds() {
    let mut app = App::new();
    let mut s = app.open();
    s.set(&"n".repeat(256), text("")).expect("a long name");
    for name in [String::new(), "n".repeat(257)] {
        let refused = s.set(&name, text(""));
        assert!(matches!(refused, Err(SessionError::Invalid(_))));
    }
    for user in [String::new(), "u".repeat(1025)] {
        let refused = s.set_user(Some(user), &*app.fake);
        assert!(matches!(refused, Err(SessionError::Invalid(_))));
    }
    for index in 1..1000 {
        s.set(&index.to_string(), text(""))
            .expect("one of a thousand");
    }
    assert!(matches!(s.add("x", 1), Err(SessionError::Invalid(_))));
    s.set("1", text("again")).expect("an attribute that exists");
    app.commit(&mut s).expect("a commit");
    assert_eq!(app.open().names().len(), 1000);
}

#[test]
fn what_is_refused_leaves_the_session_as_it_was() {
    let mut app = App::with(|c| c.first_use_timeout = 600);
    app.request(|s| {
        for index in 0..1000 {
            s.set(&index.to_string(), text("kept"))
                .expect("one of a thousand");
        }
    });
    let mut session = app.open();
    let before = session.view().clone();
    let long = "n".repeat(257);
    for result in [
        session.set("one more", text("")).map(|()| 0),
        session.add("one more", 1),
        session.add("1", 1),
        session.set("", text("")).map(|()| 0),
        session.set(&long, text("")).map(|()| 0),
        session.add(&long, 1),
    ] {
        let refused = matches!(&result, Err(SessionError::Invalid(why)) if !why.contains('\n'));
        assert!(refused, "{result:?}");
    }
    assert!(*session.view() == before);
    let writes = app.fake.writes.get();
    app.commit(&mut session).expect("nothing to save");
    assert_eq!(app.fake.writes.get(), writes + 1, "the first use only");
}

#[test]
fn attributes_of_several_requests_have_one_bound() {
    let mut app = App::new();
    app.request(|s| {
        for index in 0..999 {
            s.set(&index.to_string(), text(""))
                .expect("one of a thousand");
        }
    });
    let mut session = app.open();
    session.set("mine", text("")).expect("the last one");
    app.copy().set("other", "");
    let refused = app.commit(&mut session);
    assert!(matches!(refused, Err(SessionError::Invalid(_))));
    assert_eq!(app.get("mine"), None);
    session.remove("mine").expect("removes");
    app.commit(&mut session).expect("a commit");
    assert_eq!(app.open().names().len(), 1000);
}

/// Applications in many languages convert attributes to JSON, which has only finite numbers.
#[test]
fn a_number_that_is_not_finite_is_refused() {
    let mut app = App::new();
    app.request(|s| {
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let refused = s.set("n", Value::Number(number));
            assert!(matches!(refused, Err(SessionError::Invalid(why)) if why.contains("\"n\"")));
        }
        assert!(s.set("n", Value::Number(-0.0)).is_ok());
    });
}
