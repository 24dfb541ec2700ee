//! The applications of `session3 new`: each is created in an empty directory, with the packages as
//! they are published, built and served by `session3 dev`, and used.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use session3_test_program::{Browser, Demo, Page, between, session3, target_directory};
use session3_test_support::files;
use tempfile::TempDir;

use crate::hosts::with_node;

fn root() -> PathBuf {
    fs::canonicalize(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).unwrap()
}

/// A directory with the packages for each language.
static PACKAGES: LazyLock<PathBuf> = LazyLock::new(|| {
    let packages = target_directory().join("tmp/packages");
    fs::create_dir_all(&packages).unwrap();
    for script in ["tools/package-python", "tools/package-javascript"] {
        run(with_node(root().join(script).to_str().unwrap()).arg(&packages));
    }
    let name = format!("session3-guest-c-{}.tar.gz", env!("CARGO_PKG_VERSION"));
    let archive = root().join("target/package").join(&name);
    fs::copy(archive, packages.join(&name)).expect("the package for C: run make guests");
    pack_crates(&packages);
    packages
});

/// Unpacks the crates that an application in Rust needs, as `cargo publish` would upload them.
fn pack_crates(packages: &Path) {
    let crates = ["session3-guest", "session3-store"];
    let mut cargo = Command::new("cargo");
    cargo.args([
        "package",
        "--quiet",
        "--locked",
        "--allow-dirty",
        "--no-verify",
    ]);
    cargo.args(crates.map(|name| format!("--package={name}")));
    run(cargo.current_dir(root()));
    for name in crates {
        let file = format!("target/package/{name}-{}.crate", env!("CARGO_PKG_VERSION"));
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--gzip", "--file"])
            .arg(root().join(file));
        run(tar.current_dir(packages));
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

/// An application that was created.
struct Project {
    directory: TempDir,
    port: u16,
}

impl Project {
    /// Creates an application, whose server will use a free port.
    fn new(lang: &str, framework: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = session3();
        command
            .args([
                "new",
                "notes",
                "--lang",
                lang,
                "--framework",
                framework,
                "--packages",
            ])
            .arg(&*PACKAGES)
            .current_dir(&directory);
        run(&mut command);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let project = Self { directory, port };
        project.replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"));
        project
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("notes")
    }

    /// Replaces a text in all files.
    fn replace(&self, from: &str, to: &str) {
        for file in files(&self.path()) {
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, text.replace(from, to)).unwrap();
        }
    }

    /// Adds to the environment of a command what finds the tools of each language.
    fn with_tools(&self, mut command: Command) -> Command {
        let program = session3().get_program().to_owned();
        let programs = Path::new(&program).parent().unwrap().display().to_string();
        let node = root().join("target/guests/javascript/venv/bin");
        let path = std::env::var("PATH").unwrap();
        let wheels = root().join("target/guests/python/wheels");
        command
            .env("PATH", format!("{programs}:{}:{path}", node.display()))
            .env("PIP_NO_INDEX", "1")
            .env("PIP_FIND_LINKS", wheels)
            .env("npm_config_prefer_offline", "true")
            // Applications in Rust share what they depend on.
            .env("CARGO_TARGET_DIR", root().join("target/guests/rust"))
            .current_dir(self.path());
        for (name, value) in session3().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        command
    }

    /// Builds and serves the application.
    fn serve(&self, options: &[&str]) -> Demo {
        let mut command = self.with_tools(session3());
        command.args(["dev", ".", "--port", &self.port.to_string()]);
        Demo::run_as_it_is(command.args(options))
    }

    /// Runs the application's own tests.
    fn test(&self, command: &str) {
        let mut shell = self.with_tools(Command::new("sh"));
        run(shell.args(["-euc", command]));
    }
}

/// Checks that a page sends the browser back to another one.
fn goes_to(page: &Page, path: &str) {
    let location = page.location.as_deref();
    assert_eq!((page.status, location), (303, Some(path)), "{}", page.text);
}

fn log_in(browser: &mut Browser, server: &Demo, password: &str, more: &[(&str, &str)]) -> Page {
    let form = browser.get(server, "");
    let fields = [&[("user", "ann"), ("password", password)][..], more].concat();
    browser.send(server, &form, "/login", &fields)
}

/// What a user does with each of the applications.
fn use_it(server: &Demo) {
    let mut browser = Browser::new();
    goes_to(&browser.get(server, "devices"), "/");
    goes_to(&log_in(&mut browser, server, "wrong", &[]), "/");
    assert!(
        browser
            .get(server, "")
            .text
            .contains("This is not the password.")
    );
    assert!(
        !browser
            .get(server, "")
            .text
            .contains("This is not the password.")
    );
    let before = browser.cookie.clone();
    let page = log_in(&mut browser, server, "lovelace", &[("remember", "on")]);
    goes_to(&page, "/");
    let cookie = page.set_cookie.unwrap();
    assert!(cookie.contains("; Max-Age="), "{cookie}");
    assert_ne!(browser.cookie, before, "a log-in replaces the token");
    keep_notes(&mut browser, server);
    see_devices(&mut browser, server);
    let page = browser.get(server, "");
    goes_to(&browser.send(server, &page, "/logout", &[]), "/");
    assert!(browser.get(server, "").text.contains("Log in"));
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

/// Builds, serves and uses an application, with another server that may be called and with one
/// that may not.
fn works(project: &Project) {
    let server = project.serve(&[]);
    use_it(&server);
    let mut browser = Browser::new();
    log_in(&mut browser, &server, "lovelace", &[]);
    let page = browser.get(&server, "quote");
    let quote = between(&page.text, "<blockquote>", "</blockquote>");
    assert!(quote.contains("Memory is the thing"), "{quote}");
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

/// Lets an application in Rust be built without the target wasm32-wasip2, which only rustup
/// installs.
fn build_without_wasip2(project: &Project) {
    let build = root().join("tests/program/build-rust.sh");
    project.replace(
        "cargo build --quiet --release --target wasm32-wasip2",
        &format!("sh {} app.wasm", build.display()),
    );
    project.replace("target/wasm32-wasip2/release/application.wasm", "app.wasm");
}

#[test]
fn an_application_in_rust_works() {
    let project = Project::new("rust", "none");
    build_without_wasip2(&project);
    works(&project);
    project.test("sh test.sh");
}

#[test]
#[ignore = "takes long: make test-docs"]
fn an_application_with_wstd_works() {
    let project = Project::new("rust", "wstd");
    build_without_wasip2(&project);
    works(&project);
    project.test("sh test.sh");
}
