//! Tortures of the directory store, plain and sealed: processes that write at the same time, are
//! killed, run out of file descriptors, or wait for each other's locks.
//!
//! This program starts itself again for each process that a torture needs. The tortures run one
//! after the other, since each needs the whole machine, and each prints its figures. The arguments
//! of the program select the tortures whose names contain one of them; without arguments, all run.
//!
//! With `TORTURE=long`, each configuration runs for ten seconds and a thousand processes are
//! killed, which takes some minutes in all. Otherwise a run takes about a minute. `SEED`
//! repeats the random choices of a run that failed, but not the order in which the system ran the
//! processes.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod child;
mod content;
mod descriptors;
mod histories;
mod kills;
mod ledger;
mod locks;
mod plan;
mod processes;
mod random;
mod tally;
mod work;

use plan::Plan;

type Torture = fn(&Plan);

/// The tortures by name, the shortest first.
const TORTURES: [(&str, Torture); 8] = [
    ("descriptors", descriptors::run_short),
    ("locks: busy after the timeout", locks::busy),
    ("locks: free after a kill", locks::killed_holder),
    ("histories", histories::kill),
    ("processes: one session", processes::one_session),
    ("processes: many sessions", processes::many_sessions),
    ("processes: mixed and killed", processes::mixed),
    ("kills", kills::kill),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = child::role(&arguments) {
        return role.run(&arguments[1..]);
    }
    // Cargo may pass options for the standard test harness, which this program does not have.
    let is_name = |argument: &&String| !argument.starts_with('-');
    let names: Vec<_> = arguments.iter().filter(is_name).collect();
    let plan = Plan::from_environment();
    println!("\n{plan}");
    for (name, torture) in TORTURES {
        if names.is_empty() || names.iter().any(|part| name.contains(*part)) {
            println!("{name}");
            torture(&plan);
        }
    }
    println!();
}
