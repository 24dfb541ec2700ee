//! Running the commands in a chapter of the book as an operator types them.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use session3_test_program::session3;

/// Returns the blocks of code in a chapter of one language, in their order.
pub fn blocks(chapter: &'static str, language: &str) -> Vec<&'static str> {
    let blocks = chapter.split("```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    of_language.collect()
}

/// Runs blocks of commands, each of which ends with the byte 1, and prints the status of each.
/// At the end, the shell runs its first argument, and ends what the blocks have started.
const SCRIPT: &str = r#"
end=$1
trap 'eval "$end"; kill $(jobs -p) 2>/dev/null; wait' EXIT
while read -r -d $'\x01' block; do
    eval "$block" 2>&1 </dev/null
    echo "done $?"
done
"#;

/// A shell that runs blocks of commands one after the other, and ends with all that it started.
pub struct Shell {
    process: Child,
    /// The shell ends with its input.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Shell {
    /// Starts a shell in a directory. It runs the command `end` at its end.
    pub fn new(directory: &Path, end: &str) -> Self {
        let program = session3().get_program().to_owned();
        let programs = Path::new(&program).parent().unwrap().to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command
            // With jobs that have numbers.
            .args(["-m", "-c", SCRIPT, "bash", end])
            .current_dir(directory)
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for (name, value) in session3().get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let mut process = command.spawn().unwrap();
        let (sender, lines) = channel();
        let output = BufReader::new(process.stdout.take().unwrap());
        thread::spawn(move || {
            let lines = output.lines().map_while(Result::ok);
            lines.for_each(|line| drop(sender.send(line)));
        });
        Self {
            input: process.stdin.take(),
            process,
            lines,
        }
    }

    /// Runs a block, which has to succeed, and returns what it printed.
    pub fn run(&mut self, block: &str) -> String {
        let input = self.input.as_mut().unwrap();
        write!(input, "{block}\x01").unwrap();
        let mut said = String::new();
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let line = line.unwrap_or_else(|_| {
                // The shell waits for the command.
                let _ = self.process.kill();
                panic!("{block} does not end: {said}")
            });
            if let Some(status) = line.strip_prefix("done ") {
                assert_eq!(status, "0", "{block}: {said}");
                return said;
            }
            said += &line;
            said += "\n";
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.process.wait();
    }
}
