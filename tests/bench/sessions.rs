//! The sessions that the benchmarks use. Each has 700 bytes, and half of them are old.

use std::cell::{Cell, RefCell};
use std::fs::{File, create_dir, create_dir_all};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use session3_store::{SessionId, SessionState, SessionStore, Version};
use session3_store_directory::{DirectoryStore, Options};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use session3_test_support::directory::file_system;

/// The bytes of a state.
pub const SIZE: usize = 700;
/// The user of the sessions that have one.
pub const USER: &str = "somebody";
/// The expiry of old sessions.
pub const EXPIRED: u64 = 1;
/// The expiry of all other sessions.
const EXPIRES: u64 = 1 << 50;

/// A generator of random session numbers, which are the same in each run.
pub struct Order(Cell<u64>);

/// A directory with sessions, whose numbers begin at 0.
pub struct Sessions {
    /// The directory.
    pub directory: PathBuf,
    /// Whether its file system has a journal.
    pub is_journaled: bool,
    /// The number of sessions.
    pub count: u64,
    /// The version of each session, which the next save expects.
    pub versions: RefCell<Vec<Version>>,
    /// The order in which to use the sessions.
    pub order: Order,
}

/// Returns the ID of a session. The IDs are spread over the subdirectories like random ones.
pub fn id(number: u64) -> SessionId {
    let number = u128::from(number) + 1;
    SessionId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Returns the path of a session's file within the directory of the store.
pub fn name(number: u64) -> String {
    let id = id(number);
    format!("{:02x}/{id}", id.prefix())
}

/// Returns the path of the entry of the index for a session's file, if [`USER`] has the session.
pub fn entry_of(name: &str) -> String {
    let hash = Sha256::digest(USER);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (_, id) = name.split_once('/').unwrap();
    format!("users/{}/{}.{id}", &hash[..3], &hash[3..])
}

/// Returns whether a session is one of the old ones, which a sweep deletes.
pub fn is_old(number: u64) -> bool {
    number % 2 == 1
}

/// Returns the state of an old session or of a session that stays.
pub fn state(is_old: bool) -> SessionState {
    SessionState {
        user: None,
        expires: if is_old { EXPIRED } else { EXPIRES },
        data: vec![b'x'; SIZE],
    }
}

impl Sessions {
    /// Creates `count` sessions in an empty directory.
    pub fn create(runtime: &Runtime, directory: &Path, count: u64) -> Self {
        // Otherwise, the first session of each subdirectory would also create that.
        for prefix in 0..256 {
            create_dir(directory.join(format!("{prefix:02x}"))).unwrap();
        }
        let entry = directory.join(entry_of(&name(0)));
        create_dir_all(entry.parent().unwrap()).unwrap();
        let sessions = Self {
            directory: directory.to_owned(),
            is_journaled: file_system(directory).contains("with a journal"),
            count,
            versions: RefCell::new(vec![1; usize::try_from(count).unwrap()]),
            order: Order(Cell::new(0x9e37_79b9_7f4a_7c15)),
        };
        sessions.fill(runtime, 0..count);
        sessions
    }

    /// Creates the sessions with these numbers.
    pub fn fill(&self, runtime: &Runtime, numbers: impl Iterator<Item = u64>) {
        let store = DirectoryStore::open(&self.directory, Options::default()).unwrap();
        let states = [false, true].map(state);
        runtime.block_on(async {
            for number in numbers {
                let state = &states[usize::from(is_old(number))];
                store.create_session(&id(number), state).await.unwrap();
            }
        });
        self.sync();
    }

    /// Waits until all writes are on the medium, so that they do not slow the next measurement.
    pub fn sync(&self) {
        let directory = File::open(&self.directory).unwrap();
        rustix::fs::syncfs(directory.as_fd()).unwrap();
    }
}

impl Order {
    /// Returns `batch` random numbers of the first `count` sessions.
    pub fn pick(&self, count: u64, batch: usize) -> Vec<u64> {
        (0..batch).map(|_| self.below(count)).collect()
    }

    /// Shuffles the numbers.
    pub fn shuffle(&self, numbers: &mut [u64]) {
        for last in (1..numbers.len()).rev() {
            let other = self.below(last as u64 + 1);
            numbers.swap(last, usize::try_from(other).unwrap());
        }
    }

    /// Returns a random number below `limit`, by Marsaglia's xorshift.
    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state % limit
    }
}
