//! Processes that use the same sessions at the same time.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use session3_store::{Finding, Maintenance};
use session3_store_directory::Durability;
use session3_test_support::layer::Layer;

use crate::child::{Job, MINUTES, Process, Role, SETUPS, block_on};
use crate::content::Content;
use crate::plan::Plan;
use crate::random::Random;
use crate::tally::Tally;
use crate::work;

const TEAM: [Role; 6] = [
    Role::Write,
    Role::Write,
    Role::Write,
    Role::Write,
    Role::Read,
    Role::Read,
];

/// Lets four processes add to one session while two load it.
pub fn one_session(plan: &Plan) {
    team(plan, 1);
}

/// Lets four processes add to a hundred sessions while two load them.
pub fn many_sessions(plan: &Plan) {
    team(plan, 100);
}

fn team(plan: &Plan, sessions: u64) {
    for (durability, layer) in SETUPS {
        let crew = TEAM.map(|role| (role, durability));
        let title = format!("{durability:?}, {layer:?}");
        Run::new(plan, sessions, &crew, layer).go(&title, false);
    }
}

/// Lets processes with both durabilities use the same sessions while another one sweeps, and kills
/// a random one of them again and again.
pub fn mixed(plan: &Plan) {
    let crew = [
        (Role::Write, Durability::Process),
        (Role::Write, Durability::Process),
        (Role::Write, Durability::Disk),
        (Role::Write, Durability::Disk),
        (Role::Read, Durability::Process),
        (Role::Read, Durability::Disk),
        (Role::Visit, Durability::Process),
        (Role::Visit, Durability::Disk),
        (Role::Sweep, Durability::Process),
    ];
    for layer in [Layer::Plain, Layer::Sealed] {
        let title = format!("Process and Disk, {layer:?}");
        Run::new(plan, 50, &crew, layer).go(&title, true);
    }
}

/// A run of several processes.
struct Run {
    directory: tempfile::TempDir,
    crew: Vec<(Role, Job)>,
    random: Random,
    tally: Tally,
    /// The number of saves of each session whose process was killed before it had the result. They
    /// may or may not have taken effect.
    unknown: HashMap<u64, u64>,
}

impl Run {
    fn new(plan: &Plan, sessions: u64, crew: &[(Role, Durability)], layer: Layer) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut random = plan.random();
        let job = |(me, (role, durability)): (usize, &(Role, Durability))| {
            let job = Job {
                directory: directory.path().to_owned(),
                durability: *durability,
                layer,
                sessions,
                processes: crew.len(),
                me,
                duration: plan.duration(),
                seed: random.number(),
            };
            (*role, job)
        };
        let crew: Vec<_> = crew.iter().enumerate().map(job).collect();
        block_on(work::create(&*crew[0].1.open(), sessions));
        let mut tally = Tally::looking_for(&work::FAULTS);
        for fault in ["!lost", "!invented", "!left", "busy"] {
            tally.add(fault, 0);
        }
        Self {
            directory,
            crew,
            random,
            tally,
            unknown: HashMap::new(),
        }
    }

    fn go(mut self, title: &str, with_kills: bool) {
        let start = |(role, job): &(Role, Job)| Process::start(*role, job);
        let mut processes: Vec<_> = self.crew.iter().map(start).collect();
        let (start, duration) = (Instant::now(), self.crew[0].1.duration);
        let time_left = || duration.saturating_sub(start.elapsed());
        while with_kills && !time_left().is_zero() {
            let pause = self.random.below(20_000);
            std::thread::sleep(Duration::from_micros(pause));
            let victim = self.random.below(processes.len() as u64) as usize;
            if processes[victim].kill() {
                self.tally.count("kills");
            }
            self.tally.merge(&Tally::parse(&processes[victim].words()));
            processes[victim] = self.replace(victim, time_left());
        }
        for process in processes {
            self.tally.merge(&Tally::parse(&process.result()));
        }
        block_on(self.count());
        block_on(self.clean_up());
        self.tally.judge(title);
    }

    /// Starts a process in the place of one that was killed.
    fn replace(&mut self, victim: usize, duration: Duration) -> Process {
        let (role, job) = &mut self.crew[victim];
        let mut ledger = job.ledger();
        for session in ledger.under_way() {
            *self.unknown.entry(session).or_default() += 1;
            ledger.abandon(session);
        }
        job.duration = duration;
        job.seed = self.random.number();
        Process::start(*role, job)
    }

    /// Checks that each session has every acknowledged addition exactly once.
    async fn count(&mut self) {
        let (_, job) = &self.crew[0];
        let (store, ledger) = (job.open(), job.ledger());
        for number in 0..job.sessions {
            let cells = ledger.cells(number);
            let acknowledged: u64 = cells.iter().map(|cell| cell.additions).sum();
            let unknown = self.unknown.get(&number).copied().unwrap_or(0);
            let session = store.load_session(&work::id(number)).await.unwrap();
            let content = session.map(|session| Content::read(&session).unwrap());
            let found = content.map_or(0, |content| content.number);
            self.tally.add("additions", acknowledged);
            self.tally.add("unknown", unknown);
            let lost = acknowledged.saturating_sub(found);
            self.tally.add("!lost", lost);
            let invented = found.saturating_sub(acknowledged + unknown);
            self.tally.add("!invented", invented);
            if content.map(|content| content.version) != Some(found + 1) {
                self.tally.fault("stale", format!("{content:?}"));
            }
        }
    }

    /// Sweeps, and checks that the directory then has the sessions and nothing else.
    async fn clean_up(&mut self) {
        let (_, job) = &self.crew[0];
        let store = job.open();
        before_the_sweep(&*store, &mut self.tally).await;
        sweep(&*store).await;
        let (sessions, path) = (job.sessions, self.directory.path().join("store"));
        expect_nothing_else(&*store, &path, sessions, sessions, &mut self.tally).await;
    }
}

/// Sweeps the whole store.
pub async fn sweep(store: &dyn Maintenance) {
    // The first sweep may continue in the middle of an unfinished one.
    for _ in 0..2 {
        let report = store.delete_old_sessions(MINUTES, None).await.unwrap();
        assert!(report.complete);
    }
}

/// Checks that killed processes left no other problems than leftovers and surplus entries.
pub async fn before_the_sweep(store: &dyn Maintenance, tally: &mut Tally) {
    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    store.check(false, &mut found).await.unwrap();
    for finding in findings {
        match finding {
            Finding::Leftover(_) => tally.count("leftovers before a sweep"),
            Finding::Surplus(_) => tally.count("surplus entries before a sweep"),
            other => tally.fault("corrupt", format!("{other:?}")),
        }
    }
}

/// Checks that a store that was swept has this number of sessions, of which `with_user` have a
/// user, and nothing else.
pub async fn expect_nothing_else(
    store: &dyn Maintenance,
    path: &Path,
    sessions: u64,
    with_user: u64,
    tally: &mut Tally,
) {
    let mut findings = Vec::new();
    let mut found = |finding| findings.push(finding);
    let report = store.check(false, &mut found).await.unwrap();
    for finding in findings {
        tally.fault("left", format!("{finding:?}"));
    }
    if report.sessions != sessions {
        tally.fault(
            "left",
            format!("{} sessions, not {sessions}", report.sessions),
        );
    }
    // Each session has a record, and an entry of the index if it has a user. The sweep has one
    // file.
    let (files, expected) = (count_files(path), sessions + with_user + 1);
    if files != expected {
        tally.fault("left", format!("{files} files, not {expected}"));
    }
}

fn count_files(path: &Path) -> u64 {
    let entries = std::fs::read_dir(path).unwrap();
    let count = |path: std::path::PathBuf| if path.is_dir() { count_files(&path) } else { 1 };
    entries.map(|entry| count(entry.unwrap().path())).sum()
}
