//! The time that `session3 copy` takes: from a directory to PostgreSQL, and back.

use std::path::Path;
use std::time::Instant;

use session3_test_program::session3;
use session3_test_servers::postgres::{OPERATED, Postgres};
use session3_test_support::directory::{Directory, file_system};
use session3_test_support::thousands;
use tokio::runtime::Runtime;

use crate::Plan;
use crate::sessions::{SIZE, Sessions};

/// Copies a quarter of the largest number of sessions.
pub fn measure(plan: &Plan, runtime: &Runtime, place: &Path) {
    let count = plan.sizes.iter().max().unwrap() / 4;
    let [from, back] = ["from", "back"].map(|name| Directory::new(place, name));
    Sessions::create(runtime, from.path(), count);
    let postgres = Postgres::start(&OPERATED);
    let url = postgres.url();
    let of = thousands(count);
    println!("\n{}", file_system(place));
    println!("seconds to copy {of} sessions of {SIZE} bytes with `session3 copy`\n");
    let [from, back] = [&from, &back].map(|directory| directory.path().to_str().unwrap());
    println!(
        "  a directory to PostgreSQL   {:.1}",
        copy(from, &url, count)
    );
    println!("  the same again              {:.1}", copy(from, &url, 0));
    println!(
        "  PostgreSQL to a directory   {:.1}",
        copy(&url, back, count)
    );
}

/// Copies a store, and returns the seconds that it took.
fn copy(from: &str, to: &str, copied: u64) -> f64 {
    let start = Instant::now();
    let output = session3().args(["copy", from, to]).output().unwrap();
    let time = start.elapsed();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(said.starts_with(&format!("copied {copied}, ")), "{said}");
    time.as_secs_f64()
}
