//! A process that changes sessions in every way is killed, again and again; then
//! everything that it was told has to be true.
//!
//! It says what it is about to do and what the store answered, so at its end one
//! change for each of its threads may be unknown.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use session3_store::{SessionState, SessionStore, StoreError, StoredSession};
use session3_store_directory::{DirectoryStore, Durability};

use crate::child::{BEFORE, Job, LATER, MINUTES, NOW, Process, Role, block_on, say};
use crate::content::Content;
use crate::plan::Plan;
use crate::processes::{before_the_sweep, expect_nothing_else, sweep};
use crate::random::Random;
use crate::tally::Tally;
use crate::work::{id, user};

const SESSIONS: u64 = 24;
/// Each changes sessions of its own.
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

/// A session as it was saved, touches included.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    version: u64,
    /// No two saves have the same.
    number: u64,
    length: u64,
    /// 0 for nobody.
    user: u64,
    expires: u64,
}

/// Kills a process as often as planned, under each durability.
pub fn kill(plan: &Plan) {
    for durability in [Durability::Process, Durability::Disk] {
        let directory = tempfile::tempdir().unwrap();
        let mut random = plan.random();
        let mut job = Job {
            directory: directory.path().to_owned(),
            durability,
            sessions: SESSIONS,
            processes: 1,
            me: 0,
            // It is killed long before.
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
            block_on(judge.look(&store, &job.open()));
            // Not each time: the next process has to live with what is left.
            if random.below(4) == 0 {
                block_on(judge.clean_up(&job));
            }
        }
        block_on(judge.clean_up(&job));
        judge.tally.judge(&format!("{durability:?}"));
    }
}

/// What the process said until it was killed, so long after the first answer.
fn kill_one(job: &Job, pause: Duration) -> Vec<String> {
    let mut process = Process::start(Role::Change, job);
    let output = BufReader::new(process.output());
    let (first_answer, answered) = mpsc::channel();
    let listener = thread::spawn(move || {
        let lines = output.lines().map(Result::unwrap);
        let listen = |line: &String| {
            if line.starts_with("done") {
                // Nobody listens after the first.
                let _ = first_answer.send(());
            }
        };
        lines.inspect(listen).collect()
    });
    answered.recv().expect("it works");
    thread::sleep(pause);
    assert!(process.kill(), "it worked until it was killed");
    listener.join().unwrap()
}

/// Changes sessions until it is killed.
pub fn change(job: &Job) {
    let store = job.open();
    thread::scope(|scope| {
        for part in 0..THREADS {
            let store = &store;
            scope.spawn(move || block_on(change_part(store, job, part)));
        }
        scope.spawn(|| block_on(sweep_pieces(&store, job)));
    });
}

async fn sweep_pieces(store: &DirectoryStore, job: &Job) {
    let mut random = Random::new(job.seed ^ u64::MAX);
    // A sweep that is always there leaves nothing to others.
    let has_time = job.clock();
    while random.below(32) > 0 && has_time() {
        let limit = Duration::from_micros(random.below(3000));
        let swept = store.delete_old_sessions(MINUTES, Some(limit));
        swept.await.unwrap();
    }
}

async fn change_part(store: &DirectoryStore, job: &Job, part: u64) {
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

async fn change_one(
    store: &DirectoryStore,
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

/// Some are there for the sweep.
fn expiry(random: &mut Random) -> u64 {
    match random.below(8) {
        0 => BEFORE,
        _ => LATER + random.below(1000),
    }
}

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

    /// What to save.
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

    /// What was loaded, or the name of what is wrong with it.
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

    /// A sweep may have it at any time.
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

    /// `None` for a session that is not there.
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

/// Knows what has to be there.
struct Judge {
    /// What each session may be: one thing, or two while a change is unknown.
    /// `None` is a session that is not there.
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

    /// Takes note of what the process did.
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
                // Then a sweep was faster.
                self.may_be.entry(session).or_default().truncate(1);
                self.expect(session, &None);
                self.may_be.insert(session, vec![None]);
            }
        }
    }

    /// Whether what somebody saw is what may be.
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

    /// Compares with what is there, through a store that has files open from
    /// before and through a new one.
    async fn look(&mut self, old: &DirectoryStore, new: &DirectoryStore) {
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

    async fn look_at_user(&mut self, store: &DirectoryStore, number: u64) {
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

    /// After a sweep there are the sessions and nothing else.
    async fn clean_up(&mut self, job: &Job) {
        let store = job.open();
        before_the_sweep(&store, &mut self.tally).await;
        sweep(&store).await;
        for session in 0..SESSIONS {
            let seen = load(&store, session).await.unwrap_or(None);
            if seen.as_ref().is_some_and(Sample::is_old) {
                self.tally.fault("not swept", session);
            }
            self.expect(session, &seen);
            self.may_be.insert(session, vec![seen]);
        }
        let left = || self.may_be.values().flatten().flatten();
        let sessions = left().count() as u64;
        let with_user = left().filter(|sample| sample.user > 0).count() as u64;
        let path = job.directory.join("store");
        expect_nothing_else(&store, &path, sessions, with_user, &mut self.tally).await;
    }
}

/// What is there, or what is wrong with it.
async fn load(
    store: &DirectoryStore,
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
