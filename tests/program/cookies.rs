//! The places in a request from which the program takes a token.

use session3_test_program::{Browser, Demo};

#[test]
fn checklist_05_tokens_are_taken_from_the_cookie_only() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Demo::start(directory.path());
    let mut browser = Browser::new();
    browser.get(&demo, "increment");
    browser.get(&demo, "keep");
    let (id, _) = browser.look(&demo);
    assert_ne!(id, "None");
    let (name, token) = browser.cookie.split_once('=').unwrap();
    let mut without = Browser::new();
    let page = without.get(
        &demo,
        &format!("?{name}={token}&session={token}&sid={token}"),
    );
    assert!(!page.text.contains(&id), "{}", page.text);
    let page = without.get(&demo, &format!("increment;{name}={token}"));
    assert!(!page.text.contains(&id), "{}", page.text);
}
