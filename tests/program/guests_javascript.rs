//! The package `session3-guest` for applications in JavaScript.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use session3_test_program::project::root;
use session3_test_program::{Application, Browser, Demo, between, session3};
use tempfile::TempDir;

use crate::hosts::with_node;
use crate::place::{read, send};

const GUEST: Application = Application::Guest("javascript-guest");
const HONO: Application = Application::Guest("javascript-hono");

/// The options for one instance that serves many requests.
const REUSED: [&str; 4] = ["--max-instances", "1", "--max-instance-reuse", "1000"];

/// An application that is served, and the directory with its sessions.
struct Served {
    directory: TempDir,
    server: Demo,
}

impl Served {
    fn new(application: Application, arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = application.start(directory.path(), arguments);
        Self { directory, server }
    }

    /// Returns the text of a page, whose status has to be 200.
    fn text(&self, browser: &mut Browser, page: &str) -> String {
        let page = browser.get(&self.server, page);
        assert_eq!(page.status, 200, "{}", page.text);
        page.text
    }

    /// Returns the attributes of the only session, as `session3 show` prints them.
    fn stored(&self) -> Vec<String> {
        let ids = GUEST.sessions(self.directory.path());
        assert_eq!(ids.len(), 1);
        let shown = session3()
            .arg("show")
            .arg(self.directory.path())
            .arg(&ids[0])
            .output()
            .unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        let attributes = shown.lines().filter_map(|line| line.strip_prefix("  "));
        attributes.map(str::to_owned).collect()
    }
}

/// Runs curl and returns its output.
fn curl(server: &Demo, page: &str, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["--silent", "--show-error"])
        .args(arguments)
        .arg(format!("{}{page}", server.url))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_engine_of_a_component_keeps_the_promises_of_the_package() {
    let served = Served::new(GUEST, &[]);
    let text = served.text(&mut Browser::new(), "promises");
    assert!(text.ends_with("promises are kept"), "{text}");
}

#[test]
fn node_runs_the_tests_of_the_package() {
    let output = with_node("node")
        .arg("--test")
        .current_dir(root().join("guest/javascript"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn the_types_allow_and_refuse_what_they_should() {
    let tools = root().join("target/guests/javascript");
    fs::copy(
        root().join("tests/fixtures/javascript/types.ts"),
        tools.join("types.ts"),
    )
    .unwrap();
    let output = with_node("node_modules/.bin/tsc")
        .args(["--noEmit", "--strict", "--module", "nodenext"])
        .args(["--target", "es2024", "--types", "", "types.ts"])
        .args(["--ignoreConfig"])
        .current_dir(&tools)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn values_are_stored_exactly() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    served.text(&mut browser, "set");
    let stored = served.stored();
    for attribute in [
        "boolean = true",
        "integer = -7",
        "least = -9223372036854775808",
        "negative = -0.5",
        "big = 4611686018427387904",
        "half = 0.5",
        "zero = -0.0",
        "__proto__ = \"a name like others\"",
    ] {
        assert!(stored.iter().any(|line| line == attribute), "{stored:?}");
    }
    assert_eq!(
        served.text(&mut browser, "get"),
        concat!(
            r#"[{"__proto":"number","__proto__":"string","big":"bigint","boolean":"boolean","#,
            r#""bytes":"object","cart":"object","exact":"object","half":"number","#,
            r#""integer":"number","least":"bigint","negative":"number","text":"string","#,
            r#""zero":"number"},"#,
            r#"[{"name":"tea","count":2},null],[0,255],["1180591620717411303424n",1e+30,0],true]"#,
        )
    );
}

#[test]
fn a_counter_counts_down() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    for sum in ["-2", "-4"] {
        assert_eq!(served.text(&mut browser, "subtract"), sum);
    }
}

#[test]
fn a_value_that_is_changed_in_place_is_saved() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    served.text(&mut browser, "set");
    served.text(&mut browser, "push?item=milk");
    let cart = r#"[{"name":"tea","count":2},null,"milk"]"#;
    assert_eq!(served.text(&mut browser, "cart"), cart);
    // In a request that may not change the session, the change is an error.
    let page = browser.get(&served.server, "push?item=lost&mode=read-only");
    assert_eq!(page.status, 500, "{}", page.text);
    assert!(page.text.starts_with("read-only "), "{}", page.text);
    assert_eq!(served.text(&mut browser, "cart"), cart);
}

#[test]
fn json_of_other_languages_is_read_exactly_and_not_written_again() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    served.text(&mut browser, "count");
    served.text(&mut browser, "foreign");
    let before = served.stored();
    let foreign = r#"{"id":"12345678901234567890n","list":[1]}"#;
    assert_eq!(served.text(&mut browser, "foreigner"), foreign);
    assert_eq!(served.stored(), before);
}

#[test]
fn a_value_that_cannot_be_stored_is_an_error() {
    let served = Served::new(GUEST, &[]);
    let page = Browser::new().get(&served.server, "nan");
    assert_eq!(page.status, 400);
    assert!(page.text.contains("cart[0] is NaN"), "{}", page.text);
}

#[test]
fn a_request_that_fails_leaves_the_session_as_it_was() {
    for arguments in [&[] as &[&str], &REUSED] {
        let served = Served::new(GUEST, arguments);
        let mut browser = Browser::new();
        served.text(&mut browser, "login?user=ada");
        assert_eq!(served.text(&mut browser, "count"), "1");
        for (page, status) in [("throw", 500), ("fail", 503), ("nothing", 500)] {
            let page = browser.get(&served.server, page);
            assert_eq!(page.status, status, "{}", page.text);
            assert!(!page.text.contains("secret"), "{}", page.text);
            assert_eq!(page.values("cache-control"), ["no-store"]);
            assert_eq!(page.set_cookie, None);
        }
        assert_eq!(served.text(&mut browser, "count"), "2");
        // A status below 500 is no failure of the application.
        assert_eq!(browser.get(&served.server, "refuse").status, 404);
        assert_eq!(served.text(&mut browser, "count"), "4");
    }
}

#[test]
fn what_was_committed_before_a_failure_stays_with_its_cookie() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    let page = browser.get(&served.server, "early");
    assert_eq!(page.status, 500);
    assert!(page.set_cookie.is_some());
    assert_eq!(served.text(&mut browser, "count"), "2");
}

#[test]
fn a_head_request_changes_nothing() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    served.text(&mut browser, "count");
    let head = browser.head(&served.server, "count");
    assert_eq!(head.values("vary"), ["Cookie"]);
    assert_eq!((head.status, head.set_cookie), (200, None));
    assert_eq!(served.text(&mut browser, "count"), "2");
}

#[test]
fn the_headers_of_the_session_join_those_of_the_application() {
    let served = Served::new(GUEST, &[]);
    let page = Browser::new().get(&served.server, "headers");
    assert_eq!(page.status, 201);
    let cookies = page.values("set-cookie");
    assert_eq!(cookies[..2], ["a=1", "b=2"]);
    assert!(cookies[2].starts_with("test="), "{cookies:?}");
    assert_eq!(page.values("vary"), ["Accept", "Cookie"]);
    assert_eq!(page.values("cache-control"), ["no-store"]);
    assert_eq!(page.headers["x-bytes"].as_bytes(), [0xff]);
    // A page that does not use the session can be kept by any cache.
    let page = Browser::new().get(&served.server, "uses");
    assert_eq!(page.values("vary"), [""; 0]);
    assert_eq!(page.values("cache-control"), [""; 0]);
}

#[test]
fn several_cookie_headers_are_one_list() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    served.text(&mut browser, "count");
    let own = format!("Cookie: {}", browser.cookie);
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let cookies = [version, "-H", "Cookie: a=1", "-H", &own];
        let seen = curl(&served.server, "seen", &cookies);
        let expected = format!(r#"["GET","a=1; {}",null]"#, browser.cookie);
        assert_eq!(seen, expected, "{version}");
        curl(&served.server, "count", &cookies);
    }
    assert_eq!(served.text(&mut browser, "count"), "4");
}

#[test]
fn headers_are_bytes() {
    let served = Served::new(GUEST, &[]);
    let request = "GET /bytes HTTP/1.1\r\nHost: h\r\nConnection: close\r\nX-Bytes: ";
    let address = served.server.url.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address.trim_end_matches('/')).unwrap();
    let request = [request.as_bytes(), b"\xff\xc3\xa9\r\n\r\n"].concat();
    std::io::Write::write_all(&mut stream, &request).unwrap();
    let answer = read(stream);
    assert!(answer.contains("[255,195,169]"), "{answer}");
}

#[test]
fn bodies_pass_in_both_directions() {
    for arguments in [&[] as &[&str], &REUSED] {
        let served = Served::new(GUEST, arguments);
        let browser = Browser::new();
        let body: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
        assert!(browser.post(&served.server, "echo", &body) == body);
        assert_eq!(browser.post(&served.server, "echo", b""), b"");
        assert_eq!(browser.post(&served.server, "ignore", &body), b"ignored");
        let text = curl(&served.server, "form", &["-d", "a=1&b=%C3%BC"]);
        assert_eq!(text, r#"[["a","1"],["b","ü"]]"#);
        let text = curl(&served.server, "form", &["-F", "a=1"]);
        assert_eq!(text, r#"[["a","1"]]"#);
        let text = curl(&served.server, "json", &["-d", r#"{"a": [1]}"#]);
        assert_eq!(text, r#"{"a":[1]}"#);
        assert_eq!(served.text(&mut Browser::new(), "stream"), "1;2;3;");
    }
}

#[test]
fn what_the_fetch_standard_excludes_is_a_bad_request() {
    let served = Served::new(GUEST, &[]);
    for request in [
        "OPTIONS * HTTP/1.1\r\nHost: h",
        "GET / HTTP/1.1\r\nHost: xn--a",
    ] {
        let request = format!("{request}\r\nConnection: close\r\n\r\n");
        let answer = read(send(&served.server, &request));
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert!(answer.ends_with("400: Bad Request\n"), "{answer}");
    }
}

#[test]
fn a_body_cannot_change_the_session() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    served.text(&mut browser, "count");
    let request = format!(
        "GET /late HTTP/1.1\r\nHost: h\r\nCookie: {}\r\nConnection: close\r\n\r\n",
        browser.cookie
    );
    let answer = read(send(&served.server, &request));
    assert!(!answer.ends_with("0\r\n\r\n"), "complete: {answer}");
    assert!(served.stored().iter().any(|line| line == "counter = 2"));
    assert!(!served.stored().iter().any(|line| line.contains("late")));
}

#[test]
fn the_methods_do_what_they_say() {
    let served = Served::new(GUEST, &[]);
    let mut browser = Browser::new();
    let tokens = served.text(&mut browser, "forms");
    let tokens: [String; 2] = serde_json::from_str(&tokens).unwrap();
    let check = format!("check?csrf={}&form={}", tokens[0], tokens[1]);
    assert_eq!(served.text(&mut browser, &check), "[true,true,true]");
    assert_eq!(served.text(&mut browser, &check), "[true,false,false]");
    served.text(&mut browser, "flash?message=hello");
    assert_eq!(served.text(&mut browser, "flashes"), r#"["hello"]"#);
    assert_eq!(served.text(&mut browser, "flashes"), "[]");
    served.text(&mut browser, "login?user=ada");
    assert_eq!(served.text(&mut browser, "user"), "ada");
    let mut other = Browser::new();
    served.text(&mut other, "login?user=ada");
    assert_eq!(served.text(&mut other, "remember"), "true");
    let own: serde_json::Value = serde_json::from_str(&served.text(&mut browser, "own")).unwrap();
    assert_eq!(own[0], true);
    assert!(own[1].as_i64().unwrap() > 0, "{own}");
    assert_eq!(own[2], true);
    assert_eq!(own[3][0], false);
    assert_eq!(own[3][1], true);
    assert!(own[3][3].as_str().unwrap().contains("ureq"), "{own}");
    assert_eq!(own[4], 1);
    assert_eq!(served.text(&mut other, "user"), "null");
    assert!(browser.get(&served.server, "renew").set_cookie.is_some());
    served.text(&mut browser, "logout");
    assert_eq!(served.text(&mut browser, "user"), "null");
    served.text(&mut browser, "expire");
    assert_eq!(browser.cookie, "");
}

#[test]
fn a_change_in_a_mode_that_forbids_it_is_an_error() {
    let served = Served::new(GUEST, &[]);
    let page = Browser::new().get(&served.server, "count?mode=read-only");
    assert_eq!(page.status, 500);
    assert!(page.text.starts_with("read-only "), "{}", page.text);
}

#[test]
fn an_instance_is_used_again() {
    let served = Served::new(GUEST, &REUSED);
    let mut browser = Browser::new();
    let mut uses = 0;
    for page in [
        "login?user=ada",
        "count",
        "set",
        "push?item=x",
        "get",
        "forms",
        "own",
        "fail",
        "refuse",
        "headers",
        "stream",
        "ignore",
        "none",
        "random",
        "keep",
        "kept",
        "remember",
        "logout",
    ] {
        browser.get(&served.server, page);
        uses += 2;
        // A timer that the stream has started is left when its response has no body.
        if page != "stream" {
            browser.head(&served.server, page);
            uses += 1;
        }
        assert_eq!(
            served.text(&mut browser, "uses"),
            uses.to_string(),
            "{page}"
        );
    }
    for page in ["echo", "ignore", "json"] {
        browser.post(&served.server, page, b"[1]");
        uses += 2;
        assert_eq!(
            served.text(&mut browser, "uses"),
            uses.to_string(),
            "{page}"
        );
    }
}

#[test]
fn each_request_of_an_instance_has_random_numbers_of_its_own() {
    let mut seen = HashSet::new();
    // Two instances that begin with the same memory.
    for _ in 0..2 {
        let served = Served::new(GUEST, &REUSED);
        for uses in 1..=3 {
            let text = served.text(&mut Browser::new(), "random");
            for value in text.split(' ') {
                assert!(seen.insert(value.to_owned()), "{value} twice");
            }
            assert_eq!(
                served.text(&mut Browser::new(), "uses"),
                format!("{}", 2 * uses)
            );
        }
    }
}

#[test]
fn an_instance_shows_no_user_the_session_of_another() {
    let served = Served::new(GUEST, &REUSED);
    let mut ada = Browser::new();
    served.text(&mut ada, "login?user=ada");
    served.text(&mut ada, "keep");
    let text = served.text(&mut Browser::new(), "kept");
    assert!(
        text.starts_with("Error: The session was used after its request"),
        "{text}"
    );
    assert_eq!(served.text(&mut Browser::new(), "user"), "null");
    let mut eve = Browser::new();
    served.text(&mut eve, "login?user=eve");
    for _ in 0..3 {
        assert_eq!(served.text(&mut ada, "user"), "ada");
        assert_eq!(served.text(&mut eve, "user"), "eve");
    }
    assert_eq!(served.text(&mut ada, "uses"), "12");
}

/// Posts a form to the application of Hono, and returns the status and the text.
fn post(served: &Served, browser: &mut Browser, page: &str, form: &str) -> (u16, String) {
    let cookie = format!("Cookie: {}", browser.cookie);
    let output = curl(&served.server, page, &["-i", "-H", &cookie, "-d", form]);
    let (head, text) = output.split_once("\r\n\r\n").unwrap();
    if let Some((_, set)) = head.split_once("set-cookie: ") {
        let is_removed = set.lines().next().unwrap().contains("Max-Age=0");
        let cookie = set.split(';').next().unwrap();
        browser.cookie = if is_removed { "" } else { cookie }.to_owned();
    }
    let status = between(head, "HTTP/1.1 ", " ").parse().unwrap();
    (status, text.to_owned())
}

#[test]
fn hono_has_sessions() {
    for arguments in [&[] as &[&str], &REUSED] {
        let served = Served::new(HONO, arguments);
        let mut browser = Browser::new();
        assert_eq!(served.text(&mut browser, ""), "nobody 0");
        assert_eq!(post(&served, &mut browser, "login", "user=ada").0, 302);
        assert_eq!(served.text(&mut browser, ""), "ada 0");
        assert_eq!(post(&served, &mut browser, "count", "").1, "1");
        // An exception has the status of a client's mistake, and yet nothing is saved.
        assert_eq!(post(&served, &mut browser, "throw", "").0, 401);
        assert_eq!(post(&served, &mut browser, "count", "").1, "2");
        // The error of the commit comes to `app.onError`.
        let handled = post(&served, &mut browser, "nan", "");
        assert_eq!(handled, (400, "handled invalid".into()));
        let text = served.text(&mut browser, "user/ada/cookies");
        assert_eq!(text, format!("ada {}", browser.cookie));
        let stolen = browser.cookie.clone();
        assert_eq!(post(&served, &mut browser, "logout", "").0, 302);
        assert_eq!(browser.cookie, "");
        browser.cookie = stolen;
        assert_eq!(served.text(&mut browser, ""), "nobody 0");
    }
}

/// Returns the code blocks of the package's README that have this language.
fn blocks(language: &str) -> Vec<String> {
    let readme = fs::read_to_string(root().join("guest/javascript/README.md")).unwrap();
    let fence = format!("```{language}\n");
    let blocks = readme.split(&fence).skip(1);
    let code = |block: &str| block.split("```").next().unwrap().to_owned();
    blocks.map(code).collect()
}

fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let output = with_node(program)
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Returns the tarball of the package in an empty directory.
fn packed(directory: &Path) -> PathBuf {
    let script = root().join("tools/package-javascript");
    run(
        &root(),
        script.to_str().unwrap(),
        &[directory.to_str().unwrap()],
    );
    directory.join(concat!(
        "session3-guest-",
        env!("CARGO_PKG_VERSION"),
        ".tgz"
    ))
}

/// Follows the README in an empty directory, with the tarball in place of the registry's package.
#[test]
fn the_package_is_all_that_the_readme_needs() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let tarball = packed(path);
    let code = blocks("js");
    fs::write(path.join("app.js"), &code[0]).unwrap();
    fs::write(path.join("hono.js"), &code[1]).unwrap();
    fs::write(path.join("development.toml"), &blocks("toml")[0]).unwrap();
    let shell = &blocks("sh")[0];
    let commands: Vec<Vec<&str>> = shell
        .lines()
        .map(|line| line.split(' ').collect())
        .collect();
    assert_eq!(commands[0], ["npm", "install", "session3-guest"]);
    let install = ["install", "--no-audit", "--no-fund", "--prefer-offline"];
    let packages = [tarball.to_str().unwrap(), "hono@4.13.19"];
    run(path, "npm", &[&install[..], &packages].concat());
    run(path, "npx", &commands[1][1..]);
    run(
        path,
        "npx",
        &["session3-guest", "build", "hono.js", "-o", "other.wasm"],
    );

    assert_eq!(commands[2][0], "session3");
    let mut command = session3();
    let server = Demo::run(command.current_dir(path).args(&commands[2][1..]));
    let mut browser = Browser::new();
    let page = browser.get(&server, "");
    let log_in = |browser: &mut Browser, password| {
        let page = browser.get(&server, "");
        let fields = [("user", "ada"), ("password", password)];
        browser.send(&server, &page, "login", &fields).status
    };
    assert!(page.set_cookie.unwrap().starts_with("session="));
    assert_eq!(log_in(&mut browser, "wrong"), 303);
    assert!(
        browser
            .get(&server, "")
            .text
            .contains("Wrong name or password")
    );
    assert_eq!(log_in(&mut browser, "lovelace"), 303);
    for visit in ["visit 1.", "visit 2."] {
        let text = browser.get(&server, "").text;
        assert!(text.contains("Hello ada") && text.contains(visit), "{text}");
    }
    let page = browser.get(&server, "");
    assert_eq!(browser.send(&server, &page, "logout", &[]).status, 303);
    assert!(browser.get(&server, "").text.contains("Log in"));

    let mut command = session3();
    let served = ["serve", "other.wasm", "--store", "others"];
    let server = Demo::run(command.current_dir(path).args(served));
    assert_eq!(Browser::new().get(&server, "").text, "Hello stranger");
}
