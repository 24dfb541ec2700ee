//! The work of processes that share sessions: they add to sessions, load them, and sweep.
//!
//! Sessions with an even number keep their user. A save gives a random user to a session with an
//! odd number.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session3_store::{Maintenance, SessionId, SessionState, StoreError};

use crate::child::{BEFORE, Job, LATER, MINUTES, Role, say};
use crate::content::Content;
use crate::ledger::Ledger;
use crate::random::Random;
use crate::tally::Tally;

/// The faults that a process looks for.
pub const FAULTS: [&str; 8] = [
    "torn",
    "foreign",
    "stale",
    "older",
    "corrupt",
    "destroyed",
    "unlisted",
    "failed",
];
const USERS: u64 = 5;
const SHOWN_FAULTS: u64 = 3;

/// Returns the ID of a session by its number. The IDs are spread over the subdirectories.
pub fn id(number: u64) -> SessionId {
    let spread = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    SessionId::from(u128::from(number + 1).wrapping_mul(spread))
}

/// Returns the name of one of five users.
pub fn user(number: u64) -> String {
    format!("user {}", number % USERS)
}

/// Returns whether a session keeps its user, so that the index must name it at every instant.
fn keeps_user(number: u64) -> bool {
    number.is_multiple_of(2)
}

/// The largest state, in bytes. The limit grows with time and reaches this value when half of the
/// time is over. So sessions grow all the time, however many there are, and not in the beginning
/// only. After that they shrink and grow.
const LARGEST: u64 = 1_000_000;

/// The state of a process that works.
struct Worker {
    store: Arc<dyn Maintenance>,
    start: Instant,
    duration: Duration,
    ledger: Ledger,
    sessions: u64,
    random: Random,
    tally: Tally,
    faults: u64,
}

/// Works until the time of the job is over, and returns the counts.
pub async fn work(role: Role, job: &Job) -> Tally {
    let mut worker = Worker {
        store: job.open(),
        start: Instant::now(),
        duration: job.duration,
        ledger: job.ledger(),
        sessions: job.sessions,
        random: Random::new(job.seed),
        tally: Tally::default(),
        faults: 0,
    };
    let has_time = job.clock();
    while has_time() {
        match role {
            Role::Write => worker.write().await,
            Role::Read => worker.read().await,
            Role::Sweep => worker.sweep().await,
            _ => worker.visit().await,
        }
    }
    worker.tally
}

/// Creates the sessions that the processes share, at version 1 and with the count 0.
pub async fn create(store: &dyn Maintenance, sessions: u64) {
    for number in 0..sessions {
        let content = Content {
            session: id(number),
            version: 1,
            number: 0,
            length: 100,
        };
        let state = SessionState {
            user: Some(user(number)),
            expires: LATER,
            data: content.bytes(),
        };
        store.create_session(&id(number), &state).await.unwrap();
    }
}

impl Worker {
    async fn write(&mut self) {
        let number = self.random.below(self.sessions);
        if self.random.below(16) == 0 {
            self.touch(number).await;
        }
        while !self.add(number).await {}
    }

    /// Adds 1 to the count of a session. Returns false if another process saved first.
    async fn add(&mut self, number: u64) -> bool {
        let Some(before) = self.load(number).await else {
            return true;
        };
        let version = before.version + 1;
        let content = Content {
            version,
            number: before.number + 1,
            length: self.random.length().min(self.largest()),
            ..before
        };
        let state = SessionState {
            user: Some(self.next_user(number)),
            expires: LATER,
            data: content.bytes(),
        };
        self.ledger.begin(number);
        let id = id(number);
        match self.store.save_session(&id, &state, before.version).await {
            Ok(saved) if saved == version => {
                self.ledger.finish(number, version);
                self.tally.raise("largest", content.length);
                let has_shrunk = content.length < before.length / 2;
                self.tally.add("shrinks by half", has_shrunk.into());
                return true;
            }
            Ok(other) => self.fault("failed", format!("{version} became {other}")),
            Err(StoreError::Conflict(now)) if now > before.version => {
                self.tally.count("conflicts");
            }
            Err(error) => self.refused(number, &error),
        }
        self.ledger.abandon(number);
        false
    }

    /// Returns the limit for the size of a state at this time, in bytes.
    fn largest(&self) -> u64 {
        let progress = self.start.elapsed().div_duration_f64(self.duration);
        100 + (2.0 * progress * LARGEST as f64) as u64
    }

    fn next_user(&mut self, number: u64) -> String {
        if keeps_user(number) {
            return user(number);
        }
        user(self.random.below(USERS))
    }

    async fn touch(&mut self, number: u64) {
        let Some(before) = self.load(number).await else {
            return;
        };
        let expires = LATER + self.random.below(1000);
        let id = id(number);
        match self.store.touch_session(&id, expires, before.version).await {
            Ok(()) => self.tally.count("touches"),
            Err(StoreError::Conflict(now)) if now > before.version => {}
            Err(error) => self.refused(number, &error),
        }
    }

    async fn read(&mut self) {
        match self.random.below(500) {
            0 => self.walk().await,
            1 => self.list().await,
            _ => {
                let number = self.random.below(self.sessions);
                self.load(number).await;
            }
        }
    }

    /// Loads a session and checks it. Returns its content, or `None` after a fault.
    async fn load(&mut self, number: u64) -> Option<Content> {
        let latest = self.ledger.latest(number);
        let session = match self.store.load_session(&id(number)).await {
            Ok(Some(session)) => session,
            Ok(None) => {
                self.fault("destroyed", number);
                return None;
            }
            Err(error) => {
                self.refused(number, &error);
                return None;
            }
        };
        self.tally.count("loads");
        let content = match Content::read(&session) {
            Ok(content) => content,
            Err(fault) => {
                self.fault(fault, number);
                return None;
            }
        };
        if content.version < latest {
            let details = format!("{} after {latest} of session {number}", content.version);
            self.fault("older", details);
        }
        if keeps_user(number) && session.state.user != Some(user(number)) {
            self.fault("foreign", format!("{:?}", session.state.user));
        }
        self.ledger.saw(number, content.version);
        Some(content)
    }

    /// Reports a fault at once, since this process may be killed.
    fn fault(&mut self, what: &str, details: impl fmt::Display) {
        self.faults += 1;
        if self.faults <= SHOWN_FAULTS {
            eprintln!("{what}: {details}");
        }
        say(&format!("1 !{what}"));
    }

    /// Counts an error of an operation on a session.
    fn refused(&mut self, number: u64, error: &StoreError) {
        match error {
            // A call may give up while other processes hold the lock.
            StoreError::Busy => self.tally.count("busy"),
            StoreError::Corrupt(how) => self.fault("corrupt", format!("{number}: {how}")),
            StoreError::Absent => self.fault("destroyed", number),
            error => self.fault("failed", error),
        }
    }

    /// Walks through all sessions, and checks that the shared ones are seen exactly once.
    async fn walk(&mut self) {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.store.iter_sessions(cursor.as_deref(), 10).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => return self.refused(0, &error),
            };
            for (_, how) in page.damaged {
                self.fault("corrupt", how);
            }
            seen.extend(page.sessions.into_iter().map(|session| session.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        let ours: HashSet<_> = (0..self.sessions).map(id).collect();
        let seen: Vec<_> = seen.into_iter().filter(|id| ours.contains(id)).collect();
        let once: HashSet<_> = seen.iter().collect();
        if once.len() != ours.len() || seen.len() != ours.len() {
            let details = format!("{} of {}, {} times", once.len(), ours.len(), seen.len());
            self.fault("unlisted", details);
        }
        self.tally.count("walks");
    }

    /// Lists the sessions of a user, and checks those that keep their user.
    async fn list(&mut self) {
        let name = user(self.random.below(USERS));
        let listed = match self.store.sessions_of_user(&name).await {
            Ok(listed) => listed,
            Err(error) => return self.refused(0, &error),
        };
        for number in (0..self.sessions).filter(|number| keeps_user(*number)) {
            let is_listed = listed.contains(&id(number));
            if is_listed != (user(number) == name) {
                let fault = if is_listed { "foreign" } else { "unlisted" };
                self.fault(fault, format!("{number} of {name}"));
            }
        }
        self.tally.count("lists");
    }

    async fn sweep(&mut self) {
        let limit = Duration::from_millis(self.random.below(20));
        match self.store.delete_old_sessions(MINUTES, Some(limit)).await {
            Ok(report) => self.tally.add("swept", report.deleted),
            Err(error) => self.fault("failed", error),
        }
    }

    /// Creates a session that has already expired, for the sweep, and sometimes deletes it.
    async fn visit(&mut self) {
        let content = Content {
            session: u128::from(self.random.number())
                .wrapping_mul(u128::MAX / 5)
                .into(),
            version: 1,
            number: 0,
            length: self.random.length(),
        };
        let state = SessionState {
            user: Some("visitor".into()),
            expires: BEFORE,
            data: content.bytes(),
        };
        match self.store.create_session(&content.session, &state).await {
            Ok(_) => self.tally.count("visits"),
            Err(error) => self.fault("failed", error),
        }
        if self.random.below(4) == 0
            && let Err(error) = self.store.delete_session(&content.session).await
        {
            self.fault("failed", error);
        }
    }
}
