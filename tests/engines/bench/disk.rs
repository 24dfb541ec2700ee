//! The speed of the disk, on which the commits of most engines wait.

use std::os::unix::fs::FileExt;
use std::time::Instant;

use crate::median;

/// The number of writes.
const WRITES: usize = 50;

/// Returns the median microseconds of an fdatasync after a write of a page. The speed of a
/// virtual disk may change during a run.
pub fn fdatasync() -> f64 {
    let file = tempfile::tempfile().unwrap();
    let page = [1; 8192];
    let sync = |_| {
        file.write_all_at(&page, 0).unwrap();
        let start = Instant::now();
        file.sync_data().unwrap();
        start.elapsed().as_secs_f64() * 1e6
    };
    median((0..WRITES).map(sync).collect())
}
