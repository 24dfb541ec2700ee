//! The package for authors of applications in C: applications that are built from nothing but
//! the package, served by the real program.

use std::collections::HashSet;
use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::thread;

use percent_encoding::percent_decode;
use session3_store::caching::cache_control;
use session3_test_program::{Browser, Demo, between, session3};
use session3_test_support::dice::Dice;
use session3_test_support::random::seed;

use crate::book::{Shell, blocks};
use crate::place::{Place, get, read, send};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

const README: &str = include_str!("../../guest/c/README.md");

/// The application of the tests.
static FIXTURE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let directory = unpack();
    let package = directory.path();
    let source = Path::new(ROOT).join("tests/fixtures/c/app.c");
    fs::copy(source, package.join("app.c")).unwrap();
    Shell::new(package, ":").run("make --silent");
    fs::read(package.join("app.wasm")).unwrap()
});

/// Unpacks the package into an empty directory.
fn unpack() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let name = format!("session3-guest-c-{}.tar.gz", env!("CARGO_PKG_VERSION"));
    let package = Path::new(ROOT).join("target/package").join(name);
    assert!(
        package.exists(),
        "{} is missing: run make guests",
        package.display()
    );
    let mut command = Command::new("tar");
    command
        .args(["--extract", "--strip-components=1", "--file"])
        .arg(package);
    let status = command.current_dir(&directory).status().unwrap();
    assert!(status.success());
    directory
}

fn serve(arguments: &[&str]) -> (Place, Demo) {
    let place = Place::new(&FIXTURE);
    let server = place.serve(arguments);
    (place, server)
}

#[test]
fn the_application_of_the_readme_is_built_from_nothing_but_the_package() {
    let directory = unpack();
    let package = directory.path();
    let application = blocks(README, "c")[0];
    assert_eq!(
        fs::read_to_string(package.join("app.c")).unwrap(),
        application
    );
    let [install, build, run] = blocks(README, "sh")[..] else {
        panic!("{README}")
    };
    let packages = install.strip_prefix("sudo apt-get install ").unwrap();
    let installed = Command::new("dpkg")
        .args(["--status"])
        .args(packages.split_whitespace())
        .output();
    assert!(installed.unwrap().status.success(), "{packages}");
    // The other code in the README is compiled along with it.
    let mut snippets = "#include \"session3.h\"\n".to_owned();
    let functions = [
        "void change(session3_session *session, const char *name, const char *text)",
        "void call(session3_response *response)",
    ];
    for (function, snippet) in functions.iter().zip(&blocks(README, "c")[1..]) {
        snippets += &format!("{function};\n{function} {{\n{snippet}}}\n");
    }
    fs::write(package.join("snippet.c"), snippets).unwrap();
    Shell::new(package, ":").run(build);
    let mut command = session3();
    let arguments = run.strip_prefix("session3 ").unwrap().split_whitespace();
    let server = Demo::run(command.args(arguments).current_dir(package));
    log_in(&server);
}

/// Goes through the log-in of the README's application.
fn log_in(server: &Demo) {
    let mut browser = Browser::new();
    let page = browser.get(server, "");
    assert_eq!(page.status, 200, "{page:?}");
    let before = browser.cookie.clone();
    let alice = [("user", "alice"), ("password", "wonderland")];
    let stranger = Browser::new().send(server, &page, "login", &alice);
    assert_eq!(stranger.status, 403, "a form without its cookie");

    let wrong = [("user", "alice"), ("password", "looking-glass")];
    let refused = browser.send(server, &page, "login", &wrong);
    assert_eq!(refused.location.as_deref(), Some("/"));
    let page = browser.get(server, "");
    assert!(page.text.contains("This is not the password."), "{page:?}");
    assert!(
        !browser
            .get(server, "")
            .text
            .contains("This is not the password.")
    );

    let done = browser.send(server, &page, "login", &alice);
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/")));
    assert_ne!(browser.cookie, before, "the token changes with the user");
    for times in 1..4 {
        let page = browser.get(server, "");
        let greeting = format!("Hello, alice! You have seen this page {times} times.");
        assert!(page.text.contains(&greeting), "{page:?}");
        assert_eq!(page.values("cache-control"), ["no-store"]);
    }
    let page = browser.get(server, "");
    browser.send(server, &page, "logout", &[]);
    assert!(browser.get(server, "").text.contains("Password"));
    assert_eq!(browser.get(server, "login").status, 404);
}

/// What a C programmer does not have to know: no code of theirs decodes or escapes.
#[test]
fn a_request_has_its_parts() {
    let (_place, server) = serve(&["--trust-proxy", "127.0.0.0/8"]);
    let body = "other=1&field=a%26b+c%C3%A9&field=&field=%ff&field=%00&fie%6Cd=2";
    let head = "POST /echo/%C3%A9+?part=%3Cb%3E&x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\
                X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n\
                X-Test: one\r\nX-Test: two\r\nCookie: a=b\r\nCookie: c=\"d\"; e=f\r\n\
                Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n";
    let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
    let text = read(send(&server, &request));
    let length = format!(" length={}\n", body.len());
    let expected = [
        "method=POST path=/echo/%C3%A9+ query=part=%3Cb%3E&amp;x secure=1 address=203.0.113.7",
        length.as_str(),
        "field=a&amp;b cé part=&lt;b&gt; header=one, two cookie=&quot;d&quot;\n",
        "decoded=/echo/é+ values=a&amp;b cé;;2;",
    ];
    for line in expected {
        assert!(text.contains(line), "{line}: {text}");
    }
    let other = request.replace("x-www-form-urlencoded", "json");
    let text = read(send(&server, &other));
    assert!(text.contains("field=NULL"), "{text}");
    let text = get(&server, "echo").text;
    assert!(
        text.contains("field=NULL part=NULL header=NULL cookie=NULL"),
        "{text}"
    );
}

#[test]
fn an_application_calls_the_servers_that_are_allowed() {
    let (_place, other) = serve(&[]);
    let address = other
        .url
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let url = format!("http%3A%2F%2F{address}%2Fecho%3Fpart%3Dp%23end");
    let (_place, server) = serve(&["--allow-outbound", address]);
    let text = get(&server, &format!("call?what=post&url={url}")).text;
    for part in [
        "200 0  method=POST path=/echo query=part=p ",
        "length=11",
        "field=a&amp;amp;b part=p header=one cookie=d",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let text = get(&server, &format!("call?url={url}")).text;
    assert!(
        text.contains("method=GET") && text.contains("length=0"),
        "{text}"
    );
    for what in ["url", "null", "method", "name", "value", "missing"] {
        let text = get(&server, &format!("call?what={what}&url={url}")).text;
        assert_eq!(text, "0 0 this is no request of HTTP ", "{what}");
    }
    let (_place, server) = serve(&[]);
    let text = get(&server, &format!("call?url={url}")).text;
    assert_eq!(text, "0 1 the operator does not allow this server ");
}

#[test]
fn a_body_that_is_too_large_is_refused_and_costs_no_instance() {
    let (_place, server) = serve(&["--max-instances", "1", "--max-instance-reuse", "100"]);
    for (size, status) in [(1 << 20, 200), ((1 << 20) + 1, 413), (3 << 20, 413)] {
        let url = format!("{}echo", server.url);
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .build()
            .new_agent();
        let mut response = agent.post(url).send(&vec![b'x'; size][..]).unwrap();
        assert_eq!(response.status(), status, "{size}");
        let text = response.body_mut().read_to_string().unwrap();
        let is_whole = text.contains(&format!("length={size}\n"));
        assert_eq!(is_whole, status == 200, "{text}");
    }
    // The two requests that were refused never came to the function of the author.
    assert_eq!(get(&server, "uses").text, "2");
}

#[test]
fn values_of_every_type_are_kept() {
    let (place, server) = serve(&[]);
    let mut browser = Browser::new();
    assert_eq!(browser.get(&server, "set").text, "set");
    let names = "boolean;bytes;empty;integer;json;nul;number;text;";
    let expected = format!(
        "{names} 1 -9223372036854775808 1 Grüße {{&quot;a&quot;: [1]}} 2 0 255 [] none 1 3 7 none"
    );
    assert_eq!(browser.get(&server, "get").text, expected);
    assert_eq!(browser.get(&server, "remove").text, "1 1 0");
    let rest = names.replace("integer;", "");
    let text = browser.get(&server, "get").text;
    assert!(text.starts_with(&format!("{rest} 1 7 ")), "{text}");

    let id = browser.cookie.split(['=', '.']).nth(1).unwrap().to_owned();
    let mut show = session3();
    let shown = show
        .arg("show")
        .arg(place.path("sessions"))
        .arg(id)
        .output();
    let shown = String::from_utf8(shown.unwrap().stdout).unwrap();
    assert!(shown.contains("Grüße"), "{shown}");
}

/// Returns whether the session of a browser has an attribute with this name.
fn has(browser: &mut Browser, server: &Demo, name: &str) -> bool {
    browser
        .get(server, "get")
        .text
        .contains(&format!("{name};"))
}

#[test]
fn an_error_is_a_page_with_its_status_and_saves_nothing() {
    let (place, server) = serve(&[]);
    let mut browser = Browser::new();
    browser.get(&server, "set");
    let id = between(&browser.cookie, "=", ".");
    for (what, status) in [
        ("text", 400),
        ("name", 400),
        ("null", 400),
        ("long", 400),
        ("user", 400),
        ("flash", 400),
        ("nan", 400),
        ("sum", 400),
        ("open", 400),
        ("header", 500),
        ("reserved", 500),
        ("location", 500),
        ("status", 500),
        ("format", 500),
        ("500", 500),
    ] {
        let page = browser.get(&server, &format!("fail?what={what}"));
        assert_eq!(page.status, status, "{what}: {page:?}");
        assert_eq!(page.text.contains(&id), what == "500", "{what}: {page:?}");
        assert_eq!(page.set_cookie, None, "{what}");
        assert!(!has(&mut browser, &server, "before"), "{what}");
    }
    for why in [
        "the application says: the text is not UTF-8",
        "the application says: the name of an attribute is not UTF-8",
        "the application says: the text is NULL",
        "the application says: the session is open already",
        "JSON has no infinite numbers and no NaN",
        "the application says: the application set the header X-Bad, which is not allowed",
    ] {
        place.wait_for(why);
    }
    assert_eq!(browser.get(&server, "fail?what=nothing").status, 200);
    assert!(has(&mut browser, &server, "before") && has(&mut browser, &server, "after"));
}

#[test]
fn an_application_may_deal_with_an_error_itself() {
    let (_place, server) = serve(&[]);
    let mut browser = Browser::new();
    let page = browser.get(&server, "recover");
    assert!(
        page.text.starts_with("0 1 ") && page.text.contains("JSON has no infinite numbers"),
        "{page:?}"
    );
    assert!(has(&mut browser, &server, "recovered"));
    browser.get(&server, "early");
    assert!(
        has(&mut browser, &server, "early"),
        "committed before it failed"
    );
    assert!(!has(&mut browser, &server, "late"));
    assert_eq!(browser.get(&server, "forget").text, "1");
    assert!(!has(&mut browser, &server, "forgotten"));
}

#[test]
fn the_cookie_of_an_early_commit_is_sent_with_a_failure() {
    let (_place, server) = serve(&[]);
    let page = get(&server, "early");
    assert_eq!(page.status, 500);
    assert!(page.set_cookie.is_some(), "{page:?}");
}

#[test]
fn a_mode_holds_for_the_request() {
    let (_place, server) = serve(&[]);
    let mut browser = Browser::new();
    browser.get(&server, "set");
    assert_eq!(browser.get(&server, "read").text, "Grüße");
    assert_eq!(browser.get(&server, "read?change=1").status, 500);
    assert_eq!(browser.get(&server, "read").text, "Grüße");
    thread::scope(|scope| {
        for _ in 0..4 {
            let (mut browser, server) = (browser.clone(), &server);
            scope.spawn(move || {
                for _ in 0..10 {
                    assert_eq!(browser.get(server, "exclusive").status, 200);
                }
            });
        }
    });
    assert_eq!(browser.get(&server, "exclusive").text, "41");
}

#[test]
fn a_head_request_changes_nothing() {
    let (_place, server) = serve(&[]);
    let mut browser = Browser::new();
    browser.get(&server, "set");
    for page in [
        "login?user=mallory",
        "expire",
        "recover",
        "form",
        "swap?value=x",
    ] {
        let head = browser.head(&server, page);
        assert_eq!((head.status, head.set_cookie), (200, None), "{page}");
        assert_eq!(head.text, "");
        assert_eq!(browser.get(&server, "user").text, "nobody 0");
        assert!(!has(&mut browser, &server, "recovered"));
    }
    // What takes effect before the commit is refused.
    assert_eq!(browser.head(&server, "expire-others").status, 500);
}

#[test]
fn the_headers_of_the_session_join_those_of_the_page() {
    let (_place, server) = serve(&[]);
    let mut browser = Browser::new();
    browser.get(&server, "login?user=alice");
    for (own, expected) in [
        ("", "no-store"),
        ("public, max-age=60", "no-store"),
        ("private, max-age=60", "private, max-age=60"),
        ("private, public", "no-store"),
        ("max-age=0, No-Store", "max-age=0, No-Store"),
    ] {
        let query = own.replace(", ", "%2C+");
        let page = browser.get(&server, &format!("user?cache={query}"));
        assert_eq!(page.text, "alice 0");
        assert_eq!(page.values("cache-control"), [expected], "{own}");
        assert_eq!(page.values("vary"), ["Accept", "Cookie"]);
    }
    let page = get(&server, "uses");
    let values = ["vary", "cache-control", "set-cookie"].map(|name| page.values(name).len());
    assert_eq!(values, [0, 0, 0], "a page without a session");
}

#[test]
fn a_form_is_taken_once_and_only_from_this_site() {
    let (_place, server) = serve(&[]);
    let mut browser = Browser::new();
    let form = browser.get(&server, "form");
    let message = [("message", "<Thanks> & bye")];
    assert_eq!(
        Browser::new().send(&server, &form, "form", &message).status,
        403
    );
    let statuses: Vec<_> = thread::scope(|scope| {
        let clicks: Vec<_> = (0..8)
            .map(|_| {
                let (mut browser, form, server) = (browser.clone(), &form, &server);
                scope.spawn(move || browser.send(server, form, "form", &message).status)
            })
            .collect();
        let statuses = clicks.into_iter().map(|click| click.join().unwrap());
        statuses.collect()
    });
    let taken = statuses.iter().filter(|status| **status == 303).count();
    assert_eq!(taken, 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [303, 409].contains(status)));
    let said = browser.get(&server, "flashes").text;
    assert_eq!(said, "&lt;Thanks&gt; &amp; bye;");
    assert_eq!(browser.get(&server, "flashes").text, "");
}

#[test]
fn users_see_and_end_their_own_sessions() {
    let (_place, server) = serve(&[]);
    let log_in = |user: &str| {
        let mut browser = Browser::new();
        let page = browser.get(&server, &format!("login?user={user}"));
        assert_eq!(page.text, format!("{user} 0 1"));
        let id = between(&browser.cookie, "=", ".");
        (browser, id)
    };
    let (mut mallory, _) = log_in("mallory");
    let sessions: Vec<_> = (0..4).map(|_| log_in("alice")).collect();
    let [(_, first), (_, second), (third, _), (last, id)] = &sessions[..] else {
        panic!()
    };
    let (mut third, mut last) = (third.clone(), last.clone());
    // The application allows three.
    let own = last.get(&server, "sessions").text;
    assert_eq!(own.matches(';').count(), 3, "{own}");
    assert!(own.contains(&format!("{id} 1 1 127.0.0.1 ureq/")), "{own}");
    assert!(!own.contains(first.as_str()), "{own}");

    let end = format!("expire-own?id={second}");
    assert_eq!(mallory.get(&server, &end).text, "0");
    assert_eq!(last.get(&server, &end).text, "1");
    assert_eq!(last.get(&server, &end).text, "0");
    assert_eq!(last.get(&server, "expire-others").text, "1");
    assert_eq!(third.get(&server, "user").text, "nobody 1");
    assert_eq!(mallory.get(&server, "user").text, "mallory 0");

    assert!(last.get(&server, "times").text.starts_with("1 127.0.0.1"));
    let page = last.get(&server, "login?user=alice&remember=1");
    assert_eq!(page.text, "alice 1 1");
    assert!(page.set_cookie.unwrap().contains("Max-Age=2592000"));
    assert_eq!(last.get(&server, "logout").text, "1");
    assert_eq!(last.get(&server, "user").text, "nobody 0");
    let page = last.get(&server, "expire");
    assert!(page.set_cookie.unwrap().contains("Max-Age=0"));
}

/// Code that uses stdio.h has imports of WASI preview 1, which `session3 encode` provides.
#[test]
fn an_application_may_use_stdio_and_has_no_files() {
    let (place, server) = serve(&["--max-instances", "1", "--max-instance-reuse", "100"]);
    for number in 0..3 {
        let page = get(&server, &format!("print?text=line{number}"));
        assert_eq!(page.text, format!("1.500 line{number} 0"));
        place.wait_for(&format!("the application says: out: 1.500 line{number}"));
        place.wait_for(&format!("the application says: err: 1.500 line{number}"));
        // The state of stdio.h is not in the memory of a request.
        get(&server, "memory?kib=200");
    }
    assert_eq!(get(&server, "uses").text, "7");
}

/// The memory of an instance does not grow with the requests that it has served, and holds
/// nothing of them.
#[test]
fn the_memory_of_a_request_is_clear_and_used_again() {
    let (_place, server) = serve(&["--max-instances", "1", "--max-instance-reuse", "1000"]);
    let mut browser = Browser::new();
    browser.get(&server, "set");
    let look = |kib: usize| get(&server, &format!("memory?kib={kib}")).text;
    assert!(look(4000).starts_with("0 "));
    let before = look(4000);
    for round in 0..50 {
        // From one page of the default block to many blocks.
        assert!(look(1 << (round % 12)).starts_with("0 "));
        browser.get(&server, "get");
        browser.get(&server, "login?user=alice");
        let form = browser.get(&server, "form");
        browser.send(&server, &form, "form", &[("message", "hello")]);
        browser.get(&server, "flashes");
        browser.get(&server, "sessions");
        browser.get(&server, "fail?what=text");
    }
    assert_eq!(look(4000), before, "the memory is used again");
    // All of that was served by one instance.
    assert_eq!(
        get(&server, "uses").text,
        (1 + 2 + 50 * 8 + 1 + 1).to_string()
    );
}

/// An instance may have 20,000 handles, so one that is left of each request ends it.
#[test]
fn no_handle_is_left_of_a_request() {
    let arguments = ["--max-instances", "1", "--max-instance-reuse", "100000"];
    let (_place, server) = serve(&arguments);
    let mut browser = Browser::new();
    browser.get(&server, "set");
    for _ in 0..20_100 {
        assert_eq!(browser.get(&server, "user").text, "nobody 0");
    }
    assert_eq!(get(&server, "uses").text, "20102");
}

/// Fifty users at once, in a few instances that serve one request after another.
#[test]
fn users_share_instances_and_nothing_else() {
    // Four times as many requests wait, so all users have room.
    let arguments = ["--max-instances", "10", "--max-instance-reuse", "1000"];
    let (_place, server) = serve(&arguments);
    let cookies: HashSet<_> = thread::scope(|scope| {
        let users: Vec<_> = (0..50)
            .map(|user| {
                let server = &server;
                scope.spawn(move || {
                    let mut browser = Browser::new();
                    let mut before = "nothing".to_owned();
                    for round in 0..6 {
                        let value = format!("value-{user}-{round}");
                        let page = browser.get(server, &format!("swap?value={value}"));
                        assert_eq!(page.text, before);
                        assert_eq!(browser.get(server, "fail?what=nan").status, 400);
                        before = value;
                    }
                    assert_eq!(get(server, "swap?value=x").text, "nothing");
                    browser.cookie
                })
            })
            .collect();
        users.into_iter().map(|user| user.join().unwrap()).collect()
    });
    assert_eq!(cookies.len(), 50);
    let uses = get(&server, "uses").text;
    assert!(uses.parse::<u32>().unwrap() > 1, "{uses}");
}

#[test]
fn what_is_no_module_is_refused_with_advice() {
    let place = Place::new(&FIXTURE);
    place.write("text.wasm", b"text");
    place.write("empty.wasm", b"\0asm\x01\0\0\0");
    // A module whose description is damaged.
    let damaged = [&b"\0asm\x01\0\0\0\0\x0f\x0ecomponent-type"[..]].concat();
    place.write("damaged.wasm", &damaged);
    for (name, why) in [
        ("application.wasm", "it is no WebAssembly module"),
        ("text.wasm", "it is no WebAssembly module"),
        ("empty.wasm", "link the object file"),
        ("damaged.wasm", "it cannot be encoded as a component"),
        ("missing.wasm", "cannot be read"),
    ] {
        let mut command = session3();
        command.args(["encode", name, "--output", "encoded.wasm"]);
        let output = command.current_dir(place.path("")).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("session3: {name}: ")), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(!place.path("encoded.wasm").exists());
    }
}

/// A call of a function that computes with memory only.
struct Call(Vec<u8>);

impl Call {
    fn new(function: u8) -> Self {
        Self(vec![function])
    }

    fn number(mut self, number: usize) -> Self {
        self.0.extend(u32::try_from(number).unwrap().to_le_bytes());
        self
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self = self.number(bytes.len());
        self.0.extend(bytes);
        self
    }
}

/// Calls with random arguments, and what they must return.
struct Calls {
    dice: Dice,
    calls: Vec<u8>,
    expected: Vec<Vec<u8>>,
}

impl Calls {
    /// Returns random bytes, with many of those that mean something.
    fn bytes(&mut self, frequent: &[u8], longest: usize) -> Vec<u8> {
        let length = self.dice.below(longest + 1);
        let byte = |dice: &mut Dice| match dice.percent(80) {
            true => *dice.pick(frequent),
            false => dice.roll() as u8,
        };
        (0..length).map(|_| byte(&mut self.dice)).collect()
    }

    /// Returns random bytes without a NUL.
    fn text(&mut self, frequent: &[u8], longest: usize) -> Vec<u8> {
        let mut text = self.bytes(frequent, longest);
        text.retain(|byte| *byte != 0);
        text
    }

    fn expect(&mut self, call: Call, expected: Vec<u8>) {
        self.calls.extend(call.0);
        self.expected.push(expected);
    }

    fn utf8(&mut self) {
        let frequent = b"a\x7f\x80\xbf\xc2\xdf\xe0\xa0\xed\x9f\xef\xf0\x90\xf4\x8f";
        let bytes = self.bytes(frequent, 8);
        let is_utf8 = std::str::from_utf8(&bytes).is_ok();
        let call = Call::new(b'u').bytes(&bytes).bytes(b"");
        self.expect(call, said(&[if is_utf8 { b"1" } else { b"0" }]));
    }

    fn percent(&mut self) {
        let bytes = self.bytes(b"%%%0123cCfF+aZ", 24);
        let decoded: Vec<u8> = percent_decode(&bytes).collect();
        let call = Call::new(b'd').bytes(&bytes).bytes(b"");
        let text = c_string(&decoded);
        self.expect(call, optional(text));
    }

    fn form(&mut self) {
        let form = self.bytes(b"&&==ab%6162+", 40);
        let name = self.text(b"ab ", 2);
        let mut expected = Vec::new();
        let fields = form.split(|byte| *byte == b'&');
        for field in fields.filter(|field| !field.is_empty()) {
            let mut parts = field.splitn(2, |byte| *byte == b'=');
            let own = form_decoded(parts.next().unwrap_or_default());
            let value = form_decoded(parts.next().unwrap_or_default());
            if let (true, Some(value)) = (own == name, c_string(&value)) {
                expected.extend(said(&[value]));
            }
        }
        self.expect(Call::new(b'v').bytes(&form).bytes(&name), expected);
    }

    fn cookie(&mut self) {
        let cookies = self.text(b"ab==;; \"", 24);
        let name = self.text(b"ab", 2);
        let is_space = |byte: &u8| b"; \t".contains(byte);
        let pairs = cookies.split(|byte| *byte == b';').map(|pair| {
            let start = pair.iter().position(|byte| !is_space(byte));
            &pair[start.unwrap_or(pair.len())..]
        });
        let values = pairs.filter_map(|pair| pair.strip_prefix(&name[..])?.strip_prefix(b"="));
        let value = values.map(<[u8]>::to_vec).next();
        let call = Call::new(b'c').bytes(&cookies).bytes(&name);
        self.expect(call, optional(value.as_deref()));
    }

    fn escape(&mut self) {
        let text = self.text(b"<>&\"'a;", 16);
        let mut escaped = b"<".to_vec();
        for byte in &text {
            match byte {
                b'&' => escaped.extend(b"&amp;"),
                b'<' => escaped.extend(b"&lt;"),
                b'>' => escaped.extend(b"&gt;"),
                b'"' => escaped.extend(b"&quot;"),
                b'\'' => escaped.extend(b"&#39;"),
                other => escaped.push(*other),
            }
        }
        escaped.push(b'>');
        self.expect(Call::new(b'e').bytes(&text).bytes(b""), said(&[&escaped]));
    }

    fn numbers(&mut self) {
        // As often small as large, and the smallest.
        let shift = self.dice.below(64);
        let number = match self.dice.percent(5) {
            true => i64::MIN,
            false => self.dice.roll() as i64 >> shift,
        };
        let (small, natural) = (number as i32, number as u64);
        let text = format!(
            "{small} {small} {} {number} {natural} {number} {natural} {number} {natural} %",
            small as u32
        );
        let call = Call::new(b'n').bytes(&number.to_le_bytes()).bytes(b"");
        self.expect(call, said(&[text.as_bytes()]));
    }

    fn allowed(&mut self) {
        let names: [&[u8]; 4] = [b"", b"X-Test", b"host", b"Transfer-encoding"];
        let name = match self.dice.percent(50) {
            true => self.dice.pick(&names).to_vec(),
            false => self.text(b"aZ-_~ :\n", 4),
        };
        let value = self.text(b"a \t\n\r\x7f\xff", 4);
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        let is_reserved =
            [&b"host"[..], b"transfer-encoding"].contains(&&name.to_ascii_lowercase()[..]);
        let is_allowed = !name.is_empty()
            && name.iter().all(is_token)
            && !is_reserved
            && !value
                .iter()
                .any(|byte| byte.is_ascii_control() && *byte != b'\t');
        let call = Call::new(b'a').bytes(&name).bytes(&value);
        self.expect(call, said(&[if is_allowed { b"1" } else { b"0" }]));
    }

    /// The headers of a commit join those of a page by the rule that all of session3 uses.
    fn merge(&mut self) {
        const DIRECTIVES: [&str; 8] = [
            "no-store",
            "private",
            "Private",
            "public",
            "max-age=60",
            "private=\"x\"",
            "",
            "NO-STORE",
        ];
        let mut own = Vec::new();
        for _ in 0..self.dice.below(4) {
            let name = *self
                .dice
                .pick(&["Cache-Control", "cache-control", "Vary", "X-Test"]);
            let count = self.dice.below(4);
            let directives: Vec<_> = (0..count).map(|_| *self.dice.pick(&DIRECTIVES)).collect();
            own.push((name, directives.join(*self.dice.pick(&[",", ", ", " ,\t"]))));
        }
        let mut committed = Vec::new();
        if self.dice.percent(50) {
            committed.push(("Set-Cookie", "a=b".to_owned()));
        }
        let session = *self.dice.pick(&["no-store", "private"]);
        if self.dice.percent(80) {
            committed.push(("Cache-Control", session.to_owned()));
            committed.push(("Vary", "Cookie".to_owned()));
        }
        let mut call = Call::new(b'm').number(own.len()).number(committed.len());
        for (name, value) in own.iter().chain(&committed) {
            call = call.bytes(name.as_bytes()).bytes(value.as_bytes());
        }
        self.expect(call, merged(own, committed));
    }
}

fn merged<'a>(mut own: Vec<(&'a str, String)>, committed: Vec<(&'a str, String)>) -> Vec<u8> {
    let sets_cookie = committed.iter().any(|(name, _)| *name == "Set-Cookie");
    for (name, value) in committed {
        if name != "Cache-Control" {
            own.push((name, value));
            continue;
        }
        let is_it = |(other, _): &(&str, String)| other.eq_ignore_ascii_case(name);
        let values: Vec<_> = own.iter().filter(|header| is_it(header)).collect();
        let values: Vec<_> = values.iter().map(|(_, value)| value.as_bytes()).collect();
        let single = cache_control(&values, value.as_bytes(), sets_cookie).to_vec();
        own.retain(|header| !is_it(header));
        own.push((name, String::from_utf8(single).unwrap()));
    }
    let parts = own.iter().flat_map(|(name, value)| [*name, value]);
    let parts: Vec<_> = parts.map(str::as_bytes).collect();
    said(&parts)
}

/// Returns texts with a NUL after each.
fn said(texts: &[&[u8]]) -> Vec<u8> {
    texts
        .iter()
        .flat_map(|text| [text, &b"\0"[..]].concat())
        .collect()
}

fn optional(text: Option<&[u8]>) -> Vec<u8> {
    text.map_or(b"0".to_vec(), |text| [b"1", &said(&[text])[..]].concat())
}

/// Returns bytes that the package returns as a C string.
fn c_string(bytes: &[u8]) -> Option<&[u8]> {
    let is_text = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
    is_text.then_some(bytes)
}

fn form_decoded(bytes: &[u8]) -> Vec<u8> {
    let spaces: Vec<_> = bytes
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    percent_decode(&spaces).collect()
}

/// Runs 80,000 random calls natively, where the sanitizers of the C compiler watch each access
/// to memory, and compares the results with those of Rust.
#[test]
fn what_computes_with_memory_only_is_right_and_stays_in_its_memory() {
    let seed = seed();
    println!("SEED={seed}");
    let mut calls = Calls {
        dice: Dice::new(seed),
        calls: Vec::new(),
        expected: Vec::new(),
    };
    for _ in 0..10_000 {
        calls.utf8();
        calls.percent();
        calls.form();
        calls.cookie();
        calls.escape();
        calls.numbers();
        calls.allowed();
        calls.merge();
    }
    let results = run_natively(calls.calls);
    let mut rest = &results[..];
    for (number, expected) in calls.expected.iter().enumerate() {
        let (length, more) = rest.split_first_chunk().expect("the program ended early");
        let (result, more) = more.split_at(u32::from_le_bytes(*length) as usize);
        assert_eq!(
            String::from_utf8_lossy(result),
            String::from_utf8_lossy(expected),
            "SEED={seed}, call {number}"
        );
        assert_eq!(result, expected, "SEED={seed}, call {number}");
        rest = more;
    }
    assert!(rest.is_empty());
}

fn run_natively(calls: Vec<u8>) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let program = directory.path().join("pure");
    let mut compile = Command::new("cc");
    compile
        .current_dir(ROOT)
        .args(["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror"])
        // The driver does not use all that the other half of the file does.
        .arg("-Wno-unused-function")
        .args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"])
        .args(["-I", "guest/c", "tests/fixtures/c/pure.c", "-o"]);
    assert!(compile.arg(&program).status().unwrap().success());
    let mut child = Command::new(program)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        // If the program has ended, its status says so below.
        let _ = input.write_all(&calls);
    });
    let mut results = Vec::new();
    let mut output = child.stdout.take().unwrap();
    output.read_to_end(&mut results).unwrap();
    writer.join().unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "{status}");
    results
}
