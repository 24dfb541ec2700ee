//! What processes know of each other's saves, in a file that a kill does not
//! take back: a cell for each session and process, which only that one writes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use session3_store::Version;

use crate::content::number_at;

const CELL: usize = 32;

/// What a process knows of a session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// The latest version that a store acknowledged to it or showed it.
    pub version: Version,
    /// How often a save of its was acknowledged.
    pub additions: u64,
    /// 1 while it waits for an answer.
    pub under_way: u64,
}

/// The cells of all, to read, and of one, to write.
pub struct Ledger {
    file: File,
    processes: usize,
    me: usize,
    mine: Vec<Cell>,
}

impl Ledger {
    /// Opens the file, and goes on where this process, or one before it with
    /// the same number, was.
    pub fn open(path: &Path, processes: usize, me: usize, sessions: u64) -> Self {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut ledger = Self {
            file: options.open(path).unwrap(),
            processes,
            me,
            mine: Vec::new(),
        };
        ledger.mine = (0..sessions).map(|n| ledger.cells(n)[me]).collect();
        ledger
    }

    /// What each process knows of a session.
    pub fn cells(&self, session: u64) -> Vec<Cell> {
        let mut bytes = vec![0; self.processes * CELL];
        // Read again if one was being written.
        loop {
            // What was never written are zeros.
            let _ = self.file.read_at(&mut bytes, self.offset(session, 0));
            let cells: Option<Vec<_>> = bytes.chunks(CELL).map(Cell::decode).collect();
            if let Some(cells) = cells {
                return cells;
            }
        }
    }

    /// The latest version that anybody has seen: no load that begins now may
    /// answer with an older one.
    pub fn latest(&self, session: u64) -> Version {
        let versions = self.cells(session).into_iter().map(|cell| cell.version);
        versions.max().unwrap_or(0)
    }

    /// A load has answered.
    pub fn saw(&mut self, session: u64, version: Version) {
        if self.mine[session as usize].version < version {
            self.change(session, |cell| cell.version = version);
        }
    }

    /// A save begins.
    pub fn begin(&mut self, session: u64) {
        self.change(session, |cell| cell.under_way = 1);
    }

    /// It was acknowledged.
    pub fn finish(&mut self, session: u64, version: Version) {
        self.change(session, |cell| {
            cell.version = version;
            cell.additions += 1;
            cell.under_way = 0;
        });
    }

    /// It was refused, or its process was killed.
    pub fn abandon(&mut self, session: u64) {
        self.change(session, |cell| cell.under_way = 0);
    }

    /// The sessions of which this process has a save under way.
    pub fn under_way(&self) -> Vec<u64> {
        let cells = (0..).zip(&self.mine);
        let under_way = cells.filter(|(_, cell)| cell.under_way == 1);
        under_way.map(|(session, _)| session).collect()
    }

    fn change(&mut self, session: u64, change: impl FnOnce(&mut Cell)) {
        let cell = &mut self.mine[session as usize];
        change(cell);
        let bytes = cell.encode();
        let offset = self.offset(session, self.me);
        self.file.write_all_at(&bytes, offset).unwrap();
    }

    fn offset(&self, session: u64, process: usize) -> u64 {
        (session * self.processes as u64 + process as u64) * CELL as u64
    }
}

impl Cell {
    /// Shows whether all of a cell is of one write; of zeros it is zero.
    fn check(&self) -> u64 {
        let sum = self.version.wrapping_mul(3) ^ self.additions.wrapping_mul(5);
        sum ^ self.under_way.wrapping_mul(7 << 32)
    }

    fn encode(&self) -> Vec<u8> {
        let numbers = [self.version, self.additions, self.under_way, self.check()];
        numbers.into_iter().flat_map(u64::to_le_bytes).collect()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let cell = Self {
            version: number_at(bytes, 0),
            additions: number_at(bytes, 8),
            under_way: number_at(bytes, 16),
        };
        (cell.check() == number_at(bytes, 24)).then_some(cell)
    }
}
