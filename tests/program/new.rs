//! `session3 new`: each application is written from packages as they are published, built and
//! served by `session3 dev`, and used over HTTP.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use session3_test_program::writing::{C, JAVASCRIPT, PYTHON, Template, succeeds, with_tools};
use session3_test_program::{Browser, Demo, Page, session3};

use crate::neighbour::Neighbour;

/// How long a build may take while others run.
const LONGEST_BUILD: Duration = Duration::from_mins(5);

/// The text of the other server.
const QUOTE: &str = "Keep it <simple>.";

const FLASK: Template = Template {
    options: &["--framework", "flask"],
    ..PYTHON
};

const HONO: Template = Template {
    options: &["--framework", "hono"],
    source: "src/routes.js",
    ..JAVASCRIPT
};

#[test]
fn an_application_in_python() {
    check(&PYTHON);
}

#[test]
#[ignore = "make test-docs"]
fn an_application_in_python_with_flask() {
    check(&FLASK);
}

#[test]
fn an_application_in_javascript() {
    check(&JAVASCRIPT);
}

#[test]
#[ignore = "make test-docs"]
fn an_application_in_javascript_with_hono() {
    check(&HONO);
}

#[test]
fn an_application_in_c() {
    check(&C);
}

/// Uses an application, changes it, and runs its own tests.
fn check(template: &Template) {
    let quotes = Neighbour::start(QUOTE);
    let directory = tempfile::tempdir().unwrap();
    let shop = template.write(directory.path());
    let allowed = ["--allow-outbound", &quotes.authority];
    let server = Template::serve(directory.path(), &allowed);
    Person::new(&server).uses_the_application();

    let mut person = Person::new(&server);
    person.logs_in(&[]);
    let page = person.gets("quote");
    assert!(page.text.contains("allowed"), "{}", page.text);
    let url = format!("http://{}/", quotes.authority);
    set_quote_url(&shop.join(template.source), &url);
    let deadline = Instant::now() + LONGEST_BUILD;
    while !person
        .gets("quote")
        .text
        .contains("Keep it &lt;simple&gt;.")
    {
        assert!(Instant::now() < deadline, "the change is not served");
        thread::sleep(Duration::from_millis(500));
    }
    let request = quotes.requests.recv().unwrap();
    assert!(request.starts_with("GET / "), "{request}");

    let mut tests = with_tools(Command::new("sh"));
    succeeds(tests.args(["-c", template.tests]).current_dir(&shop));
}

/// Replaces the URL of the other server in a source.
fn set_quote_url(source: &Path, url: &str) {
    let text = fs::read_to_string(source).unwrap();
    let default = "https://api.github.com/zen";
    assert!(text.contains(default), "{text}");
    fs::write(source, text.replace(default, url)).unwrap();
}

/// A person who uses an application.
struct Person<'a> {
    server: &'a Demo,
    browser: Browser,
}

impl<'a> Person<'a> {
    fn new(server: &'a Demo) -> Self {
        let browser = Browser::new();
        Self { server, browser }
    }

    fn gets(&mut self, page: &str) -> Page {
        let got = self.browser.get(self.server, page);
        assert_eq!(got.status, 200, "{page}: {got:?}");
        got
    }

    /// Submits the first form with this action on a page, and returns the response, which
    /// leads to the page `next`, and that page.
    fn submits(
        &mut self,
        page: &str,
        action: &str,
        fields: &[(&str, &str)],
        next: &str,
    ) -> (Page, String) {
        let form = self.gets(page);
        let response = self.browser.send(self.server, &form, action, fields);
        assert_eq!(response.status, 303, "{action}: {response:?}");
        let expected = format!("/{next}");
        assert_eq!(response.location.as_deref(), Some(&*expected));
        (response, self.gets(next).text)
    }

    fn logs_in(&mut self, more: &[(&str, &str)]) -> (Page, String) {
        let fields = [("name", "ann"), ("password", "secret-of-ann")];
        let (response, text) = self.submits("", "/login", &[&fields, more].concat(), "");
        assert!(text.contains("Notes of ann"), "{text}");
        (response, text)
    }

    fn is_logged_out(&mut self) -> bool {
        self.gets("").text.contains("name=\"password\"")
    }

    fn uses_the_application(mut self) {
        self.sees_pages_as_they_should_be();
        self.needs_the_password();
        self.keeps_notes();
        self.is_protected_against_forms_of_others();
        self.ends_other_devices();
        self.logs_out();
    }

    fn sees_pages_as_they_should_be(&mut self) {
        let page = self.gets("");
        assert_eq!(page.values("content-type").len(), 1);
        assert!(page.values("content-type")[0].starts_with("text/html"));
        let policy = page.values("content-security-policy").concat();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        assert!(page.text.contains("shop</title>"), "{}", page.text);
        assert!(!page.text.contains("<script"), "{}", page.text);
        assert!(self.gets("style.css").text.contains("prefers-color-scheme"));
        assert_eq!(self.browser.head(self.server, "").status, 200);
        let missing = self.browser.get(self.server, "nowhere");
        assert_eq!(missing.status, 404);
        assert!(
            missing.text.contains("There is no such page."),
            "{missing:?}"
        );
    }

    fn needs_the_password(&mut self) {
        for (name, password) in [
            ("ann", "secret-of-ben"),
            ("ann", "secret-of-ann "),
            ("ann", ""),
            ("eve", ""),
            ("", ""),
        ] {
            let fields = [("name", name), ("password", password)];
            let (_, text) = self.submits("", "/login", &fields, "");
            assert!(text.contains("There is no user"), "{name}: {text}");
            assert!(self.is_logged_out(), "{name}");
        }
        for page in ["devices", "quote"] {
            let page = self.browser.get(self.server, page);
            assert_eq!((page.status, page.location.as_deref()), (303, Some("/")));
        }
        let before = self.browser.cookie.clone();
        let (response, text) = self.logs_in(&[]);
        let cookie = response.set_cookie.unwrap();
        assert!(
            cookie.contains("HttpOnly") && !cookie.contains("Max-Age"),
            "{cookie}"
        );
        assert_ne!(self.browser.cookie, before);
        assert!(text.contains("Hello ann!"), "{text}");
        assert!(
            !self.gets("").text.contains("Hello ann!"),
            "it is shown once"
        );
    }

    fn keeps_notes(&mut self) {
        assert!(self.gets("").text.contains("There is no note yet."));
        for note in ["Bread &amp; <b>butter", "Grüße\r\n  日本", "🎈"] {
            let (_, text) = self.submits("", "/notes", &[("text", note)], "");
            assert!(text.contains("The note was added."), "{text}");
        }
        let text = self.gets("").text;
        assert!(!text.contains("The note was added."), "it is shown once");
        for shown in ["Bread &amp;amp; &lt;b&gt;butter", "Grüße", "  日本", "🎈"] {
            assert!(text.contains(shown), "{shown} is missing in {text}");
        }
        let (_, text) = self.submits("", "/notes", &[("text", " \r\n ")], "");
        assert!(text.contains("A note needs a text."), "{text}");
        let long = "ü".repeat(600);
        let (_, text) = self.submits("", "/notes", &[("text", &long)], "");
        assert!(
            text.contains(&long[..1000]) && !text.contains(&long[..1002]),
            "{text}"
        );
        // The newest note comes first.
        let (_, text) = self.submits("", "/notes/delete", &[], "");
        assert!(text.contains("The note was deleted."), "{text}");
        assert!(!text.contains("üü") && text.contains("Bread"), "{text}");
    }

    fn is_protected_against_forms_of_others(&mut self) {
        let foreign = Browser::new().get(self.server, "");
        for action in ["/login", "/login?csrf=", "/notes"] {
            let mut page = self.gets("");
            let token = page.hidden_fields("/notes").remove(0).1;
            let other = foreign.hidden_fields("/login").remove(0).1;
            page.text = page.text.replace(&token, &other);
            page.text += &page.text.replace("\"/notes\"", &format!("\"{action}\""));
            let fields = [
                ("text", "Forged"),
                ("name", "ben"),
                ("password", "secret-of-ben"),
            ];
            let refused = self.browser.send(self.server, &page, action, &fields);
            assert_eq!(refused.status, 403, "{action}: {refused:?}");
            assert!(
                refused.text.contains("This form is too old."),
                "{refused:?}"
            );
        }
        let text = self.gets("").text;
        assert!(
            text.contains("Notes of ann") && !text.contains("Forged"),
            "{text}"
        );
    }

    fn ends_other_devices(&mut self) {
        let mut others = [Person::new(self.server), Person::new(self.server)];
        for other in &mut others {
            let (response, _) = other.logs_in(&[("remember", "yes")]);
            let cookie = response.set_cookie.unwrap();
            assert!(cookie.contains("Max-Age=2592000"), "{cookie}");
        }
        let text = self.gets("devices").text;
        assert_eq!(text.matches(", last used 20").count(), 3, "{text}");
        assert_eq!(text.matches("This device").count(), 1, "{text}");
        assert!(
            text.contains("ureq") && text.contains("127.0.0.1"),
            "{text}"
        );

        let (_, text) = self.submits("devices", "/devices/end", &[], "devices");
        assert!(text.contains("The device was logged out."), "{text}");
        let ended = others
            .iter_mut()
            .filter_map(|other| other.is_logged_out().then_some(()));
        assert_eq!(ended.count(), 1);
        let (_, text) = self.submits("devices", "/devices/end-others", &[], "devices");
        assert!(
            text.contains("Other devices that were logged out: 1."),
            "{text}"
        );
        for other in &mut others {
            assert!(other.is_logged_out());
        }
        assert!(!self.is_logged_out());
    }

    fn logs_out(&mut self) {
        let mut stolen = Person::new(self.server);
        stolen.browser = self.browser.clone();
        let (response, _) = self.submits("", "/logout", &[], "");
        assert!(response.set_cookie.unwrap().contains("Max-Age=0"));
        assert!(self.is_logged_out() && stolen.is_logged_out());
        let (_, text) = self.logs_in(&[]);
        assert!(text.contains("There is no note yet."), "{text}");
    }
}

/// Runs `session3 new` in a directory that has a file `file` and a directory `full`.
fn refusal(arguments: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("file"), "").unwrap();
    fs::create_dir_all(directory.path().join("full/of")).unwrap();
    let mut command = session3();
    let output = command.arg("new").args(arguments).current_dir(&directory);
    let Output { status, stderr, .. } = output.output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    let entries = fs::read_dir(&directory).unwrap().count();
    assert_eq!(entries, 2, "nothing is written");
    (status.code().unwrap(), said)
}

#[test]
fn what_cannot_be_written_is_one_line_that_says_what_to_do() {
    for (arguments, code, expected) in [
        (
            "full",
            1,
            "full: the directory is not empty: name a new one",
        ),
        (
            "file",
            1,
            "file: there is a file with this name: name a new directory",
        ),
        (
            "none/shop",
            1,
            "there is no directory none: create it first",
        ),
        (
            "-- -x",
            1,
            "\"-x\" is no name for an application: in Python, ",
        ),
        (
            "Shop --lang javascript",
            1,
            "in JavaScript, it begins with a small letter",
        ),
        (
            "flask",
            1,
            "\"flask\" is no name for an application, since it means something else",
        ),
        ("..", 1, "..: name a new directory"),
        ("shop --lang pyton", 2, "'pyton' for '--lang <LANGUAGE>'"),
        ("shop --lang pyton", 2, "a similar value exists: 'python'"),
        (
            "shop --framework flasc",
            2,
            "a similar value exists: 'flask'",
        ),
        (
            "shop --lang c --framework hono",
            2,
            "hono is one for javascript: choose --lang javascript",
        ),
        (
            "shop --packages full",
            1,
            "full/session3_guest-VERSION-py3-none-any.whl: cannot be read: ",
        ),
        ("shop --packages full", 1, "`make package`"),
        (
            "shop --lang javascript --packages full",
            1,
            "full/session3-guest-VERSION.tgz: ",
        ),
        (
            "shop --lang c",
            1,
            "c: no registry has the package session3-guest-c-VERSION.tar.gz",
        ),
        ("shop --lang c", 1, "with --packages"),
    ] {
        let (status, said) = refusal(&arguments.split(' ').collect::<Vec<_>>());
        assert_eq!(status, code, "{said}");
        let expected = expected.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert!(said.contains(&expected), "{expected} is missing in {said}");
    }
}

#[test]
fn without_packages_the_registry_is_named() {
    for (framework, file, requirement) in [
        (
            "flask",
            "requirements.txt",
            "session3-guest[flask]==VERSION\n",
        ),
        ("hono", "package.json", "\"session3-guest\": \"VERSION\""),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let mut command = session3();
        command.args(["new", "shop", "--framework", framework]);
        succeeds(command.current_dir(&directory));
        let shop = directory.path().join("shop");
        let text = fs::read_to_string(shop.join(file)).unwrap();
        let expected = requirement.replace("VERSION", env!("CARGO_PKG_VERSION"));
        assert!(text.contains(&expected), "{text}");
        assert!(!shop.join("packages").exists());
    }
}
