//! The table of results, which is printed line by line.

use std::collections::HashMap;

use crate::Plan;
use crate::peers;
use crate::sessions::SIZE;
use crate::targets::Targets;

/// The table of one file system.
pub struct Table {
    /// The store's time in the first line of each name, which is the one with the fewest sessions.
    first: HashMap<String, f64>,
    /// How many times as long an operation may take with more sessions.
    growth: f64,
    section: String,
    /// The targets for the figures.
    pub targets: Targets,
}

impl Table {
    /// Prints the head of a table.
    pub fn new(file_system: &str, plan: &Plan) -> Self {
        let Plan { rounds, batch, .. } = plan;
        println!("\n{file_system}");
        println!("states of {SIZE} bytes; µs, medians of up to {rounds} rounds of {batch}\n");
        let [python, php, redis] = peers::NAMES;
        println!(
            "{:<36}{:>9}{:>9}{:>7}{:>8}{python:>16}{php:>16}{redis:>16}",
            "", "bare", "ours", "ratio", "growth"
        );
        Self {
            first: HashMap::new(),
            growth: plan.growth,
            section: String::new(),
            targets: Targets::default(),
        }
    }

    /// Begins a section with a title.
    pub fn section(&mut self, title: &str) {
        println!("{title}");
        self.section = title.to_owned();
    }

    /// Returns the name of a line together with the title of its section.
    pub fn full_name(&self, name: &str) -> String {
        format!("{name}, {}", self.section)
    }

    /// Prints the microseconds of the system calls, the store and the peers. Adds the target that
    /// the store's time grows by no more than the plan says with the number of sessions.
    pub fn times(&mut self, name: &str, times: &[Option<f64>]) {
        let (Some(bare), Some(ours)) = (times[0], times[1]) else {
            unreachable!("the system calls and the store have every operation");
        };
        let first = *self.first.entry(name.to_owned()).or_insert(ours);
        let (ratio, growth) = (ours / bare, ours / first);
        let peers: String = times[2..]
            .iter()
            .map(|peer| match peer {
                Some(peer) => format!("{peer:>9.1} {:>6}", format!("{:.2}x", peer / ours)),
                None => format!("{:>16}", "-"),
            })
            .collect();
        println!("  {name:<34}{bare:>9.2}{ours:>9.2}{ratio:>7.2}{growth:>8.2}{peers}");
        let name = format!("growth of {}", self.full_name(name));
        self.targets.at_most(&name, growth, self.growth);
    }

    /// Prints the rates of the system calls and the store. As elsewhere, the ratio is that of the
    /// times.
    pub fn rates(&mut self, name: &str, [bare, ours]: [f64; 2]) {
        let ratio = bare / ours;
        println!("  {name:<34}{bare:>9.1}{ours:>9.1}{ratio:>7.2}");
    }

    /// Prints and returns the time that the component adds to its store operations: the difference
    /// between a request `through` the component and the store operations `alone`.
    pub fn addition(&mut self, name: &str, alone: f64, through: f64) -> f64 {
        let added = through - alone;
        println!("  {name:<34}{alone:>9.2}{through:>9.2}{added:>+7.2}");
        added
    }

    /// Prints a line of text.
    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }

    /// Prints the targets and the meaning of the columns.
    pub fn end(self) {
        self.targets.print();
        println!(
            "
bare: the system calls that an operation needs at least
ours: the directory store
ratio: the time of ours, divided by that of bare
growth: the time of ours, divided by that with the fewest sessions
Session3: Python's DirectorySessionStore, and its time divided by that of ours
PHP: the file sessions of PHP, and their time divided by that of ours
Redis: tower-sessions with Redis in memory only, on loopback, and its time divided by that of ours"
        );
    }
}
