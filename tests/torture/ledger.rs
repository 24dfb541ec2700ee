//! A file in which the processes record what they know of the sessions, so that a kill loses none
//! of it. It has a cell for each session and process, which only that process writes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use session3_store::Version;

use crate::content::number_at;

const CELL: usize = 32;

/// The knowledge of one process about one session.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cell {
    /// The latest version that the process has loaded or saved.
    pub version: Version,
    /// The number of its saves that were acknowledged.
    pub additions: u64,
    /// 1 while the process waits for the result of a save, otherwise 0.
    pub under_way: u64,
}

/// The cells of all processes, of which one process reads all and writes its own.
pub struct Ledger {
    file: File,
    processes: usize,
    me: usize,
    mine: Vec<Cell>,
}

impl Ledger {
    /// Opens the file for process number `me`, and continues with the cells that an earlier process
    /// of this number wrote.
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

    /// Returns the cell of each process for a session.
    pub fn cells(&self, session: u64) -> Vec<Cell> {
        let mut bytes = vec![0; self.processes * CELL];
        // A cell that is just being written does not pass its check, and is read again.
        loop {
            // Cells that were never written are zeros, also those beyond the end of the file.
            let _ = self.file.read_at(&mut bytes, self.offset(session, 0));
            let cells: Option<Vec<_>> = bytes.chunks(CELL).map(Cell::decode).collect();
            if let Some(cells) = cells {
                return cells;
            }
        }
    }

    /// Returns the latest version that any process has seen. No load that begins now may return an
    /// older one.
    pub fn latest(&self, session: u64) -> Version {
        let versions = self.cells(session).into_iter().map(|cell| cell.version);
        versions.max().unwrap_or(0)
    }

    /// Records the version that a load returned.
    pub fn saw(&mut self, session: u64, version: Version) {
        if self.mine[session as usize].version < version {
            self.change(session, |cell| cell.version = version);
        }
    }

    /// Records that a save begins.
    pub fn begin(&mut self, session: u64) {
        self.change(session, |cell| cell.under_way = 1);
    }

    /// Records that the save was acknowledged, with its version.
    pub fn finish(&mut self, session: u64, version: Version) {
        self.change(session, |cell| {
            cell.version = version;
            cell.additions += 1;
            cell.under_way = 0;
        });
    }

    /// Records that the save was refused, or that its process was killed.
    pub fn abandon(&mut self, session: u64) {
        self.change(session, |cell| cell.under_way = 0);
    }

    /// Returns the sessions for which this process waits for the result of a save.
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
    /// Returns a checksum, which shows that all of a cell comes from one write. The checksum of
    /// zeros is zero.
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
