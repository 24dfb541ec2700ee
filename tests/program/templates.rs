//! The applications of `session3 new`: each is created in an empty directory, with the packages as
//! they are published, built and served by `session3 dev`, and used.

use std::thread;

use session3_test_program::project::Project;
use session3_test_program::{Browser, Demo, Page, between};

/// Checks that a page sends the browser back to another one.
fn goes_to(page: &Page, path: &str) {
    let location = page.location.as_deref();
    assert_eq!((page.status, location), (303, Some(path)), "{}", page.text);
}

pub fn log_in(browser: &mut Browser, server: &Demo, password: &str, more: &[(&str, &str)]) -> Page {
    let form = browser.get(server, "");
    let fields = [&[("user", "ann"), ("password", password)][..], more].concat();
    browser.send(server, &form, "/login", &fields)
}

/// What a user does with each of the applications.
pub fn use_it(server: &Demo) {
    let mut browser = Browser::new();
    goes_to(&browser.get(server, "devices"), "/");
    need_the_password(&mut browser, server);
    let before = browser.cookie.clone();
    let page = log_in(&mut browser, server, "lovelace", &[("remember", "on")]);
    goes_to(&page, "/");
    let cookie = page.set_cookie.unwrap();
    assert!(cookie.contains("; Max-Age="), "{cookie}");
    assert_ne!(browser.cookie, before, "a log-in replaces the token");
    keep_notes(&mut browser, server);
    keep_notes_that_come_at_once(&mut browser, server);
    see_devices(&mut browser, server);
    send_what_is_no_form(&mut browser, server);
    let page = browser.get(server, "");
    goes_to(&browser.send(server, &page, "/logout", &[]), "/");
    assert!(browser.get(server, "").text.contains("Log in"));
}

fn need_the_password(browser: &mut Browser, server: &Demo) {
    for (user, password) in [
        ("ann", "wrong"),
        ("ann", "lovelac"),
        ("ann", "lovelace "),
        ("ann", "babbage"),
        ("ann", ""),
        ("eve", "lovelace"),
        ("eve", ""),
        ("", ""),
    ] {
        let form = browser.get(server, "");
        let fields = [("user", user), ("password", password)];
        goes_to(&browser.send(server, &form, "/login", &fields), "/");
        let page = browser.get(server, "");
        let is_refused = page.text.contains("This is not the password.");
        assert!(is_refused && page.text.contains("Log in"), "{user}");
    }
    let page = browser.get(server, "");
    assert!(!page.text.contains("This is not the password."));
}

/// A mistake of the client is no error of the server, and changes nothing.
fn send_what_is_no_form(browser: &mut Browser, server: &Demo) {
    const FORM: &str = "application/x-www-form-urlencoded";
    const PARTS: &str = "multipart/form-data; boundary=x";
    let page = browser.get(server, "");
    let token = page.hidden_fields("/notes").remove(0).1;
    let file = "--x\r\nContent-Disposition: form-data; name=\"token\"; filename=\"f\"\r\n\r\nx\r\n--x--\r\n";
    let with_token = |rest: &str| format!("token={token}{rest}");
    let huge = with_token(&format!("&text={}", "x".repeat(3 << 20)));
    let many = with_token(&"&text=x".repeat(2000));
    let name = with_token(&format!("&note={}", "9".repeat(2000)));
    for (kind, body) in [
        (None, ""),
        (None, "token"),
        (Some("application/json"), "{\"token\": 1}"),
        (Some("no type"), "token=x"),
        (Some(FORM), ""),
        (Some(FORM), "%zz&=&&%=%&token=%ff%00"),
        (Some("multipart/form-data"), file),
        (Some(PARTS), file),
        (Some(PARTS), "--x\r\nContent-Disposition: form-data"),
        (Some(FORM), &huge),
        (Some(FORM), &many),
        (Some(FORM), &name),
        (Some(FORM), &with_token("&text=%ff%00&note=x&id=%ff")),
        (Some(FORM), &with_token("")),
    ] {
        for path in ["login", "notes", "notes/delete", "devices/end", "nowhere"] {
            let status = browser.post_as(server, path, kind, body);
            // A server may refuse a large body without reading it.
            let status = status.or((body == huge).then_some(413));
            let said = format!("{path} {kind:?} {body:.40}: {status:?}");
            let status = status.expect(&said);
            assert!((300..500).contains(&status), "{said}");
            let has_token = body.starts_with(&with_token(""));
            assert!(has_token || status >= 400, "{said}");
        }
    }
    for path in ["login", "logout", "notes", "notes/delete", "devices/end"] {
        let page = browser.get(server, path);
        assert!([404, 405].contains(&page.status), "{path}: {page:?}");
    }
    let after = browser.get(server, "");
    assert!(after.text.contains("Hello ann"), "{}", after.text);
}

fn keep_notes(browser: &mut Browser, server: &Demo) {
    let page = browser.get(server, "");
    assert!(page.text.contains("Hello ann"), "{}", page.text);
    for text in ["<b>milk</b>", "bread \u{e9} \u{263a}", "tea"] {
        goes_to(
            &browser.send(server, &page, "/notes", &[("text", text)]),
            "/",
        );
    }
    let page = browser.get(server, "");
    assert_eq!(page.text.matches("The note is saved.").count(), 3);
    assert!(page.text.contains("&lt;b&gt;milk") && page.text.contains("bread \u{e9} \u{263a}"));
    // The first of the forms deletes the first note.
    goes_to(&browser.send(server, &page, "/notes/delete", &[]), "/");
    let page = browser.get(server, "");
    assert!(!page.text.contains("milk") && page.text.contains("tea"));
    browser.send(server, &page, "/notes", &[("text", " ")]);
    assert!(
        browser
            .get(server, "")
            .text
            .contains("A note needs a text.")
    );
    // A page of another site has no token.
    let mut stranger = page;
    stranger.text = "action=\"/notes\"></form>".into();
    let refused = browser.send(
        server,
        &stranger,
        "/notes",
        &[("text", "x"), ("token", "x")],
    );
    assert_eq!(refused.status, 403);
    assert_eq!(browser.get(server, "nowhere").status, 404);
}

fn keep_notes_that_come_at_once(browser: &mut Browser, server: &Demo) {
    let page = browser.get(server, "");
    thread::scope(|scope| {
        for _ in 0..4 {
            let (mut browser, page) = (browser.clone(), &page);
            scope.spawn(move || {
                for _ in 0..5 {
                    let added = browser.send(server, page, "/notes", &[("text", "at once")]);
                    goes_to(&added, "/");
                }
            });
        }
    });
    let page = browser.get(server, "");
    assert_eq!(page.text.matches("at once").count(), 20, "{}", page.text);
}

fn see_devices(browser: &mut Browser, server: &Demo) {
    let mut other = Browser::new();
    let agent = [("User-Agent", "Other browser/2")];
    let form = other.get_with(server, "", &agent);
    let fields = [("user", "ann"), ("password", "lovelace")];
    other.send(server, &form, "/login", &fields);
    assert!(other.get(server, "").text.contains("Hello ann"));
    let page = browser.get(server, "devices");
    assert!(page.text.contains("this one"), "{}", page.text);
    assert_eq!(page.text.matches("action=\"/devices/end\"").count(), 1);
    goes_to(
        &browser.send(server, &page, "/devices/end-others", &[]),
        "/devices",
    );
    let page = browser.get(server, "devices");
    assert!(page.text.contains("Sessions ended: 1."), "{}", page.text);
    assert_eq!(page.text.matches("action=\"/devices/end\"").count(), 0);
    assert!(other.get(server, "").text.contains("Log in"));

    log_in(&mut other, server, "lovelace", &[]);
    let page = browser.get(server, "devices");
    goes_to(
        &browser.send(server, &page, "/devices/end", &[]),
        "/devices",
    );
    assert!(other.get(server, "").text.contains("Log in"));
}

/// Looks at what another server says, and returns the browser, which is logged in.
pub fn see_the_quote(server: &Demo) -> Browser {
    let mut browser = Browser::new();
    log_in(&mut browser, server, "lovelace", &[]);
    let page = browser.get(server, "quote");
    let quote = between(&page.text, "<blockquote>", "</blockquote>");
    assert!(quote.contains("Memory is the thing"), "{quote}");
    browser
}

/// Builds, serves and uses an application, with another server that may be called and with one
/// that may not.
fn works(project: &Project) {
    let server = project.serve(&[]);
    use_it(&server);
    let mut browser = see_the_quote(&server);
    drop(server);

    let server = project.serve(&["--allow-outbound", "127.0.0.1:1"]);
    let page = browser.get(&server, "quote");
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(!page.text.contains("Memory is the thing"), "{}", page.text);
}

const PYTHON: &str = "venv/bin/python -m unittest";

#[test]
fn an_application_in_python_works() {
    let project = Project::new("python", "none");
    works(&project);
    project.test(PYTHON);
}

#[test]
#[ignore = "takes long: make test-docs"]
fn an_application_in_flask_works() {
    let project = Project::new("python", "flask");
    works(&project);
    project.test(PYTHON);
}

#[test]
fn an_application_in_javascript_works() {
    let project = Project::new("javascript", "none");
    works(&project);
    project.test("npm test");
}

#[test]
#[ignore = "takes long: make test-docs"]
fn an_application_in_hono_works() {
    let project = Project::new("javascript", "hono");
    works(&project);
    project.test("npm test");
}

#[test]
fn an_application_in_c_works() {
    let project = Project::new("c", "none");
    works(&project);
    project.test("sh test.sh");
}

#[test]
fn an_application_in_rust_works() {
    let project = Project::new("rust", "none");
    works(&project);
    project.test("sh test.sh");
}

#[test]
#[ignore = "takes long: make test-docs"]
fn an_application_with_wstd_works() {
    let project = Project::new("rust", "wstd");
    works(&project);
    project.test("sh test.sh");
}
