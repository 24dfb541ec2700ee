//! Loads and saves with more sessions than other benchmarks have: as many as the file system has
//! room for.

use std::path::Path;

use rustix::fs::statvfs;
use session3_test_support::directory::{Directory, file_system};
use session3_test_support::thousands;
use tokio::runtime::Runtime;

use crate::Plan;
use crate::operations;
use crate::sessions::Sessions;
use crate::table::Table;

/// The bytes for each session: a block of 4 KiB, and its parts of a table of inodes and of a
/// directory. An inode is there for each file besides.
const BYTES: u64 = 4_500;

/// Measures loads and saves with each number of sessions. The files that are used are in the page
/// cache, as those of active sessions are, while those of all sessions may take more than it has.
///
/// # Panics
///
/// If the file system has no room for the sessions.
pub fn measure(plan: &Plan, runtime: &Runtime, place: &Path) {
    check_room(plan, place);
    let mut table = Table::new(&file_system(place), plan);
    for size in &plan.sizes {
        let directory = Directory::new(place, "sessions");
        table.section(&format!("{} sessions", thousands(*size)));
        let sessions = Sessions::create(runtime, directory.path(), *size);
        operations::measure_growth(plan, runtime, &sessions, &mut table);
    }
    table.end();
}

fn check_room(plan: &Plan, place: &Path) {
    let most = *plan.sizes.iter().max().unwrap();
    let room = statvfs(place).unwrap();
    let (bytes, inodes) = (room.f_bavail * room.f_frsize, room.f_favail);
    // Some file systems create inodes as they need them, and say that they have none.
    let has_inodes = inodes == 0 || inodes >= most;
    assert!(
        bytes >= most * BYTES && has_inodes,
        "{} sessions need {} GB and as many inodes, and {} has {} GB and {} inodes: choose fewer by \
         BENCH_SESSIONS=1000,{}, or another disk by CARGO_TARGET_DIR",
        thousands(most),
        most * BYTES / 1_000_000_000,
        place.display(),
        bytes / 1_000_000_000,
        thousands(inodes),
        bytes / BYTES / 1_000_000 * 1_000_000,
    );
}
