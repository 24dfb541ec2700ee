//! The command of `--key-command`: it runs in a shell, for a limited time.

use std::io::{self, IsTerminal, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// The time within which the command has to end.
const LIMIT: Duration = Duration::from_secs(10);

/// The pause between two looks whether the command has ended.
const PAUSE: Duration = Duration::from_millis(5);

/// The largest number of bytes that the command may print.
const MAX_BYTES: usize = 1 << 16;

/// Returns what a command of the shell prints to standard output.
///
/// # Errors
///
/// If it cannot be run, fails, prints too much, or has not ended in time. Then it is killed.
pub fn run(command: &str) -> Result<Zeroizing<Vec<u8>>> {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(command);
    shell.stdin(Stdio::null()).stdout(Stdio::piped());
    // In a group of its own, the command can be killed with the processes that it has started. A
    // terminal gives neither Ctrl-C nor an answer to such a group.
    let has_group = !io::stdin().is_terminal();
    if has_group {
        shell.process_group(0);
    }
    let mut child = shell.spawn().context("cannot be run")?;
    let ended = wait(&mut child, Instant::now() + LIMIT);
    if ended.is_err() {
        kill(&mut child, has_group);
    }
    let (printed, status) = ended?;
    ensure!(status.success(), "has failed: {status}");
    Ok(printed)
}

/// Waits until the command has ended, and returns what it printed. After an error, the command
/// may still run.
fn wait(child: &mut Child, deadline: Instant) -> Result<(Zeroizing<Vec<u8>>, ExitStatus)> {
    let late = || anyhow!("was stopped, because it had not ended after {LIMIT:?}");
    let output = child.stdout.take().context("has no standard output")?;
    let (sender, receiver) = mpsc::channel();
    // A process that the command has started may keep its output open for ever, so this does not
    // wait for the thread.
    thread::spawn(move || sender.send(read(output)));
    let time = deadline.saturating_duration_since(Instant::now());
    let printed = receiver.recv_timeout(time).map_err(|_| late())??;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((printed, status));
        }
        ensure!(Instant::now() < deadline, late());
        thread::sleep(PAUSE);
    }
}

fn read(output: ChildStdout) -> Result<Zeroizing<Vec<u8>>> {
    // A vector that grew would leave parts of the keys behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES + 1));
    let mut output = output.take(MAX_BYTES as u64 + 1);
    output.read_to_end(&mut bytes).context("cannot be read")?;
    ensure!(
        bytes.len() <= MAX_BYTES,
        "printed more than {MAX_BYTES} bytes, which is no key ring"
    );
    Ok(bytes)
}

/// Kills a command that was not waited for.
fn kill(child: &mut Child, has_group: bool) {
    // Either fails only if the command has ended by now.
    let _ = match has_group {
        true => kill_process_group(Pid::from_child(child), Signal::KILL).map_err(io::Error::from),
        false => child.kill(),
    };
    let _ = child.wait();
}
