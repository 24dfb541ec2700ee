//! Stores in processes of their own, which a test may kill at any time.

use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use session3_store::{SessionId, SessionStore};

use crate::operation::{Action, Outcome};
use crate::subject::Subject;

/// Answers the calls of a [`Remote`] from the standard input until that ends.
pub async fn serve(store: &(impl SessionStore + ?Sized)) {
    for line in std::io::stdin().lines() {
        let line = line.unwrap();
        let (session, action) = line.split_once(' ').unwrap();
        let action = serde_json::from_str(action).unwrap();
        let outcome = store.answer(&session.parse().unwrap(), action).await;
        let answer = serde_json::to_string(&outcome).unwrap();
        println!("{answer}");
    }
}

/// A store in another process, which calls [`serve`]. The process is started again when it was
/// killed.
pub struct Remote(Arc<Shared>);

struct Shared {
    command: Box<dyn Fn() -> Command + Send + Sync>,
    process: Mutex<Child>,
    /// Held during a call: the process answers one after the other.
    pipes: Mutex<Pipes>,
}

struct Pipes {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Remote {
    /// Starts the process with this command.
    pub fn start(command: impl Fn() -> Command + Send + Sync + 'static) -> Self {
        let (process, pipes) = spawn(command());
        Self(Arc::new(Shared {
            command: Box::new(command),
            process: Mutex::new(process),
            pipes: Mutex::new(pipes),
        }))
    }

    /// Kills the process, whatever it does.
    pub fn kill(&self) {
        self.0.end();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.0.end();
    }
}

#[async_trait]
impl Subject for Remote {
    async fn answer(&self, session: &SessionId, action: Action) -> Outcome {
        let shared = self.0.clone();
        let request = format!("{session} {}\n", serde_json::to_string(&action).unwrap());
        tokio::task::spawn_blocking(move || shared.answer(&request))
            .await
            .unwrap()
    }
}

impl Shared {
    fn answer(&self, request: &str) -> Outcome {
        let mut pipes = self.pipes.lock();
        let answer = pipes.ask(request);
        answer.unwrap_or_else(|| {
            self.restart(&mut pipes);
            Outcome::Unknown
        })
    }

    fn restart(&self, pipes: &mut Pipes) {
        let mut process = self.process.lock();
        let status = process.wait().unwrap();
        assert!(status.code().is_none(), "a process failed by itself");
        (*process, *pipes) = spawn((self.command)());
    }

    fn end(&self) {
        let mut process = self.process.lock();
        // A process that has ended already fails here.
        let _ = process.kill();
        process.wait().unwrap();
    }
}

impl Pipes {
    /// Returns nothing if the process was killed.
    fn ask(&mut self, request: &str) -> Option<Outcome> {
        self.input.write_all(request.as_bytes()).ok()?;
        let answer = self.output.next()?.ok()?;
        serde_json::from_str(&answer).ok()
    }
}

fn spawn(mut command: Command) -> (Child, Pipes) {
    let mut process = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = process.stdin.take().unwrap();
    let output = BufReader::new(process.stdout.take().unwrap()).lines();
    (process, Pipes { input, output })
}
