//! Helpers that run the real program as a process, and a client that keeps one cookie.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

pub mod clock;
pub mod project;

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use std::{env, fs, thread};

use session3_test_servers::{mariadb, postgres};
use tempfile::{NamedTempFile, TempPath};
use ureq::Agent;
use ureq::http::{HeaderMap, Response};

/// Returns a command that runs the program, in an environment without the user's files.
pub fn session3() -> Command {
    let mut command = Command::new(&*PROGRAM);
    command
        .env("XDG_CACHE_HOME", target_directory().join("tmp/cache"))
        .env("PGPASSWORD", postgres::PASSWORD)
        .env("MYSQL_PWD", mariadb::PASSWORD);
    command
}

/// The path of the program: `SESSION3` in the environment, or where cargo puts it beside the
/// tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    if let Some(program) = env::var_os("SESSION3") {
        return program.into();
    }
    let program = target_directory().join("session3");
    assert_is_current(&program);
    program
});

/// Returns the directory of cargo's profile, above that of the test programs.
pub fn target_directory() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().to_owned()
}

/// Panics if the program is older than one of its sources, which cargo lists in a file beside
/// it.
fn assert_is_current(program: &Path) {
    let build = "run `cargo build --package session3-cli`, or `make program-for-tests`";
    let sources = fs::read_to_string(program.with_extension("d"));
    let sources = sources.unwrap_or_else(|_| panic!("{} is missing: {build}", program.display()));
    let (_, sources) = sources.split_once(": ").unwrap();
    let modified = |file: &Path| fs::metadata(file).ok()?.modified().ok();
    let built =
        modified(program).unwrap_or_else(|| panic!("{} is missing: {build}", program.display()));
    for source in sources.split_whitespace() {
        let is_newer = modified(Path::new(source)).is_none_or(|source| source > built);
        assert!(
            !is_newer,
            "{} is older than {source}: {build}",
            program.display()
        );
    }
}

/// The demo application, in one of its languages.
#[derive(Clone, Copy, Debug)]
pub enum Application {
    /// The demo in Rust, which `session3 demo` serves.
    Rust,
    /// The demo in Rust with its sessions in the directory `store`, sealed with the key ring of
    /// the file `keys` beside it.
    Sealed,
    /// A component that `make guests` builds, by its file name without `.wasm`.
    Guest(&'static str),
    /// Another server of the same pages, which the function starts on a directory.
    Other(fn(&Path) -> Demo),
    /// An application that keeps its sessions in the store whose URL the function returns. The
    /// URL is another one for each directory.
    Stored(fn(&Path) -> String, &'static Application),
}

impl Application {
    /// Serves the application on a free port, with its sessions in `directory`. `arguments` are
    /// further options of the program; `Other` ignores them.
    pub fn start(self, directory: &Path, arguments: &[&str]) -> Demo {
        let name = match self {
            Self::Rust => return Demo::start_with(directory, arguments),
            Self::Sealed => {
                let keys = keys_in(directory);
                let arguments = [arguments, &["--key-file", &keys]].concat();
                return Demo::start_with(&self.store(directory), &arguments);
            }
            Self::Other(start) => return start(directory),
            Self::Stored(url, application) => {
                return application.start(Path::new(&url(directory)), arguments);
            }
            Self::Guest(name) => name,
        };
        let component = format!("{GUESTS}/{name}.wasm");
        assert!(
            Path::new(&component).exists(),
            "{component} is missing: run make guests"
        );
        let mut command = session3();
        command.args(["serve", &component, "--store"]);
        Demo::run(command.arg(directory).args(arguments))
    }
}

impl Application {
    /// Serves the application as [`start`](Self::start) does, always with `serve`, so that
    /// `arguments` may be all of its options.
    pub fn start_served(self, directory: &Path, arguments: &[&str]) -> Demo {
        let store = self.store(directory);
        match self {
            Self::Rust | Self::Sealed | Self::Stored(_, Self::Rust) => {}
            _ => return self.start(directory, arguments),
        }
        let component = directory.with_extension("wasm");
        let mut command = session3();
        command.args(["component", "demo", "--output"]);
        assert!(command.arg(&component).status().unwrap().success());
        let mut command = session3();
        command
            .arg("serve")
            .arg(&component)
            .args(["--grant", "admin", "--store"]);
        if let Self::Sealed = self {
            command.arg(store).args(["--key-file", &keys_in(directory)]);
        } else {
            command.arg(store);
        }
        Demo::run(command.args(arguments))
    }

    /// Returns the store that an application has whose sessions are in `directory`.
    pub fn store(self, directory: &Path) -> PathBuf {
        match self {
            Self::Stored(url, _) => url(directory).into(),
            Self::Sealed => directory.join("store"),
            _ => directory.into(),
        }
    }

    /// Returns the IDs of the sessions of such an application.
    pub fn sessions(self, directory: &Path) -> Vec<String> {
        let listed = session3().arg("list").arg(self.store(directory)).output();
        let listed = listed.unwrap();
        assert!(listed.status.success(), "{listed:?}");
        let lines = String::from_utf8(listed.stdout).unwrap();
        let lines = lines.lines().skip(1);
        lines.map(|line| line[..32].to_owned()).collect()
    }
}

/// Returns the path of the key ring in a directory, which is made if it is missing.
fn keys_in(directory: &Path) -> String {
    let keys = directory.join("keys");
    if !keys.exists() {
        let mut command = session3();
        let made = command.args(["key", "new"]).arg(&keys).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    keys.to_str().unwrap().to_owned()
}

const GUESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/guests");

/// Returns what a program said on standard error, without the warnings of its log.
pub fn without_warnings(said: &str) -> String {
    let lines = said.split_inclusive('\n');
    lines.filter(|line| !line.contains(" WARN ")).collect()
}

/// A server process, such as `session3 demo`, which is killed when it is dropped.
pub struct Demo {
    child: Child,
    /// The standard error of a server that [`Demo::run_other`] started.
    log: Option<TempPath>,
    /// The lines that the server printed before the one with its address.
    pub greeting: Vec<String>,
    /// The server's address, with a slash at the end.
    pub url: String,
}

impl Demo {
    /// Starts `session3 demo` on a free port, with its sessions in `directory`.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// Starts `session3 demo` on a free port, with further options.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> Self {
        let mut command = session3();
        command.arg("demo").arg(directory);
        Self::run(command.args(arguments))
    }

    /// Starts a server on a free port. The command must take `--port`, and print its address
    /// after `Open `.
    pub fn run(command: &mut Command) -> Self {
        Self::run_as_it_is(command.args(["--port", "0"]))
    }

    /// Starts a server whose command says where it listens, and which prints its address after
    /// `Open `.
    pub fn run_as_it_is(command: &mut Command) -> Self {
        let mut demo = Self {
            child: command.stdout(Stdio::piped()).spawn().unwrap(),
            log: None,
            greeting: Vec::new(),
            url: String::new(),
        };
        let output = BufReader::new(demo.child.stdout.take().unwrap());
        for line in output.lines().map_while(Result::ok) {
            if let Some(rest) = line.strip_prefix("Open ") {
                demo.url = rest.split(' ').next().unwrap().to_owned();
                return demo;
            }
            demo.greeting.push(line);
        }
        panic!("the server printed no address: {:?}", demo.greeting);
    }

    /// Starts a server that writes its address to standard error, after the text `before`.
    pub fn run_other(command: &mut Command, before: &str) -> Self {
        let (log, path) = NamedTempFile::new().unwrap().into_parts();
        let mut demo = Self {
            child: command.stdout(Stdio::null()).stderr(log).spawn().unwrap(),
            log: Some(path),
            greeting: Vec::new(),
            url: String::new(),
        };
        while demo.url.is_empty() {
            let (log, status) = (demo.log(), demo.child.try_wait().unwrap());
            assert!(status.is_none(), "{status:?}: {log}");
            match log
                .split_once(before)
                .and_then(|(_, rest)| rest.split_once('\n'))
            {
                Some((url, _)) => demo.url = url.to_owned(),
                None => thread::sleep(Duration::from_millis(10)),
            }
        }
        demo
    }

    /// Returns what a server that [`Demo::run_other`] started has written to standard error so
    /// far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.as_ref().unwrap()).unwrap()
    }

    /// Returns the reading end of the server's standard error, which has to be a pipe.
    pub fn take_stderr(&mut self) -> ChildStderr {
        self.child.stderr.take().unwrap()
    }

    /// Sends a signal to the server, by its name, such as `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Returns the server's process ID.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns a figure of the server's memory from `/proc`, such as `VmHWM`, in kB.
    pub fn memory(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Waits for the server to end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends SIGTERM to the server and waits for it to end.
    pub fn stop(self) -> ExitStatus {
        self.signal("TERM");
        self.wait()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a [`Browser`] visits.
pub trait Site {
    /// Returns the address, with a slash at the end.
    fn url(&self) -> &str;
}

impl Site for Demo {
    fn url(&self) -> &str {
        &self.url
    }
}

/// The address of a site that no [`Demo`] serves.
impl Site for String {
    fn url(&self) -> &str {
        self
    }
}

/// An HTTP client that keeps one cookie.
#[derive(Clone)]
pub struct Browser {
    agent: Agent,
    /// The cookie that the client sends, as `name=value`; empty for none.
    pub cookie: String,
}

/// A response.
#[derive(Debug)]
pub struct Page {
    /// The status code.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The `Set-Cookie` header.
    pub set_cookie: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Browser {
    /// Creates a client without a cookie.
    #[expect(clippy::new_without_default, reason = "a test makes no default client")]
    pub fn new() -> Self {
        let agent = Agent::config_builder()
            .max_redirects(0)
            .http_status_as_error(false)
            .build()
            .new_agent();
        Self {
            agent,
            cookie: String::new(),
        }
    }

    /// Gets a page. Does not follow redirects.
    pub fn get(&mut self, site: &impl Site, page: &str) -> Page {
        self.get_with(site, page, &[])
    }

    /// Gets a page with further headers. Does not follow redirects.
    pub fn get_with(&mut self, site: &impl Site, page: &str, headers: &[(&str, &str)]) -> Page {
        let mut request = self.agent.get(format!("{}{page}", site.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if !self.cookie.is_empty() {
            request = request.header("Cookie", &self.cookie);
        }
        let page = Page::read(request.call().unwrap());
        self.keep_cookie(&page);
        page
    }

    /// Sends a HEAD request, and ignores the cookie of its response.
    pub fn head(&self, demo: &Demo, page: &str) -> Page {
        let request = self.agent.head(format!("{}{page}", demo.url));
        Page::read(request.header("Cookie", &self.cookie).call().unwrap())
    }

    /// Submits the form of `page` with this action: its hidden fields and `fields`.
    pub fn send(
        &mut self,
        demo: &Demo,
        page: &Page,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Page {
        let mut form: Vec<(String, String)> = page.hidden_fields(action);
        let typed = fields
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_string()));
        form.extend(typed);
        let path = action.trim_start_matches('/');
        let request = self.agent.post(format!("{}{path}", demo.url));
        let request = request.header("Cookie", &self.cookie);
        let page = Page::read(request.send_form(form).unwrap());
        self.keep_cookie(&page);
        page
    }

    /// Returns the text of a page, or an error if the response is not complete.
    pub fn try_get(&self, demo: &Demo, page: &str) -> Result<String, ureq::Error> {
        let mut response = self.agent.get(format!("{}{page}", demo.url)).call()?;
        response.body_mut().read_to_string()
    }

    /// Posts bytes to a page and returns the body of the response.
    pub fn post(&self, demo: &Demo, page: &str, bytes: &[u8]) -> Vec<u8> {
        let request = self.agent.post(format!("{}{page}", demo.url));
        let mut response = request.send(bytes).unwrap();
        response.body_mut().read_to_vec().unwrap()
    }

    /// Posts a body of a type, or of none, and returns the status; `None` if the server closes the
    /// connection in place of reading the body.
    ///
    /// The connection is not used again: a server may close it after a request that it has not
    /// read to its end.
    pub fn post_as(
        &mut self,
        demo: &Demo,
        page: &str,
        kind: Option<&str>,
        body: &str,
    ) -> Option<u16> {
        let mut request = self.agent.post(format!("{}{page}", demo.url));
        request = request.header("Cookie", &self.cookie);
        request = request.header("Connection", "close");
        if let Some(kind) = kind {
            request = request.header("Content-Type", kind);
        }
        let page = match request.send(body.as_bytes()) {
            Err(ureq::Error::Io(_)) => return None,
            response => Page::read(response.unwrap()),
        };
        self.keep_cookie(&page);
        Some(page.status)
    }

    fn keep_cookie(&mut self, page: &Page) {
        if let Some(cookie) = &page.set_cookie {
            let pair = cookie.split(';').next().unwrap();
            let is_removed = cookie.contains("Max-Age=0");
            self.cookie = if is_removed { "" } else { pair }.to_owned();
        }
    }

    /// Returns the session's ID and the counter, as the start page shows them.
    pub fn look(&mut self, site: &impl Site) -> (String, i64) {
        let page = self.get(site, "");
        assert_eq!(page.status, 200, "{}", page.text);
        (
            between(&page.text, "Your session ID is ", "."),
            between(&page.text, "Counter is at ", ".").parse().unwrap(),
        )
    }
}

impl Page {
    /// Returns the values of all headers with this name.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let values = self.headers.get_all(name).iter();
        values.map(|value| value.to_str().unwrap()).collect()
    }

    /// Returns the hidden fields of the first form with this action.
    pub fn hidden_fields(&self, action: &str) -> Vec<(String, String)> {
        let start = format!("action=\"{action}\">");
        let form = between(&self.text, &start, "</form>");
        let hidden = form.split("<input type=\"hidden\" name=\"").skip(1);
        hidden
            .map(|field| {
                let (name, rest) = field.split_once("\" value=\"").unwrap();
                (name.to_owned(), rest.split('"').next().unwrap().to_owned())
            })
            .collect()
    }

    fn read(response: Response<ureq::Body>) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (location, set_cookie) = (header("location"), header("set-cookie"));
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let mut text = String::new();
        let mut body = response.into_body().into_reader();
        body.read_to_string(&mut text).unwrap();
        Self {
            status,
            location,
            set_cookie,
            headers,
            text,
        }
    }
}

/// Returns the text between the first `before` and the next `after`.
pub fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).expect(before);
    rest.split(after).next().unwrap().to_owned()
}
