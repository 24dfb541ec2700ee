//! A process that changes sessions in every way is killed, again and again. After each kill, every
//! change that the store acknowledged must be there.
//!
//! The process reports each change before it calls the store, and then the result. So after a kill,
//! it may be unknown whether the last change of each of its threads took effect.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use session3_store::{Maintenance, SessionState, StoreError, StoredSession};

use crate::child::{BEFORE, Job, LATER, MINUTES, NOW, Process, Role, SETUPS, block_on, say};
use crate::content::Content;
use crate::plan::Plan;
use crate::processes::{before_the_sweep, expect_nothing_else, sweep};
use crate::random::Random;
use crate::tally::Tally;
use crate::work::{id, user};

const SESSIONS: u64 = 24;
/// The number of threads of the process. Each one changes sessions of its own.
const THREADS: u64 = 3;
const USERS: u64 = 5;
const FAULTS: [&str; 11] = [
    "destroyed",
    "came back",
    "lost",
    "torn",
    "foreign",
    "stale",
    "corrupt",
    "unlisted",
    "left",
    "not swept",
    "failed",
];

/// The content of a session after the last save or touch.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    version: u64,
    /// A random number, which tells the saves apart.
    number: u64,
    length: u64,
    /// The number of the user; 0 for a session without one.
    user: u64,
    expires: u64,
}

/// Kills a process as often as planned, with each setup.
pub fn kill(plan: &Plan) {
    for (durability, layer) in SETUPS {
        let directory = tempfile::tempdir().unwrap();
        let mut random = plan.random();
        let mut job = Job {
            directory: directory.path().to_owned(),
            durability,
            layer,
            sessions: SESSIONS,
            processes: 1,
            me: 0,
            // The process is killed long before this time is over.
            duration: Duration::from_secs(60),
            seed: 0,
        };
        let store = job.open();
        let mut judge = Judge::new();
        for _ in 0..plan.kills() {
            job.seed = random.number();
            let pause = Duration::from_micros(random.below(20_000));
            let lines = kill_one(&job, pause);
            judge.tally.count("kills");
            lines.iter().for_each(|line| judge.hear(line));
            block_on(judge.look(&*store, &*job.open()));
            // Most rounds skip this, so that the next process starts with the files that this one
            // left.
            if random.below(4) == 0 {
                block_on(judge.clean_up(&job));
            }
        }
        block_on(judge.clean_up(&job));
        judge.tally.judge(&format!("{durability:?}, {layer:?}"));
    }
}

/// Starts a process, kills it when `pause` has passed since the first change that succeeded, and
/// returns the lines that it reported.
fn kill_one(job: &Job, pause: Duration) -> Vec<String> {
    let mut process = Process::start(Role::Change, job);
    let output = BufReader::new(process.output());
    let (first_answer, answered) = mpsc::channel();
    let listener = thread::spawn(move || {
        let lines = output.lines().map(Result::unwrap);
        let listen = |line: &String| {
            if line.starts_with("done") {
                // After the first message, the receiver may be gone.
                let _ = first_answer.send(());
            }
        };
        lines.inspect(listen).collect()
    });
    answered.recv().expect("the process changes a session");
    thread::sleep(pause);
    assert!(process.kill(), "the process works until it is killed");
    listener.join().unwrap()
}

/// Changes sessions until it is killed.
pub fn change(job: &Job) {
    let store = job.open();
    thread::scope(|scope| {
        for part in 0..THREADS {
            let store = &*store;
            scope.spawn(move || block_on(change_part(store, job, part)));
        }
        scope.spawn(|| block_on(sweep_pieces(&*store, job)));
    });
}

/// Sweeps a random number of times, each time with a short time limit.
async fn sweep_pieces(store: &dyn Maintenance, job: &Job) {
    let mut random = Random::new(job.seed ^ u64::MAX);
    // A sweep that never stopped would leave no old sessions and leftovers to the other threads.
    let has_time = job.clock();
    while random.below(32) > 0 && has_time() {
        let limit = Duration::from_micros(random.below(3000));
        let swept = store.delete_old_sessions(MINUTES, Some(limit));
        swept.await.unwrap();
    }
}

/// Changes the sessions of one thread until the time is over.
async fn change_part(store: &dyn Maintenance, job: &Job, part: u64) {
    let mut random = Random::new(job.seed ^ part);
    let has_time = job.clock();
    while has_time() {
        let session = random.below(SESSIONS / THREADS) * THREADS + part;
        let id = id(session);
        let loaded = store.load_session(&id).await.unwrap();
        let before = loaded.map(|loaded| Sample::read(session, &loaded).unwrap());
        let (answer, after) = match &before {
            None => {
                let new = Sample::random(1, &mut random);
                announce(session, &before, &Some(new.clone()));
                let state = new.state(session);
                let created = store.create_session(&id, &state).await;
                (created.map(drop), Some(new))
            }
            Some(before) => change_one(store, session, before, &mut random).await,
        };
        match answer {
            Ok(()) => say(&format!("done {session}")),
            Err(StoreError::Absent) => say(&format!("gone {session}")),
            Err(error) => panic!("{before:?} to {after:?}: {error}"),
        }
    }
}

/// Deletes, touches or saves a session. Returns the result, and the session after a success.
async fn change_one(
    store: &dyn Maintenance,
    session: u64,
    before: &Sample,
    random: &mut Random,
) -> (Result<(), StoreError>, Option<Sample>) {
    let id = id(session);
    let announced = |after: Option<Sample>| {
        announce(session, &Some(before.clone()), &after);
        after
    };
    match random.below(8) {
        0 => {
            let after = announced(None);
            let deleted = store.delete_session(&id).await;
            let found = |was_there| {
                if was_there {
                    Ok(())
                } else {
                    Err(StoreError::Absent)
                }
            };
            (deleted.and_then(found), after)
        }
        1 | 2 => {
            let expires = expiry(random);
            let after = announced(Some(Sample {
                expires,
                ..before.clone()
            }));
            (
                store.touch_session(&id, expires, before.version).await,
                after,
            )
        }
        _ => {
            let new = Sample::random(before.version + 1, random);
            let after = announced(Some(new.clone()));
            let state = new.state(session);
            let saved = store.save_session(&id, &state, before.version).await;
            (saved.map(drop), after)
        }
    }
}

/// Returns a random expiry. One in eight is in the past, so that sweeps have sessions to delete.
fn expiry(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => BEFORE,
        _ => LATER + random.below(1000),
    }
}

/// Reports a change that is about to be made.
fn announce(session: u64, before: &Option<Sample>, after: &Option<Sample>) {
    let [before, after] = [before, after].map(|sample| match sample {
        None => "-".to_owned(),
        Some(sample) => sample.text(),
    });
    say(&format!("now {session} {before} {after}"));
}

impl Sample {
    fn random(version: u64, random: &mut Random) -> Self {
        Self {
            version,
            number: random.number(),
            length: random.length(),
            user: random.below(USERS + 1),
            expires: expiry(random),
        }
    }

    /// Returns the state to save.
    fn state(&self, session: u64) -> SessionState {
        let content = Content {
            session: id(session),
            version: self.version,
            number: self.number,
            length: self.length,
        };
        SessionState {
            user: self.user(),
            expires: self.expires,
            data: content.bytes(),
        }
    }

    fn user(&self) -> Option<String> {
        (self.user > 0).then(|| user(self.user))
    }

    /// Reads a session that was loaded.
    ///
    /// # Errors
    ///
    /// The name of the fault if the session is not as it was saved.
    fn read(session: u64, stored: &StoredSession) -> Result<Self, &'static str> {
        let content = Content::read(stored)?;
        let named = |number: &u64| stored.state.user == Some(user(*number));
        let user = match stored.state.user {
            None => 0,
            Some(_) => (1..=USERS).find(named).ok_or("foreign")?,
        };
        if stored.id != id(session) {
            return Err("foreign");
        }
        Ok(Self {
            version: content.version,
            number: content.number,
            length: content.length,
            user,
            expires: stored.state.expires,
        })
    }

    /// Returns whether a sweep may delete the session at any time.
    fn is_old(&self) -> bool {
        self.expires <= NOW
    }

    fn text(&self) -> String {
        let Self {
            version,
            number,
            length,
            user,
            expires,
        } = self;
        format!("{version},{number},{length},{user},{expires}")
    }

    /// Reads a session as [`text`](Self::text) wrote it; `None` for a session that is absent.
    fn parse(text: &str) -> Option<Self> {
        if text == "-" {
            return None;
        }
        let mut numbers = text.split(',').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Some(Self {
            version: next(),
            number: next(),
            length: next(),
            user: next(),
            expires: next(),
        })
    }
}

/// The expected sessions, and the faults that were found.
struct Judge {
    /// The possible contents of each session: one, or two if it is unknown whether the last change
    /// took effect. `None` stands for an absent session.
    may_be: HashMap<u64, Vec<Option<Sample>>>,
    tally: Tally,
}

impl Judge {
    fn new() -> Self {
        Self {
            may_be: (0..SESSIONS).map(|session| (session, vec![None])).collect(),
            tally: Tally::looking_for(&FAULTS),
        }
    }

    /// Updates the expected sessions by a line that the process reported.
    fn hear(&mut self, line: &str) {
        let mut words = line.split(' ');
        let verb = words.next().unwrap();
        let session = words.next().unwrap().parse().unwrap();
        match verb {
            "now" => {
                let [before, after] = [(); 2].map(|()| Sample::parse(words.next().unwrap()));
                self.expect(session, &before);
                self.may_be.insert(session, vec![before, after]);
            }
            "done" => {
                self.tally.count("changes");
                self.may_be.entry(session).or_default().remove(0);
            }
            _ => {
                // The session was absent, so a sweep had deleted it before the change.
                self.may_be.entry(session).or_default().truncate(1);
                self.expect(session, &None);
                self.may_be.insert(session, vec![None]);
            }
        }
    }

    /// Counts a fault if a session was seen with other contents than the possible ones.
    fn expect(&mut self, session: u64, seen: &Option<Sample>) {
        let may_be = &self.may_be[&session];
        let is_swept = seen.is_none() && may_be.iter().flatten().any(Sample::is_old);
        if is_swept || may_be.contains(seen) {
            return;
        }
        let fault = match seen {
            None => "destroyed",
            Some(_) if may_be.iter().all(Option::is_none) => "came back",
            Some(_) => "lost",
        };
        let details = format!("{session} is {seen:?}, not one of {may_be:?}");
        self.tally.fault(fault, details);
    }

    /// Compares the store with the expected sessions: through a handle whose file descriptor cache
    /// is from before the kill, and through a new one.
    async fn look(&mut self, old: &dyn Maintenance, new: &dyn Maintenance) {
        for session in 0..SESSIONS {
            let is_unknown = self.may_be[&session].len() > 1;
            self.tally.add("cut short", u64::from(is_unknown));
            for store in [old, new] {
                match load(store, session).await {
                    Ok(seen) => {
                        self.expect(session, &seen);
                        self.may_be.insert(session, vec![seen]);
                    }
                    Err((fault, details)) => self.tally.fault(fault, details),
                }
            }
        }
        for number in 1..=USERS {
            self.look_at_user(new, number).await;
        }
    }

    /// Compares the list of sessions of a user with the expected sessions.
    async fn look_at_user(&mut self, store: &dyn Maintenance, number: u64) {
        let listed = store.sessions_of_user(&user(number)).await.unwrap();
        for (session, may_be) in &self.may_be {
            let is_theirs = may_be.iter().flatten().any(|sample| sample.user == number);
            let is_listed = listed.contains(&id(*session));
            if is_listed != is_theirs {
                let fault = if is_listed { "foreign" } else { "unlisted" };
                self.tally.fault(fault, format!("{session} of {number}"));
            }
        }
    }

    /// Sweeps, and checks that the directory then has the expected sessions and nothing else.
    async fn clean_up(&mut self, job: &Job) {
        let store = job.open();
        before_the_sweep(&*store, &mut self.tally).await;
        sweep(&*store).await;
        for session in 0..SESSIONS {
            let seen = load(&*store, session).await.unwrap_or(None);
            if seen.as_ref().is_some_and(Sample::is_old) {
                self.tally.fault("not swept", session);
            }
            self.expect(session, &seen);
            self.may_be.insert(session, vec![seen]);
        }
        let remaining = || self.may_be.values().flatten().flatten();
        let sessions = remaining().count() as u64;
        let with_user = remaining().filter(|sample| sample.user > 0).count() as u64;
        let path = job.directory.join("store");
        expect_nothing_else(&*store, &path, sessions, with_user, &mut self.tally).await;
    }
}

/// Loads a session.
///
/// # Errors
///
/// The name of the fault and its details if the session is not as it was saved.
async fn load(
    store: &dyn Maintenance,
    session: u64,
) -> Result<Option<Sample>, (&'static str, String)> {
    match store.load_session(&id(session)).await {
        Ok(None) => Ok(None),
        Ok(Some(stored)) => {
            let sample = Sample::read(session, &stored);
            sample
                .map(Some)
                .map_err(|fault| (fault, format!("{session}")))
        }
        Err(StoreError::Corrupt(how)) => Err(("corrupt", format!("{session}: {how}"))),
        Err(error) => Err(("failed", format!("{session}: {error}"))),
    }
}
