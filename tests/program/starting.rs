//! How the program starts, refuses bad input, and ends.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use session3_test_program::{Browser, Demo, session3};
use session3_test_support::files;

/// Runs a command that must fail. Returns its one line on standard error.
fn refusal(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("session3: "), "{said}");
    said
}

fn demo(directory: &Path) -> Command {
    demo_on(directory, "0")
}

fn demo_on(directory: &Path, port: &str) -> Command {
    let mut command = session3();
    command.arg("demo").arg(directory).args(["--port", port]);
    command
}

#[test]
fn a_port_in_use_is_one_line_that_says_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let directory = tempfile::tempdir().unwrap();
    let said = refusal(&mut demo_on(directory.path(), &port));
    assert!(said.contains(&port) && said.contains("--port"), "{said}");
}

#[test]
fn a_host_that_is_none_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let said = refusal(demo(directory.path()).args(["--host", "no such host"]));
    assert!(said.contains("no such host"), "{said}");
}

#[test]
fn a_file_in_the_directorys_place_is_one_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let said = refusal(&mut demo(&file));
    assert!(said.contains("not a directory"), "{said}");
}

#[test]
fn a_directory_that_cannot_be_written_is_one_line() {
    const NOBODY: u32 = 65534;
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let mut command = demo(directory.path());
    // Root can write everywhere, so the program then runs as another user.
    if fs::write(directory.path().join("test"), "").is_ok() {
        command.uid(NOBODY);
    }
    let said = refusal(&mut command);
    assert!(said.contains("cannot be written"), "{said}");
}

/// Changes a command so that it has 2 GB of address space.
fn with_little_address_space(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "ulimit -v 2000000 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    shell
}

#[test]
fn little_address_space_is_enough_for_operators_and_a_server_says_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let server = Demo::start(directory.path());
    let mut browser = Browser::new();
    browser.get(&server, "keep");
    let (id, _) = browser.look(&server);
    for arguments in [&["show", &id, "--json"][..], &["list", "--json"]] {
        let mut command = session3();
        command.arg(arguments[0]).arg(directory.path());
        let mut command = with_little_address_space(command.args(&arguments[1..]));
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{said}");
        assert!(said.contains(&id), "{said}");
    }
    let said = refusal(&mut with_little_address_space(&demo(directory.path())));
    assert!(said.contains("--max-instances"), "{said}");
}

#[test]
fn wrong_arguments_are_refused_with_the_usage() {
    for arguments in [&["demo"][..], &["demo", "d", "--port", "x"], &["nonsense"]] {
        let output = session3().args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--help"));
    }
}

#[test]
fn ctrl_c_and_sigterm_end_it_with_status_0() {
    for signal in ["INT", "TERM"] {
        let directory = tempfile::tempdir().unwrap();
        let demo = Demo::start(directory.path());
        Browser::new().get(&demo, "keep");
        demo.signal(signal);
        assert_eq!(demo.wait().code(), Some(0), "{signal}");
    }
}

/// Starts the demo with this directory for its cache, and kills it at its first output.
fn start_with_cache(cache: &Path) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = demo(directory.path());
    command.env("XDG_CACHE_HOME", cache);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 1];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn compiled_code_is_kept_where_only_the_user_can_write() {
    let cache = tempfile::tempdir().unwrap();
    start_with_cache(cache.path());
    let kept = cache.path().join("session3");
    let mode = fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(kept.join("modules").is_dir());
}

/// A second start changes no compiled code in the cache. `make bench` measures its time.
#[test]
fn a_second_start_compiles_nothing() {
    let cache = tempfile::tempdir().unwrap();
    let compiled = || {
        let mut code = files(cache.path());
        code.retain(|file| !file.to_string_lossy().contains("stats"));
        let modified = |file: &PathBuf| fs::metadata(file).unwrap().modified().unwrap();
        code.sort();
        code.iter()
            .map(|file| (file.clone(), modified(file)))
            .collect::<Vec<_>>()
    };
    start_with_cache(cache.path());
    let first = compiled();
    assert!(!first.is_empty());
    start_with_cache(cache.path());
    assert_eq!(compiled(), first);
}
