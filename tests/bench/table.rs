//! The table, line by line as it is measured.

use std::collections::HashMap;

use crate::Plan;
use crate::peers;
use crate::sessions::SIZE;
use crate::targets::Targets;

/// The table of one file system.
pub struct Table {
    /// The store's time for each line that there was: the first one is with the
    /// fewest sessions.
    first: HashMap<String, f64>,
    section: String,
    /// What its figures are held to.
    pub targets: Targets,
}

impl Table {
    /// Begins one.
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
            section: String::new(),
            targets: Targets::default(),
        }
    }

    /// What the following lines are about.
    pub fn section(&mut self, title: &str) {
        println!("{title}");
        self.section = title.to_owned();
    }

    /// How a line of this section is called elsewhere.
    pub fn full_name(&self, name: &str) -> String {
        format!("{name}, {}", self.section)
    }

    /// Microseconds of the system calls, the store and the peers. The store's
    /// are not to grow with the number of sessions.
    pub fn times(&mut self, name: &str, times: &[Option<f64>]) {
        let (Some(bare), Some(ours)) = (times[0], times[1]) else {
            unreachable!("these two can do everything");
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
        self.targets.at_most(&name, growth, 1.3);
    }

    /// Of both, how many in some time; the ratio is again that of the times.
    pub fn rates(&mut self, name: &str, [bare, ours]: [f64; 2]) {
        let ratio = bare / ours;
        println!("  {name:<34}{bare:>9.1}{ours:>9.1}{ratio:>7.2}");
    }

    /// What the component adds to its store operations.
    pub fn addition(&mut self, name: &str, alone: f64, through: f64) -> f64 {
        let added = through - alone;
        println!("  {name:<34}{alone:>9.2}{through:>9.2}{added:>+7.2}");
        added
    }

    /// Something that is no time.
    pub fn note(&mut self, text: &str) {
        println!("  {text}");
    }

    /// Ends it with what its columns are, and the targets.
    pub fn end(self) {
        self.targets.print();
        println!(
            "
bare: the system calls that an operation cannot do without
ours: the directory store
ratio: ours to bare
growth: ours to ours with the fewest sessions
Session3: Python's DirectorySessionStore, and how many times ours it takes
PHP: its file sessions, likewise
Redis: tower-sessions with Redis in memory only, on loopback, likewise"
        );
    }
}

/// A number with separators.
pub fn thousands(number: u64) -> String {
    match number {
        0..1000 => number.to_string(),
        _ => format!("{},{:03}", thousands(number / 1000), number % 1000),
    }
}
