//! `session3 serve --config`: a file with the options of the command.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use session3_components::DEMO;
use session3_test_fixtures::{GUEST, SITE};
use session3_test_program::{Browser, Demo, between, session3};
use session3_test_support::wait_until;
use tempfile::TempDir;

use crate::place::get;

/// A directory with applications, static files and the file `shop.toml`.
struct Place(TempDir);

/// Options with which the server starts.
const SHOP: &str = "\
[serve]
application = \"site.wasm\"
grant = [\"admin\"]
store = \"sessions\"
static = [\"public::/files\"]
access-log = true
port = 0
max-memory = 32

[policy.cookie]
max-age = 600
";

impl Place {
    fn new(configuration: &str) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        place.write("site.wasm", SITE);
        place.write("guest.wasm", GUEST);
        place.write("demo.wasm", DEMO);
        place.configure(configuration);
        fs::create_dir(place.path("public")).unwrap();
        place.write("public/a.txt", b"a file");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn configure(&self, text: &str) {
        self.write("shop.toml", text.as_bytes());
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = session3();
        command
            .current_dir(&self.0)
            .args(["serve", "--config", "shop.toml"])
            .args(arguments);
        command
    }

    fn serve(&self, arguments: &[&str]) -> Demo {
        let log = fs::File::create(self.path("log")).unwrap();
        Demo::run_as_it_is(self.command(arguments).stderr(log))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.log().contains(text));
    }

    /// Runs the command, which must fail. Returns its one line on standard error.
    fn refusal(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = text_of(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        said
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn check(place: &Place) -> Output {
    place.command(&["--check"]).output().unwrap()
}

/// Returns the names of the options in the help of `session3 serve`, without dashes.
fn options() -> Vec<String> {
    let help = session3().args(["serve", "--help"]).output().unwrap();
    let help = text_of(&help.stdout);
    let lines = help.lines().map(str::trim_start);
    let options = lines.filter_map(|line| {
        let line = line.strip_prefix("-h, ").unwrap_or(line);
        let option = line.strip_prefix("--")?;
        Some(option.split([' ', '<']).next()?.to_owned())
    });
    options.collect()
}

/// A value of a type that no option has shows whether the file may have the option.
#[test]
fn every_option_of_the_help_can_be_set() {
    let place = Place::new("");
    let options = options();
    assert!(options.len() > 35, "{options:?}");
    for option in options {
        place.configure(&format!("[serve]\n{option} = 2026-01-01\n"));
        let said = place.refusal(&["--check"]);
        let expected = match option.as_str() {
            "config" | "check" => format!("{option} cannot be set in a file: "),
            "help" => "unknown key help: ".into(),
            option => format!("{option} takes "),
        };
        let expected = format!("session3: shop.toml:2: {expected}");
        assert!(said.starts_with(&expected), "{said}");
    }
}

#[test]
fn a_file_can_have_all_that_a_server_needs() {
    let place = Place::new(SHOP);
    let server = place.serve(&[]);
    let page = get(&server, "visit");
    assert_eq!(page.text, "1");
    let cookie = page.set_cookie.unwrap();
    assert!(cookie.contains("; Max-Age=600"), "{cookie}");
    assert_eq!(get(&server, "files/a.txt").text, "a file");
    place.wait_for("path=/visit}: answered status=200");
    assert!(place.path("sessions").is_dir());
    assert_eq!(get(&server, "memory/32").status, 500);
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn the_command_line_wins_over_the_file() {
    // --port contradicts `listen`, and --static replaces the whole list.
    let (options, _) = SHOP.split_once("[policy").unwrap();
    let listen = options.replace("port = 0", "listen = [\"unix:socket\"]");
    let place = Place::new(&listen);
    let arguments = [
        "guest.wasm",
        "--port",
        "0",
        "--static",
        "public::/other",
        "--max-memory",
        "64",
    ];
    let server = place.serve(&arguments);
    assert!(!place.path("socket").exists());
    for (path, text) in [
        ("visit", "fine"),
        ("other/a.txt", "a file"),
        ("files/a.txt", "fine"),
        ("memory/32", "fine"),
    ] {
        assert_eq!(get(&server, path).text, text, "{path}");
    }
    place.wait_for("path=/visit}: answered status=200");
}

#[test]
fn an_environment_variable_wins_over_the_file() {
    let text = "[serve]\napplication = \"site.wasm\"\nstore = \"redis://127.0.0.1:1\"\n\
                password-file = \"of-file\"\n";
    let place = Place::new(text);
    let said = place.refusal(&["--check"]);
    assert!(
        said.contains("the password file of-file: cannot be read"),
        "{said}"
    );
    let mut command = place.command(&["--check"]);
    let output = command
        .env("SESSION3_STORE_PASSWORD_FILE", "of-environment")
        .output();
    let said = text_of(&output.unwrap().stderr);
    assert!(
        said.contains("the password file of-environment: "),
        "{said}"
    );
}

#[test]
fn what_is_wrong_in_the_file_is_one_line_with_its_place() {
    let place = Place::new("");
    for (from, to, expected) in [
        (
            "max-memory",
            "max-memry",
            "8: unknown key max-memry: did you mean max-memory?",
        ),
        (
            "32",
            "\"32\"",
            "8: max-memory takes a whole number, without quotes, and",
        ),
        (
            "32",
            "0",
            "8: max-memory: invalid value '0' for '--max-memory <MIB>': 0 is not in",
        ),
        ("true", "\"yes\"", "6: access-log takes true or false, and"),
        (
            "[\"public::/files\"]",
            "\"public\"",
            "5: static takes a list of texts",
        ),
        (
            "port = 0",
            "durability = \"dsk\"",
            "7: durability: invalid value 'dsk' for",
        ),
        (
            "port = 0",
            "metrics = \"x\"",
            "7: metrics: invalid value 'x' for",
        ),
        (
            "port = 0",
            "port = 0\nlisten = [\"127.0.0.1:0\"]",
            "8: listen: the argument",
        ),
        (
            "port = 0",
            "allow-outbound = [\n\"a.example\",\n\"//\"]",
            "9: allow-outbound: invalid value '//'",
        ),
        ("max-age", "max-aged", "11: unknown key `max-aged`"),
        (
            "[serve]",
            "idle-timeout = 5\n[serve]",
            "1: unknown key `idle-timeout`",
        ),
        ("[serve]", "[serve", "1: "),
    ] {
        assert!(SHOP.contains(from), "{from}");
        place.configure(&SHOP.replacen(from, to, 1));
        let expected = format!("session3: shop.toml:{expected}");
        for arguments in [&["--check"][..], &[]] {
            let said = place.refusal(arguments);
            assert!(said.starts_with(&expected), "{said}\n{expected}");
        }
    }
    place.configure("[serve]\nstore = \"sessions\"\n");
    let said = place.refusal(&[]);
    assert!(
        said.contains("were not provided: <APPLICATION>: set them in [serve]"),
        "{said}"
    );
    fs::remove_file(place.path("shop.toml")).unwrap();
    assert!(
        place
            .refusal(&[])
            .starts_with("session3: shop.toml: cannot be read")
    );
}

#[test]
fn an_error_of_the_command_line_is_not_blamed_on_the_file() {
    let place = Place::new(SHOP);
    for (arguments, expected) in [
        (
            &["--max-memory", "0"][..],
            "invalid value '0' for '--max-memory <MIB>'",
        ),
        (&["--max-memry", "5"], "unexpected argument '--max-memry'"),
    ] {
        let output = place.command(arguments).output().unwrap();
        let said = text_of(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.starts_with(&format!("session3: {expected}")), "{said}");
    }
}

#[test]
fn a_check_serves_nothing_and_creates_nothing() {
    let place = Place::new(SHOP);
    let output = check(&place);
    assert_eq!(
        (output.status.code(), output.stderr.as_slice()),
        (Some(0), &b""[..])
    );
    assert_eq!(text_of(&output.stdout), "shop.toml: fine\n");
    assert!(!place.path("sessions").exists());

    // Without a file, it checks the command line.
    let mut command = session3();
    command.current_dir(&place.0).args(["serve", "site.wasm"]);
    let output = command
        .args(["--store", "sessions", "--check"])
        .output()
        .unwrap();
    assert_eq!(text_of(&output.stdout), "site.wasm: fine\n");

    for (from, to, expected) in [
        (
            "site.wasm",
            "missing.wasm",
            "missing.wasm: there is no such file",
        ),
        (
            "public",
            "missing",
            "missing: the directory of static files cannot be read",
        ),
        (
            "max-age = 600",
            "max-age = 0",
            "shop.toml: cookie max-age: ",
        ),
        ("port = 0", "tls-cert = \"c\"\ntls-key = \"k\"", "c: "),
        (
            "port = 0",
            "store-component = \"x\"",
            "--store has no effect",
        ),
        ("\"sessions\"", "\"site.wasm\"", "site.wasm"),
    ] {
        assert!(SHOP.contains(from), "{from}");
        place.configure(&SHOP.replacen(from, to, 1));
        let said = place.refusal(&["--check"]);
        assert!(said.contains(expected), "{said}");
    }
}

#[test]
fn sighup_takes_over_the_application_and_the_policy_and_names_what_needs_a_restart() {
    let place = Place::new(SHOP);
    let server = place.serve(&[]);
    assert_eq!(get(&server, "visit").text, "1");
    let changed = SHOP
        .replace("max-memory = 32", "max-memory = 64")
        .replace("access-log = true", "idle-timeout = 9")
        .replace("600", "700");
    place.configure(&changed);
    server.signal("HUP");
    place.wait_for("need a restart: access-log, idle-timeout, max-memory");
    let log = place.log();
    assert!(log.contains("site.wasm was loaded anew"), "{log}");
    assert!(
        log.contains("the session policy of shop.toml was loaded anew"),
        "{log}"
    );
    let cookie = get(&server, "visit").set_cookie.unwrap();
    assert!(cookie.contains("; Max-Age=700"), "{cookie}");
    assert_eq!(get(&server, "memory/32").status, 500);

    place.configure(&SHOP.replace("site.wasm", "demo.wasm"));
    server.signal("HUP");
    place.wait_for("demo.wasm was loaded anew");
    assert!(get(&server, "").text.contains("Counter is at"));
    assert_eq!(place.log().matches("need a restart").count(), 1);
}

#[test]
fn a_bad_file_leaves_everything_as_it_was() {
    let place = Place::new(SHOP);
    let server = place.serve(&[]);
    place.write("site.wasm", DEMO);
    for (from, to, expected) in [
        (
            "max-memory",
            "max-memry",
            "shop.toml:8: unknown key max-memry",
        ),
        ("32", "0", "shop.toml:8: max-memory: invalid value '0'"),
        (
            "application",
            "# application",
            "were not provided: <APPLICATION>",
        ),
        ("600", "0", "shop.toml: cookie max-age: "),
        (
            "[policy.cookie]",
            "[policy.cookies]",
            "shop.toml:10: unknown key `cookies`",
        ),
    ] {
        place.configure(&SHOP.replacen(from, to, 1));
        server.signal("HUP");
        place.wait_for(expected);
        let log = place.log();
        let line = log.lines().find(|line| line.contains(expected)).unwrap();
        assert!(
            line.contains("ERROR") && line.contains("was not loaded anew"),
            "{line}"
        );
    }
    let log = place.log();
    assert_eq!(log.matches("ERROR").count(), 5, "{log}");
    assert!(!log.contains(" was loaded anew"), "{log}");
    assert_eq!(Browser::new().get(&server, "visit").text, "1");
    place.configure(SHOP);
    server.signal("HUP");
    place.wait_for("site.wasm was loaded anew");
    assert!(get(&server, "").text.contains("Counter is at"));
}

/// Other commands read the policy of the same file.
#[test]
fn the_policy_of_a_file_with_options_is_that_of_its_section() {
    let place = Place::new(SHOP);
    let manager = |file: &str, text: &str| {
        place.configure(text);
        let mut command = session3();
        command.current_dir(&place.0).args(["component", "manager"]);
        let status = command.args(["--config", "shop.toml", "-o", file]).status();
        assert!(status.unwrap().success());
        fs::read(place.path(file)).unwrap()
    };
    let sectioned = manager("a.wasm", SHOP);
    let plain = manager("b.wasm", "[cookie]\nmax-age = 600\n");
    let none = manager("c.wasm", "[serve]\nport = 1\n");
    assert!(sectioned == plain && plain != none);
    // A file without a policy is no policy without an effect.
    place.configure("[serve]\nport = 0\nstore = \"sessions\"\nmax-memory = 32\n");
    let server = place.serve(&["guest.wasm"]);
    assert_eq!(get(&server, "").text, "fine");
}

#[test]
fn the_example_of_the_documentation_is_fine() {
    let chapter = include_str!("../../docs/src/operating.md");
    let (_, section) = chapter.split_once("## The configuration file").unwrap();
    let place = Place::new(&between(section, "```toml\n", "```"));
    place.write("shop.wasm", SITE);
    let output = check(&place);
    assert_eq!(text_of(&output.stdout), "shop.toml: fine\n", "{output:?}");

    // The line that the documentation shows for a misspelt key of the example.
    let shown = between(section, "session3: shop.toml:", "\n");
    place.configure(&between(section, "```toml\n", "```").replace("max-memory", "max-memry"));
    let said = place.refusal(&["--check"]);
    assert_eq!(said, format!("session3: shop.toml:{shown}\n"));
}
