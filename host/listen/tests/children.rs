//! Child processes with an environment and file descriptors of their own.

use std::env;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

/// Returns a command that runs a test of this program, which is ignored otherwise, in another
/// process. The words of `setup` are run by a shell in that process before.
pub fn child(setup: &str, test: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{setup} exec \"$0\" \"$@\"")]);
    command.arg(env::current_exe().expect("this program"));
    command.args(["--exact", test, "--ignored", "--nocapture"]);
    command
}

/// Returns a command that passes sockets or files to a child like systemd does.
pub fn activated(test: &str, names: &str, passed: Vec<OwnedFd>) -> Command {
    let setup = "export LISTEN_PID=$$; exec 3<&0 4<&1 0</dev/null 1>&2;";
    let mut command = child(setup, test);
    command.env("LISTEN_FDS", passed.len().to_string());
    command.env("LISTEN_FDNAMES", names);
    let mut passed = passed.into_iter().map(Stdio::from);
    command.stdin(passed.next().unwrap_or(Stdio::null()));
    command.stdout(passed.next().unwrap_or(Stdio::null()));
    command
}

/// Waits until a child has ended, and checks that its test has run and passed.
pub fn succeed(mut command: Command) {
    command.stderr(Stdio::piped());
    let output = command.output().expect("a child");
    let text = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
