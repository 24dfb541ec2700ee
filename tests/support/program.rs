//! The real program, as a process, and a browser without a screen: cookies and
//! nothing else.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use ureq::Agent;
use ureq::http::Response;

/// The program, with an environment that finds nothing of the user's.
pub fn session3() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_session3"));
    command.env(
        "XDG_CACHE_HOME",
        concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"),
    );
    command
}

/// A `session3 demo` that runs until it is dropped.
pub struct Demo {
    child: Child,
    /// Where it answers, with a slash at the end.
    pub url: String,
}

impl Demo {
    /// Starts it on a free port.
    pub fn start(directory: &Path) -> Self {
        Self::start_with(directory, &[])
    }

    /// Likewise, with more arguments.
    pub fn start_with(directory: &Path, arguments: &[&str]) -> Self {
        let mut child = session3()
            .arg("demo")
            .arg(directory)
            .args(["--port", "0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let url = output
            .lines()
            .map_while(Result::ok)
            .find_map(|line| Some(line.strip_prefix("Open ")?.split(' ').next()?.to_owned()))
            .expect("it says where it answers");
        Self { child, url }
    }

    /// Sends a signal, by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([format!("-{name}"), self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Sends SIGTERM and waits for its end.
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

/// Remembers one cookie.
#[derive(Clone)]
pub struct Browser {
    agent: Agent,
    /// What it sends; empty for none.
    pub cookie: String,
}

/// What a page answered.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub location: Option<String>,
    pub set_cookie: Option<String>,
    pub text: String,
}

impl Browser {
    /// Without a cookie.
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

    /// Gets a page, following no redirect.
    pub fn get(&mut self, demo: &Demo, page: &str) -> Page {
        let mut request = self.agent.get(format!("{}{page}", demo.url));
        if !self.cookie.is_empty() {
            request = request.header("Cookie", &self.cookie);
        }
        let page = Page::read(request.call().unwrap());
        if let Some(cookie) = &page.set_cookie {
            let pair = cookie.split(';').next().unwrap();
            let is_removed = cookie.contains("Max-Age=0");
            self.cookie = if is_removed { "" } else { pair }.to_owned();
        }
        page
    }

    /// The session's ID and the counter, as the start page shows them.
    pub fn look(&mut self, demo: &Demo) -> (String, i64) {
        let page = self.get(demo, "");
        assert_eq!(page.status, 200, "{}", page.text);
        (
            between(&page.text, "Your session ID is ", "."),
            between(&page.text, "Counter is at ", ".").parse().unwrap(),
        )
    }
}

impl Page {
    fn read(response: Response<ureq::Body>) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().unwrap().to_owned())
        };
        let (location, set_cookie) = (header("location"), header("set-cookie"));
        let status = response.status().as_u16();
        let mut text = String::new();
        let mut body = response.into_body().into_reader();
        body.read_to_string(&mut text).unwrap();
        Self {
            status,
            location,
            set_cookie,
            text,
        }
    }
}

fn between(text: &str, before: &str, after: &str) -> String {
    let (_, rest) = text.split_once(before).expect(before);
    rest.split(after).next().unwrap().to_owned()
}
