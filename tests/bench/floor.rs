//! Nothing but the system calls that an operation cannot do without, relative to
//! the open directory as the store makes them:
//!
//! | operation | calls |
//! | --- | --- |
//! | load | open, pread, close |
//! | save, touch | open, flock, pread, pwrite, close |
//! | create | open with O_EXCL, flock, pwrite (slot), pwrite (header), close |
//! | delete | open, flock, pread, pwrite (tombstone), unlink, close |
//! | create, delete of a user's | also open with O_EXCL and close, or unlink |
//! | load of a file that is kept open | pread |
//! | save, touch of such a file | flock, pread, pwrite, unlock |
//!
//! Files are opened by openat2 with RESOLVE_BENEATH, which keeps to the directory.
//! For the disk, each pwrite is followed by fdatasync; and create and delete by
//! open, fsync and close of the directory that the file is in.
//!
//! They use the store's own files, and write back what they read, so that both
//! find the same.

use std::collections::HashMap;
use std::fs::File;
use std::hint::black_box;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, ResolveFlags, fdatasync, flock, fsync};
use rustix::io::{pread, pwrite};

use crate::operations::{Contestant, Operation};
use crate::sessions::{SIZE, entry_of, name};

/// Where `host/src/store/directory/record.rs` has things.
const HEADER: usize = 512;
const SLOT: usize = 40 + SIZE;
const TOMBSTONE: (u64, usize) = (32, 8);
const CELL: (usize, usize) = (88, 40);
/// What is read.
pub const PAGE: usize = 4096;

/// The system calls.
pub struct Bare {
    root: File,
    /// Empty unless files are kept open.
    kept: HashMap<u64, OwnedFd>,
    is_durable: bool,
    has_index: bool,
}

impl Bare {
    /// In a store's directory, with the files of some sessions kept open.
    pub fn new(directory: &Path, kept: &[u64], is_durable: bool) -> Self {
        let root = File::open(directory).unwrap();
        let open = |number: &u64| (*number, open(&root, &name(*number), OFlags::RDWR));
        let kept = kept.iter().map(open).collect();
        Self {
            root,
            kept,
            is_durable,
            has_index: false,
        }
    }

    /// Whether to make and remove entries of the index by user, too.
    pub fn with_index(mut self, has_index: bool) -> Self {
        self.has_index = has_index;
        self
    }

    fn perform(&self, operation: Operation, name: &str) {
        match operation {
            Operation::Create => self.create(name),
            Operation::Load => {
                let file = open(&self.root, name, OFlags::RDONLY);
                black_box(read(&file));
            }
            Operation::Save => self.write_back(name, (HEADER, SLOT)),
            Operation::Touch => self.write_back(name, CELL),
            Operation::Delete => self.delete(name),
        }
    }

    /// The file of a session, which is kept open.
    pub fn kept(&self, number: u64) -> &OwnedFd {
        &self.kept[&number]
    }

    /// Loads, saves or touches the session of an open file.
    pub fn perform_kept(&self, operation: Operation, file: &OwnedFd) {
        let (offset, length) = match operation {
            Operation::Save => (HEADER, SLOT),
            Operation::Touch => CELL,
            _ => {
                black_box(read(file));
                return;
            }
        };
        flock(file, FlockOperation::LockExclusive).unwrap();
        let page = read(file);
        self.write(file, &page[offset..offset + length], offset as u64);
        flock(file, FlockOperation::Unlock).unwrap();
    }

    fn create(&self, name: &str) {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open(&self.root, name, flags);
        flock(&file, FlockOperation::LockExclusive).unwrap();
        if self.has_index {
            open(&self.root, &entry_of(name), flags);
        }
        self.write(&file, &[1; SLOT], HEADER as u64);
        self.write(&file, &[1; HEADER], 0);
        self.flush_parent(name);
    }

    fn write_back(&self, name: &str, (offset, length): (usize, usize)) {
        let file = open(&self.root, name, OFlags::RDWR);
        flock(&file, FlockOperation::LockExclusive).unwrap();
        let page = read(&file);
        self.write(&file, &page[offset..offset + length], offset as u64);
    }

    fn delete(&self, name: &str) {
        let file = open(&self.root, name, OFlags::RDWR);
        flock(&file, FlockOperation::LockExclusive).unwrap();
        black_box(read(&file));
        let (offset, length) = TOMBSTONE;
        self.write(&file, &[255; PAGE][..length], offset);
        if self.has_index {
            rustix::fs::unlinkat(&self.root, entry_of(name), AtFlags::empty()).unwrap();
        }
        rustix::fs::unlinkat(&self.root, name, AtFlags::empty()).unwrap();
        self.flush_parent(name);
    }

    fn write(&self, file: &OwnedFd, bytes: &[u8], offset: u64) {
        assert_eq!(pwrite(file, bytes, offset).unwrap(), bytes.len());
        if self.is_durable {
            fdatasync(file).unwrap();
        }
    }

    fn flush_parent(&self, name: &str) {
        if self.is_durable {
            let (parent, _) = name.split_once('/').unwrap();
            fsync(open(&self.root, parent, OFlags::RDONLY)).unwrap();
        }
    }
}

impl Contestant for Bare {
    fn can(&self, _: Operation) -> bool {
        true
    }

    fn run(&mut self, operation: Operation, numbers: &[u64]) -> Duration {
        if !self.kept.is_empty() {
            let files: Vec<_> = numbers.iter().map(|number| self.kept(*number)).collect();
            let start = Instant::now();
            files
                .iter()
                .for_each(|file| self.perform_kept(operation, file));
            return start.elapsed();
        }
        let names: Vec<_> = numbers.iter().copied().map(name).collect();
        let start = Instant::now();
        names.iter().for_each(|name| self.perform(operation, name));
        start.elapsed()
    }
}

/// Opens a file as the store does: nothing but what is below the directory.
pub fn open(root: &File, name: &str, flags: OFlags) -> OwnedFd {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOATIME;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, name, flags, open_mode(flags), resolve).unwrap()
}

/// Of what is not made, the system wants none.
fn open_mode(flags: OFlags) -> Mode {
    match flags.contains(OFlags::CREATE) {
        true => Mode::RUSR | Mode::WUSR,
        false => Mode::empty(),
    }
}

/// Reads the first page.
pub fn read(file: &OwnedFd) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    assert!(pread(file, &mut page, 0).unwrap() >= HEADER + SLOT);
    page
}
