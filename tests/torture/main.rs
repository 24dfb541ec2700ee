//! Tortures of the directory store: processes that write at once, that are
//! killed, that run out of file descriptors or hold each other's locks.
//!
//! They have a program of their own, which starts itself again for each process
//! that it needs, and they run one after the other, since each one wants the
//! machine for itself. Each prints its figures. Arguments name those to run; a
//! part of the name will do.
//!
//! `TORTURE=long` has ten seconds for each configuration and a thousand kills,
//! which takes some minutes; without, it is about one.
//! `TORTURE_SEED` repeats the choices of a run that failed, though not the
//! instants at which processes took turns.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod child;
mod content;
mod descriptors;
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

/// In the order of how long they take.
const TORTURES: [(&str, Torture); 7] = [
    ("descriptors", descriptors::run_short),
    ("locks: busy after the timeout", locks::busy),
    ("locks: free after a kill", locks::killed_holder),
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
    // What begins with a hyphen is meant for the usual kind of test program.
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
