//! A load test of the program: ten thousand connections, of which a third are hostile.
//!
//! For half of the time, the server gives each request an instance of its own; for the other
//! half, it reuses instances. Each half has three processes besides this one: the server, the
//! honest visitors and the hostile clients. First, for a minute, there are honest visitors only.
//! Their latency then is what the latency beside the hostile clients is compared with.
//!
//! These variables of the environment change a run:
//!
//! - `LOAD_SECONDS`: how long the hostile clients stay, in both halves together; 600 by default.
//! - `LOAD_CONNECTIONS`: the number of connections; 10,000 by default.
//! - `LOAD_REUSE`: the only value for `--max-instance-reuse`, instead of 1 and then 100.
//! - `SEED`: repeats the random choices of a run, but not the order of what happens.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod client;
mod honest;
mod hostile;
mod pacer;
mod plan;
mod process;
mod report;
mod run;
mod server;
mod table;

use plan::Plan;
use process::Role;

fn main() {
    process::raise_descriptor_limit();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = Role::of(&arguments) {
        return role.work(&arguments[1..]);
    }
    let plan = Plan::from_environment();
    println!("\n{plan}");
    let outcomes: Vec<_> = plan
        .reuse
        .iter()
        .map(|reuse| run::run(&plan, *reuse))
        .collect();
    let failures = table::print(&outcomes);
    assert!(failures.is_empty(), "{failures:#?}");
}
