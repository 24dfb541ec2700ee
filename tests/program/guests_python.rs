//! The package for Python: what its handlers, its adapter for WSGI and its sessions for Flask do
//! in a component, and that its README is true.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use session3_test_program::project::{root, run};
use session3_test_program::{Application, Browser, Demo, Page, between, session3};
use ureq::{Agent, RequestBuilder, typestate::WithBody};

/// Serves an application of `tests/fixtures/python`.
fn serve(name: &'static str, arguments: &[&str]) -> (tempfile::TempDir, Demo) {
    let directory = tempfile::tempdir().unwrap();
    let server = Application::Guest(name).start(directory.path(), arguments);
    (directory, server)
}

fn handling() -> (tempfile::TempDir, Demo) {
    serve("python-handling", &[])
}

/// Returns a request with a body, whose response may have any status.
fn post(server: &Demo, page: &str, cookie: &str) -> RequestBuilder<WithBody> {
    let agent: Agent = Agent::config_builder()
        .max_redirects(0)
        .http_status_as_error(false)
        .build()
        .into();
    agent
        .post(format!("{}{page}", server.url))
        .header("Cookie", cookie)
}

/// Logs in with the form of the page `login`.
fn log_in(browser: &mut Browser, server: &Demo, fields: &[(&str, &str)]) -> Page {
    let form = browser.get(server, "login");
    browser.send(server, &form, "login", fields)
}

fn is_to_start(page: &Page) -> bool {
    matches!(page.status, 302 | 303) && page.location.as_deref() == Some("/")
}

#[test]
fn a_log_in_has_the_safe_cookie_and_a_new_token() {
    let (_directory, server) = handling();
    let mut browser = Browser::new();
    let form = browser.get(&server, "login");
    let before = browser.cookie.clone();
    assert!(before.starts_with("__Host-session="), "{before}");
    let page = browser.send(&server, &form, "login", &[("user", "Ann & co")]);
    assert!(is_to_start(&page), "{page:?}");
    let cookie = page.set_cookie.unwrap();
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"),
        "{cookie}"
    );
    assert_ne!(before, browser.cookie);
    let start = browser.get(&server, "");
    assert_eq!(start.text, "User Ann &amp; co; Hello Ann & co; False.");
    assert_eq!(start.values("cache-control"), ["no-store"]);
    assert_eq!(start.values("vary"), ["Cookie"]);
    assert_eq!(
        browser.get(&server, "").text,
        "User Ann &amp; co; ; False.",
        "the message is shown once"
    );

    let mut stolen = browser.clone();
    assert!(is_to_start(&browser.get(&server, "logout")));
    assert_eq!(browser.cookie, "");
    assert_eq!(stolen.get(&server, "").text, "User nobody; ; False.");
}

#[test]
fn a_form_of_another_session_logs_no_user_in() {
    let (_directory, server) = handling();
    let mut browser = Browser::new();
    browser.get(&server, "login");
    let foreign = Browser::new().get(&server, "login");
    let page = browser.send(&server, &foreign, "login", &[("user", "Eve")]);
    assert_eq!(
        (page.status, page.text.as_str()),
        (403, "The form is too old.\n")
    );
    let page = post(&server, "login", &browser.cookie);
    let page = page.send_form([("user", "Eve")]).unwrap();
    assert_eq!(page.status(), 400, "a field is missing");
    assert_eq!(browser.get(&server, "").text, "User nobody; ; False.");
}

#[test]
fn a_remembered_session_has_a_cookie_that_lasts() {
    let (_directory, server) = handling();
    let mut browser = Browser::new();
    let page = log_in(&mut browser, &server, &[("user", "Ann"), ("remember", "1")]);
    assert!(page.set_cookie.unwrap().contains("; Max-Age=2592000"));
    assert_eq!(browser.get(&server, "").text, "User Ann; Hello Ann; True.");
}

#[test]
fn a_user_ends_the_other_sessions() {
    let (_directory, server) = handling();
    let mut browsers = [Browser::new(), Browser::new()];
    for browser in &mut browsers {
        log_in(browser, &server, &[("user", "Ann")]);
    }
    let [here, there] = &mut browsers;
    let text = here.get(&server, "sessions").text;
    assert_eq!(text.matches("True").count(), 1, "{text}");
    assert_eq!(text.matches("False").count(), 1, "{text}");
    assert!(text.contains("ureq"), "{text}");
    assert_eq!(here.get(&server, "others").text, "1");
    assert!(there.get(&server, "").text.starts_with("User nobody"));
    assert!(here.get(&server, "").text.starts_with("User Ann"));
}

#[test]
fn changes_within_a_value_are_saved_and_failures_save_nothing() {
    let (_directory, server) = handling();
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "add?item=apple").text, "apple");
    assert_eq!(browser.get(&server, "add?item=pear").text, "apple pear");
    for (page, status) in [
        ("addfail?item=x", 500),
        ("addstatus?item=x&status=500", 500),
        ("addstatus?item=x&status=503", 503),
        ("conflict", 409),
        ("add", 400),
        ("add?item=x&mode=READ_ONLY", 500),
    ] {
        let page_of_error = browser.get(&server, page);
        assert_eq!(page_of_error.status, status, "{page}");
        assert!(!page_of_error.text.contains("on purpose"));
        assert_eq!(page_of_error.set_cookie, None);
    }
    let head = browser.head(&server, "add?item=x");
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(
        browser.get(&server, "add?item=plum").text,
        "apple pear plum"
    );
    assert_eq!(
        browser.get(&server, "addstatus?item=fig&status=404").status,
        404
    );
    assert_eq!(
        browser.get(&server, "add?item=x").text,
        "apple pear plum fig x"
    );
}

#[test]
fn values_come_back_exactly_or_are_refused() {
    let (_directory, server) = handling();
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "values?save").text, "saved");
    let text = browser.get(&server, "values").text;
    assert!(text.starts_with("True 20"), "{text}");
    assert!(text.ends_with("+00:00 UTC"), "{text}");
    for (value, status) in [
        ("float('nan')", 400),
        ("'%5Cud800'", 400),
        ("['%5Cud800']", 400),
        ("(1,)", 500),
        ("{1}", 500),
        ("{1:2}", 500),
    ] {
        let page = browser.get(&server, &format!("refused?value={value}"));
        assert_eq!(page.status, status, "{value}: {}", page.text);
    }
    assert!(browser.get(&server, "values").text.starts_with("True"));
}

#[test]
fn a_page_that_uses_no_session_has_no_headers_of_it() {
    let (directory, server) = handling();
    let page = Browser::new().get(&server, "plain");
    assert_eq!((page.status, page.text.as_str()), (200, "Hello"));
    assert_eq!(page.values("x-colour"), ["blue"]);
    assert_eq!(page.values("content-type"), ["text/html; charset=utf-8"]);
    for name in ["vary", "cache-control", "set-cookie"] {
        assert!(page.values(name).is_empty(), "{name}");
    }
    assert!(
        Application::Guest("python-handling")
            .sessions(directory.path())
            .is_empty()
    );
}

#[test]
fn a_request_has_its_parts() {
    let (_directory, server) = handling();
    let text = Browser::new().get(&server, "request").text;
    assert_eq!(text, "GET /request 127.0.0.1 False");
    let text = post(&server, "request", "").send("").unwrap();
    let text = text.into_body().read_to_string().unwrap();
    assert_eq!(text, "POST /request 127.0.0.1 False");
    assert_eq!(Browser::new().get(&server, "nowhere").status, 404);
}

#[test]
fn a_configuration_that_contradicts_itself_is_an_error() {
    let (_directory, server) = handling();
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "idle?idle=600").status, 200);
    assert_eq!(browser.get(&server, "idle?idle=0").status, 400);
}

/// The bytes of a form with a file.
fn form_with_file(length: usize) -> Vec<u8> {
    let head = "--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nAnn\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n";
    [head.as_bytes(), &vec![b'x'; length], b"\r\n--b--\r\n"].concat()
}

#[test]
fn a_form_may_have_files_up_to_a_bound() {
    for (name, small) in [
        ("python-handling", "7 Ann file a.bin 7"),
        ("python-flasking", "7 Ann"),
    ] {
        let (_directory, server) = serve(name, &[]);
        let send = |length: usize, is_chunked: bool| {
            let body = form_with_file(length);
            let request = post(&server, "upload", "")
                .header("Content-Type", "multipart/form-data; boundary=b");
            let response = match is_chunked {
                true => request.send(ureq::SendBody::from_reader(&mut body.as_slice())),
                false => request.send(&body),
            };
            let mut response = response.unwrap();
            let text = response.body_mut().read_to_string().unwrap();
            (response.status().as_u16(), text)
        };
        for is_chunked in [false, true] {
            let (status, text) = send(7, is_chunked);
            assert_eq!(status, 200, "{name}: {text}");
            let expected = small.strip_prefix("7 Ann file").unwrap_or(small);
            assert!(text.ends_with(expected), "{name}: {text}");
            let (status, text) = send(10_000, is_chunked);
            assert_eq!(status, 413, "{name}: {text}");
            assert!(text.contains("10000 bytes"), "{name}: {text}");
        }
    }
}

/// Random numbers that were drawn when the component was built would be the same in each
/// instance. The constant shows that the module is seeded then.
#[test]
fn the_module_random_has_another_seed_in_each_instance() {
    let (_directory, server) = handling();
    let draw = || {
        let text = Browser::new().get(&server, "random").text;
        let (drawn, constant) = text.split_once(' ').unwrap();
        (drawn.to_owned(), constant.to_owned())
    };
    let (first, second) = (draw(), draw());
    assert_ne!(first.0, second.0);
    assert_eq!(first.1, second.1);
}

#[test]
fn an_instance_that_is_used_again_shows_no_user_the_session_of_another() {
    let arguments = ["--max-instances", "1", "--max-instance-reuse", "100"];
    let (_directory, server) = serve("python-handling", &arguments);
    let uses = || Browser::new().get(&server, "uses").text;
    assert_eq!((uses().as_str(), uses().as_str()), ("1", "2"));
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "keep").text, "kept");
    let page = Browser::new().get(&server, "steal");
    assert_eq!(page.status, 409, "{}", page.text);
    assert!(!page.text.contains("another user"));
    for page in [
        "addfail?item=a",
        "addstatus?item=x&status=500",
        "nowhere",
        "login",
    ] {
        browser.get(&server, page);
    }
    post(&server, "upload", "")
        .send("x".repeat(20_000))
        .unwrap();
    assert_eq!(uses(), "10", "still the same instance");
}

#[test]
fn a_flask_application_keeps_its_code() {
    let (_directory, server) = serve("python-flasking", &[]);
    let mut browser = Browser::new();
    assert!(is_to_start(&browser.get(&server, "add/apple")));
    let before = browser.cookie.clone();
    let page = log_in(
        &mut browser,
        &server,
        &[("user", "Ann <b>"), ("remember", "1")],
    );
    assert!(is_to_start(&page), "{page:?}");
    assert_ne!(before, browser.cookie);
    let cookie = page.set_cookie.unwrap();
    assert!(cookie.starts_with("__Host-session="), "{cookie}");
    assert!(cookie.contains("; Max-Age=2592000"), "{cookie}");
    browser.get(&server, "add/fig");
    let start = browser.get(&server, "");
    assert_eq!(start.values("cache-control"), ["no-store"]);
    let text = start.text;
    assert!(
        text.contains("User Ann &lt;b&gt;; True; 2026-01-02T00:00:00+00:00."),
        "{text}"
    );
    assert!(text.contains("greeting: Hello Ann &lt;b&gt;"), "{text}");
    assert!(text.contains("Cart: apple 5, fig 3, end."), "{text}");

    assert_eq!(browser.get(&server, "addfail").status, 500);
    assert_eq!(browser.get(&server, "refused").status, 400);
    let text = browser.get(&server, "").text;
    assert!(text.contains("Cart: apple 5, fig 3, end."), "{text}");
    assert!(!text.contains("greeting"), "{text}");

    let mut stolen = browser.clone();
    let response = post(&server, "logout", &browser.cookie);
    response.send("").unwrap();
    let text = stolen.get(&server, "").text;
    assert!(text.contains("User None; False; ."), "{text}");
    assert_eq!(browser.get(&server, "nowhere").status, 404);
}

#[test]
fn flask_uses_an_instance_again() {
    let arguments = ["--max-instances", "1", "--max-instance-reuse", "100"];
    let (_directory, server) = serve("python-flasking", &arguments);
    let mut browsers = [Browser::new(), Browser::new()];
    for (browser, user) in browsers.iter_mut().zip(["Ann", "Ben"]) {
        log_in(browser, &server, &[("user", user)]);
    }
    for _ in 0..3 {
        for (browser, user) in browsers.iter_mut().zip(["Ann", "Ben"]) {
            let text = browser.get(&server, "").text;
            assert!(text.contains(&format!("User {user};")), "{text}");
            assert_eq!(browser.get(&server, "addfail").status, 500);
        }
        let text = Browser::new().get(&server, "").text;
        assert!(text.contains("User None;"), "{text}");
    }
}

/// Returns the directory with the tools that `make guests` has installed.
fn tools() -> PathBuf {
    let tools = root().join("target/guests/python");
    assert!(
        tools.join("venv").exists(),
        "{} is missing: run make guests",
        tools.display()
    );
    fs::canonicalize(tools).unwrap()
}

#[test]
fn the_packages_own_tests_pass() {
    let package = root().join("guest/python");
    let module = |arguments: &[&str]| {
        let mut command = Command::new(tools().join("venv/bin/python"));
        command.args(["-B", "-m"]).args(arguments);
        run(command.current_dir(&package))
    };
    let text = module(&["unittest"]);
    assert!(text.contains("\nOK"), "{text}");
    // The types are checked, too.
    module(&["mypy", "--cache-dir", "/dev/null", "session3_guest"]);
}

#[test]
fn the_package_has_the_version_of_the_workspace() {
    let module = fs::read_to_string(root().join("guest/python/session3_guest/__init__.py"));
    let expected = format!("__version__ = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(module.unwrap().contains(&expected), "{expected}");
}

/// A newcomer's way: an empty directory, the wheel, and what the README says.
#[test]
fn the_readme_leads_to_an_application_with_the_wheel_alone() {
    let tools = tools();
    let directory = tempfile::tempdir().unwrap();
    let packages = directory.path().join("packages");
    run(Command::new(root().join("tools/package-python")).arg(&packages));
    let readme = fs::read_to_string(root().join("guest/python/README.md")).unwrap();
    let mut blocks = readme.split("\n```").skip(1).step_by(2);
    let mut next = |language: &str| {
        let block = blocks.find_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
        block.unwrap_or_else(|| panic!("README.md lacks a block of {language}"))
    };
    let (application, build, serve) = (next("python"), next("sh"), next("sh"));
    let (policy, test, flask) = (next("toml"), next("python"), next("python"));
    let work = directory.path().join("work");
    fs::create_dir(&work).unwrap();
    let shell = |script: &str| {
        let wheels = format!("{} {}", packages.display(), tools.join("wheels").display());
        let mut command = Command::new("sh");
        command.args(["-euc", script]).current_dir(&work);
        command
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", wheels);
        run(&mut command)
    };
    fs::write(work.join("app.py"), application).unwrap();
    fs::write(work.join("test_app.py"), test).unwrap();
    shell(build);
    shell(". venv/bin/activate\npython test_app.py");

    assert_eq!(serve, "session3 serve app.wasm --store sessions");
    fs::write(work.join("development.toml"), policy).unwrap();
    let start = |options: &[&str]| {
        let mut command = session3();
        command.args(["serve", "app.wasm", "--store", "sessions"]);
        Demo::run(command.args(options).current_dir(&work))
    };
    logs_in(&start(&[]), "__Host-session=");
    logs_in(&start(&["--config", "development.toml"]), "session=");

    fs::write(work.join("app.py"), flask).unwrap();
    let componentize = build.lines().last().unwrap();
    shell(&format!(
        ". venv/bin/activate\npip install --quiet flask\n{componentize}"
    ));
    logs_in(&start(&[]), "__Host-session=");
}

/// Logs in to an application of the README, whose cookie begins like this, and out again.
fn logs_in(server: &Demo, cookie: &str) {
    let mut browser = Browser::new();
    let form = browser.get(server, "");
    assert!(form.text.contains("name=\"user\""), "{}", form.text);
    let page = browser.send(server, &form, "login", &[("user", "Ann")]);
    assert!(is_to_start(&page), "{page:?}");
    assert!(browser.cookie.starts_with(cookie), "{}", browser.cookie);
    let start = browser.get(server, "");
    assert_eq!(between(&start.text, "Hello ", ","), "Ann");
    let page = browser.send(server, &start, "logout", &[]);
    assert!(is_to_start(&page), "{page:?}");
    assert!(browser.get(server, "").text.contains("name=\"user\""));
}

/// The code of the chapter "Guides".
#[test]
fn the_guides_lead_to_what_they_say() {
    let (_directory, server) = serve("python-guide", &[]);
    let mut browser = Browser::new();
    let start = browser.get(&server, "");
    goes_to_start(&browser.send(&server, &start, "/login", &[("user", "root")]));

    // A button that is pressed twice.
    let form = browser.get(&server, "order");
    for _ in 0..2 {
        goes_to_start(&browser.send(&server, &form, "/order", &[]));
    }
    let text = browser.get(&server, "").text;
    assert!(text.contains("; Order 1 is placed.; "), "{text}");

    // A payment on another site, whose form comes without the cookie.
    browser.get(&server, "pay");
    let returned = post(&server, "payment-returned", "").send_form([("reference", "4711")]);
    let returned = returned.unwrap();
    assert_eq!(returned.headers().get("set-cookie"), None);
    assert_eq!(returned.headers()["location"], "/paid?reference=4711");
    goes_to_start(&browser.get(&server, "paid?reference=4711"));
    assert!(browser.get(&server, "").text.contains("; Thank you.; "));
    assert_eq!(browser.get(&server, "paid?reference=4712").status, 403);

    // An administrator who becomes a user.
    let page = browser.get(&server, "");
    goes_to_start(&browser.send(&server, &page, "/become", &[("user", "ann")]));
    let page = browser.get(&server, "");
    assert!(
        page.text.starts_with("user=ann; administrator=root; "),
        "{}",
        page.text
    );
    goes_to_start(&browser.send(&server, &page, "/become-oneself", &[]));
    let page = browser.get(&server, "");
    assert!(
        page.text.starts_with("user=root; administrator=none; "),
        "{}",
        page.text
    );
    let mut other = Browser::new();
    let page = other.get(&server, "");
    goes_to_start(&other.send(&server, &page, "/login", &[("user", "ann")]));
    let page = other.get(&server, "");
    assert_eq!(
        other
            .send(&server, &page, "/become", &[("user", "root")])
            .status,
        403
    );
}

#[test]
fn requests_of_a_guide_that_spend_money_take_turns() {
    let (_directory, server) = serve("python-guide", &[]);
    let mut browser = Browser::new();
    let start = browser.get(&server, "");
    let statuses: Vec<u16> = thread::scope(|scope| {
        let requests: Vec<_> = (0..8)
            .map(|_| {
                let mut browser = browser.clone();
                let (server, start) = (&server, &start);
                scope.spawn(move || {
                    let amount = [("amount", "30")];
                    browser.send(server, start, "/withdraw", &amount).status
                })
            })
            .collect();
        requests
            .into_iter()
            .map(|request| request.join().unwrap())
            .collect()
    });
    let count = |status| statuses.iter().filter(|other| **other == status).count();
    assert_eq!((count(303), count(409)), (3, 5), "{statuses:?}");
}

fn goes_to_start(page: &Page) {
    assert!(is_to_start(page), "{page:?}");
}
