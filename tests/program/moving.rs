//! The chapter "Moving to another store" of the book, whose commands run as an operator types
//! them, while visitors use the site.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use session3_test_program::{Browser, session3};
use session3_test_servers::free_port;
use session3_test_servers::postgres::{PASSWORD, Postgres};
use session3_test_support::wait_until;

const CHAPTER: &str = include_str!("../../docs/src/moving.md");

/// Returns the blocks of code in the chapter of one language, in their order.
fn blocks(language: &str) -> Vec<&'static str> {
    let blocks = CHAPTER.split("```").skip(1).step_by(2);
    let of_language = blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
    of_language.collect()
}

/// Runs blocks of commands, each of which ends with the byte 1, and prints the status of each.
/// At the end, what they have started ends.
const SCRIPT: &str = r#"
trap 'nginx -p "$PWD" -c nginx.conf -s stop; kill $(jobs -p)' EXIT
while read -r -d $'\x01' block; do
    eval "$block" 2>&1 </dev/null
    echo "done $?"
done
"#;

/// A shell that runs blocks of commands one after the other, and ends with all that it started.
struct Shell {
    process: Child,
    /// The shell ends with its input.
    input: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Shell {
    fn new(directory: &Path) -> Self {
        let program = session3().get_program().to_owned();
        let programs = Path::new(&program).parent().unwrap().to_owned();
        let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command
            // With jobs that have numbers.
            .args(["-m", "-c", SCRIPT])
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
    fn run(&mut self, block: &str) -> String {
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

#[test]
fn an_operator_moves_a_site_by_the_commands_of_the_book() {
    let directory = tempfile::tempdir().unwrap();
    let postgres = Postgres::shared();
    fs::write(directory.path().join("password"), PASSWORD).unwrap();
    let ports = [(); 3].map(|()| free_port().to_string());
    let store = postgres.url_without_password() + "?table=moved";
    // The addresses of the example become those of this machine.
    let here = |text: &str| {
        text.replace("postgres://web@10.0.0.6/shop", &store)
            .replace("8080", &ports[0])
            .replace("8081", &ports[1])
            .replace("8082", &ports[2])
    };
    let [nginx] = blocks("nginx")[..] else {
        panic!("one file for nginx")
    };
    // nginx writes its process ID and its logs where this test may.
    let nginx = "pid nginx.pid; error_log stderr;\n".to_owned() + &here(nginx);
    let nginx = nginx.replace("http {", "http { access_log off;");
    fs::write(directory.path().join("nginx.conf"), nginx).unwrap();
    let site = format!("http://127.0.0.1:{}/", ports[0]);
    let mut shell = Shell::new(directory.path());
    let blocks = blocks("sh").into_iter().map(here).collect::<Vec<_>>();
    let [variables, before, proxy, first, pause, after] = &blocks[..] else {
        panic!("the chapter has other blocks of commands: {blocks:?}");
    };
    shell.run(variables);
    shell.run(before);
    shell.run(proxy);
    let wait = || wait_until("the site", || Browser::new().get(&site, "").status == 200);
    wait();
    let mut visitors: Vec<_> = (0..5).map(|_| Browser::new()).collect();
    for visitor in &mut visitors {
        visitor.get(&site, "keep");
    }
    let mut leaving = visitors.pop().unwrap();

    let said = shell.run(first);
    assert!(
        said.contains("copied 5, updated 0, unchanged 0, deleted 0"),
        "{said}"
    );
    for visitor in &mut visitors {
        visitor.get(&site, "increment");
    }
    leaving.get(&site, "logout");
    let said = shell.run(pause);
    assert!(
        said.contains("copied 0, updated 4, unchanged 0, deleted 1"),
        "{said}"
    );
    wait();
    shell.run(after);

    // Both servers answer, and only the user who logged out is logged out.
    for visitor in &mut visitors {
        for expected in 1..5 {
            assert_eq!(visitor.look(&site).1, expected);
            visitor.get(&site, "increment");
        }
    }
    assert_eq!(leaving.look(&site).0, "None");
}
