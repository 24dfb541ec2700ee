//! Commands in a terminal: colours and times in words, `list --watch` and `top`.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use session3_components::DEMO;
use session3_test_program::clock::speed_up;
use session3_test_program::{Browser, Demo, between, session3};
use session3_test_support::wait_until;

use crate::place::Directory;

const ROWS: u16 = 40;
const COLUMNS: u16 = 120;

/// A command in a pseudo-terminal.
struct Terminal {
    child: Child,
    keyboard: File,
    screen: Arc<Mutex<Screen>>,
}

struct Screen {
    parser: vt100::Parser,
    /// All that the command has written.
    written: Vec<u8>,
}

impl Terminal {
    fn run(command: &mut Command) -> Self {
        let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&keyboard).unwrap();
        unlockpt(&keyboard).unwrap();
        let name = ptsname(&keyboard, Vec::new()).unwrap();
        let mut options = File::options();
        options.read(true).write(true);
        let end = options.open(name.to_str().unwrap()).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&end, size).unwrap();
        let handle = || Stdio::from(OwnedFd::from(end.try_clone().unwrap()));
        command
            .env("TERM", "xterm-256color")
            .env("TZ", "Europe/Berlin");
        command
            .env_remove("NO_COLOR")
            .stdin(handle())
            .stdout(handle())
            .stderr(handle());
        let child = command.spawn().unwrap();
        // Otherwise the parent keeps the end of the terminal open.
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keyboard = File::from(keyboard);
        let screen = Arc::new(Mutex::new(Screen {
            parser: vt100::Parser::new(ROWS, COLUMNS, 0),
            written: Vec::new(),
        }));
        let (mut output, drawn) = (keyboard.try_clone().unwrap(), screen.clone());
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            // Reading fails once the command has ended.
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                let mut drawn = drawn.lock().unwrap();
                drawn.parser.process(&bytes[..length]);
                drawn.written.extend(&bytes[..length]);
            }
        });
        Self {
            child,
            keyboard,
            screen,
        }
    }

    /// Returns what the terminal shows.
    fn text(&self) -> String {
        self.screen.lock().unwrap().parser.screen().contents()
    }

    /// Returns all that the command has written, with the codes of colours.
    fn written(&self) -> String {
        let screen = self.screen.lock().unwrap();
        String::from_utf8(screen.written.clone()).unwrap()
    }

    fn wait_for(&self, text: &str) {
        wait_until(text, || self.text().contains(text));
    }

    fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a demo with a session of a user and one without. Returns the ID of the former.
fn demo_with_sessions(directory: &Path, arguments: &[&str]) -> (Demo, String) {
    let demo = Demo::start_with(directory, arguments);
    let mut visitor = Browser::new();
    let page = visitor.get(&demo, "account");
    visitor.send(&demo, &page, "login", &[("user", "ann")]);
    let id = visitor.look(&demo).0;
    Browser::new().get(&demo, "keep");
    (demo, id)
}

fn command(name: &str, directory: &Path, arguments: &[&str]) -> Command {
    let mut command = session3();
    command.arg(name).arg(directory).args(arguments);
    command
}

/// Returns a command that runs this one through `env` with an argument.
fn through_env(argument: &str, command: &Command) -> Command {
    let mut shell = Command::new("env");
    shell
        .arg(argument)
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap());
    }
    shell
}

fn piped(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_list_has_colours_and_words_in_a_terminal_only() {
    let directory = tempfile::tempdir().unwrap();
    let (_demo, id) = demo_with_sessions(directory.path(), &[]);
    let list = |arguments: &[&str]| command("list", directory.path(), arguments);

    let mut terminal = Terminal::run(&mut list(&[]));
    assert!(terminal.wait().success());
    // Slow machines reach "1 second ago".
    terminal.wait_for(" ago");
    let (text, written) = (terminal.text(), terminal.written());
    assert!(text.contains(&id) && text.contains("ann"), "{text}");
    assert!(
        text.contains("in 30 minutes") || text.contains("in 29 minutes"),
        "{text}"
    );
    assert!(written.contains("\u{1b}["), "{written:?}");

    let mut terminal = Terminal::run(&mut list(&["--utc"]));
    assert!(terminal.wait().success());
    terminal.wait_for("Z ");
    assert!(!terminal.text().contains("ago"), "{}", terminal.text());

    let text = piped(&mut list(&[]));
    assert!(!text.contains('\u{1b}') && !text.contains("ago"), "{text}");
    assert_eq!(text.lines().count(), 3, "{text}");
}

#[test]
fn no_color_is_obeyed() {
    let directory = tempfile::tempdir().unwrap();
    let (_demo, _) = demo_with_sessions(directory.path(), &[]);
    // The terminal removes the variable of the test's own environment.
    let list = command("list", directory.path(), &[]);
    let mut terminal = Terminal::run(&mut through_env("NO_COLOR=1", &list));
    assert!(terminal.wait().success());
    terminal.wait_for("ann");
    let written = terminal.written();
    assert!(!written.contains('\u{1b}'), "{written:?}");
}

#[test]
fn a_session_is_shown_in_local_time_in_a_terminal_only() {
    let directory = tempfile::tempdir().unwrap();
    let (_demo, id) = demo_with_sessions(directory.path(), &[]);
    let show = |arguments: &[&str]| {
        let arguments = [&[id.as_str()], arguments].concat();
        command("show", directory.path(), &arguments)
    };
    let mut terminal = Terminal::run(&mut show(&[]));
    assert!(terminal.wait().success());
    // Slow machines reach "1 second ago".
    terminal.wait_for(" ago");
    let text = terminal.text();
    assert!(
        text.contains(" +01:00 (") || text.contains(" +02:00 ("),
        "{text}"
    );
    let mut terminal = Terminal::run(&mut show(&["--utc"]));
    assert!(terminal.wait().success());
    terminal.wait_for("Z (");
    let text = piped(&mut show(&[]));
    assert!(text.contains("Z (") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_watched_list_follows_the_store_until_it_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let (demo, _) = demo_with_sessions(directory.path(), &[]);
    let mut watched = command("list", directory.path(), &["--watch=1"]);
    let terminal = Terminal::run(&mut watched);
    terminal.wait_for("2 sessions");
    Browser::new().get(&demo, "keep");
    terminal.wait_for("3 sessions");
    assert_eq!(
        terminal.text().matches("USER").count(),
        1,
        "{}",
        terminal.text()
    );
}

#[test]
fn a_watched_list_whose_reader_leaves_ends_quietly() {
    let directory = tempfile::tempdir().unwrap();
    let (_demo, _) = demo_with_sessions(directory.path(), &[]);
    let mut watched = command("list", directory.path(), &["--watch=1"]);
    let watched = watched
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = watched.spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 10]).unwrap();
    drop(output);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn top_shows_sessions_users_and_requests_until_q() {
    let directory = tempfile::tempdir().unwrap();
    let (demo, _) = demo_with_sessions(directory.path(), &["--metrics", "127.0.0.1:0"]);
    let line = demo
        .greeting
        .iter()
        .find(|line| line.contains("/metrics"))
        .unwrap();
    let url = between(line, "Metrics are at ", "/metrics.");
    let mut terminal = Terminal::run(&mut command("top", directory.path(), &["--metrics", &url]));
    terminal.wait_for("Users with the most sessions");
    terminal.wait_for("not logged in");
    terminal.wait_for("requests a second");
    let text = terminal.text();
    let sessions = text
        .lines()
        .find(|line| line.contains("│Sessions"))
        .unwrap();
    assert!(sessions.contains(" 2 "), "{text}");
    assert!(text.contains("1 ann"), "{text}");

    Browser::new().get(&demo, "keep");
    terminal.press("r");
    wait_until("the third session", || {
        let text = terminal.text();
        text.lines()
            .any(|line| line.contains("│Sessions") && line.contains(" 3 "))
    });
    terminal.press("q");
    assert!(terminal.wait().success());
    // The screen from before is back, and the cursor.
    let written = terminal.written();
    wait_until("the end of the drawing", || {
        terminal.written().contains("\u{1b}[?1049l")
    });
    assert!(written.contains("\u{1b}[?1049h"), "{written:?}");
}

#[test]
fn top_names_the_users_of_a_sealed_store_with_its_keys() {
    let (directory, other) = (tempfile::tempdir().unwrap(), Directory::new());
    let keys = other.key_ring();
    let arguments = ["--key-file", &keys];
    let (_demo, _) = demo_with_sessions(directory.path(), &arguments);
    let terminal = Terminal::run(&mut command("top", directory.path(), &arguments));
    terminal.wait_for("1 ann");
    let terminal = Terminal::run(&mut command("top", directory.path(), &[]));
    terminal.wait_for("Users with the most sessions");
    wait_until("the count", || {
        let text = terminal.text();
        let mut lines = text.lines();
        lines.any(|line| line.contains("│Sessions") && line.contains(" 2 "))
    });
    assert!(!terminal.text().contains("ann"), "{}", terminal.text());
}

#[test]
fn a_sealed_dashboard_ends_with_its_terminal() {
    let (directory, other) = (tempfile::tempdir().unwrap(), Directory::new());
    let keys = other.key_ring();
    let dashboard = command("dashboard", directory.path(), &["--key-file", &keys]);
    // The tests may have been started by a program that ignores the signal, such as nohup.
    let mut dashboard = through_env("--default-signal=HUP", &dashboard);
    let mut terminal = Terminal::run(&mut dashboard);
    terminal.wait_for("press Ctrl-C to quit");
    kill_process(Pid::from_child(&terminal.child), Signal::HUP).unwrap();
    assert_eq!(terminal.wait().signal(), Some(Signal::HUP.as_raw()));
}

#[test]
fn enter_prints_another_link_to_the_dashboard_and_the_first_one_ends() {
    let directory = tempfile::tempdir().unwrap();
    let (_demo, _) = demo_with_sessions(directory.path(), &[]);
    let mut terminal = Terminal::run(&mut command("dashboard", directory.path(), &[]));
    let links = |terminal: &Terminal| -> Vec<String> {
        let written = terminal.written();
        let links = written.split("Open ").skip(1);
        links
            .map(|rest| rest.split(' ').next().unwrap().to_owned())
            .collect()
    };
    wait_until("a link", || links(&terminal).len() == 1);
    terminal.press("\r");
    wait_until("another link", || {
        terminal.written().contains("instead of any link")
    });
    let links = links(&terminal);
    let status = |link: &String| Browser::new().get(link, "").status;
    let statuses: Vec<_> = links.iter().map(status).collect();
    assert_eq!(statuses, [403, 200], "{links:?}");
}

/// The program's time is a hundred times as fast, so that the second before the spinner passes
/// while a small component is compiled.
#[test]
fn a_compilation_shows_a_spinner_in_a_terminal_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("application.wasm"), DEMO).unwrap();
    let compile = |output: &str| {
        let arguments = ["--grant", "admin", "-o", output];
        let mut compile = command("compile", Path::new("application.wasm"), &arguments);
        compile.current_dir(&directory);
        speed_up(&mut compile, 100);
        compile
    };
    let mut terminal = Terminal::run(&mut compile("shown"));
    assert!(terminal.wait().success());
    wait_until("the spinner", || {
        terminal.written().contains(" compiling application.wasm, ")
    });
    // The last thing that is written clears the line.
    wait_until("the end of the spinner", || {
        terminal.text().trim().is_empty()
    });

    let output = compile("piped").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    assert_eq!([output.stdout, output.stderr].concat(), b"");
    for output in ["shown", "piped"] {
        assert!(fs::metadata(path(output)).unwrap().len() > 0, "{output}");
    }
}

#[test]
fn top_without_a_terminal_says_what_to_use() {
    let directory = tempfile::tempdir().unwrap();
    let output = command("top", directory.path(), &[])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("top needs a terminal"), "{error}");
}
