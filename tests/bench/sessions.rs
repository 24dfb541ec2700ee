//! The sessions that everything is measured with: of 700 bytes, half of them
//! old.

use std::cell::{Cell, RefCell};
use std::fs::{File, create_dir, create_dir_all};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use session3_store::{SessionId, SessionState, SessionStore, Version};
use session3_store_directory::{DirectoryStore, Options};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use crate::directory::file_system;

/// Bytes of a state.
pub const SIZE: usize = 700;
/// Whose some are.
pub const USER: &str = "somebody";
/// When old sessions expired.
pub const EXPIRED: u64 = 1;
/// When the others will.
const EXPIRES: u64 = 1 << 50;

/// Session numbers in random order, the same in each run.
pub struct Order(Cell<u64>);

/// A directory with sessions of the numbers from 0 on.
pub struct Sessions {
    /// Where they are.
    pub directory: PathBuf,
    /// Whether that is a file system with a journal.
    pub is_journaled: bool,
    /// How many.
    pub count: u64,
    /// Of each, for the next save.
    pub versions: RefCell<Vec<Version>>,
    /// In which order to use them.
    pub order: Order,
}

/// The ID of a session: spread over the subdirectories, as random ones are.
pub fn id(number: u64) -> SessionId {
    let number = u128::from(number) + 1;
    SessionId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Where a session is in the store's directory.
pub fn name(number: u64) -> String {
    let id = id(number);
    format!("{:02x}/{id}", id.prefix())
}

/// The entry of the index for a session's file, once it is [`USER`]'s.
pub fn entry_of(name: &str) -> String {
    let hash = Sha256::digest(USER);
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let (_, id) = name.split_once('/').unwrap();
    format!("users/{}/{}.{id}", &hash[..3], &hash[3..])
}

/// Whether the sweep is to take this one.
pub fn is_old(number: u64) -> bool {
    number % 2 == 1
}

/// What an old session holds, or another one.
pub fn state(is_old: bool) -> SessionState {
    SessionState {
        user: None,
        expires: if is_old { EXPIRED } else { EXPIRES },
        data: vec![b'x'; SIZE],
    }
}

impl Sessions {
    /// Makes them.
    pub fn create(runtime: &Runtime, directory: &Path, count: u64) -> Self {
        // The first session of a subdirectory would have to make it.
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

    /// Makes those of some numbers.
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

    /// Waits until everything is on the medium: what is measured next does not
    /// pay for what was before.
    pub fn sync(&self) {
        let directory = File::open(&self.directory).unwrap();
        rustix::fs::syncfs(directory.as_fd()).unwrap();
    }
}

impl Order {
    /// Some of the sessions.
    pub fn pick(&self, count: u64, batch: usize) -> Vec<u64> {
        (0..batch).map(|_| self.below(count)).collect()
    }

    /// All of these in another order.
    pub fn shuffle(&self, numbers: &mut [u64]) {
        for last in (1..numbers.len()).rev() {
            let other = self.below(last as u64 + 1);
            numbers.swap(last, usize::try_from(other).unwrap());
        }
    }

    /// Marsaglia's xorshift.
    fn below(&self, limit: u64) -> u64 {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.0.set(state);
        state % limit
    }
}
