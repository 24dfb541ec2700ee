//! The system calls that an operation needs at least, as a lower bound for the time of a store.
//! Names are relative to the open directory, as in the store.
//!
//! | operation | calls |
//! | --- | --- |
//! | load | open, pread, close |
//! | save, touch | open, flock, pread, pwrite, close |
//! | create | open with O_EXCL, flock, pwrite (slot), pwrite (header), close |
//! | delete | open, flock, pread, pwrite (tombstone), unlink, close |
//! | create, delete of a session with a user | also open with O_EXCL and close, or unlink |
//! | load of a cached file | pread |
//! | save, touch of a cached file | flock, pread, pwrite, unlock |
//!
//! Files are opened by openat2 with RESOLVE_BENEATH, which refuses paths that leave the directory.
//! With durability `Disk`, fdatasync follows each pwrite. Create and delete end with open, fsync
//! and close of the directory of the file.
//!
//! The calls use the files of the store and write back the bytes that they read, so that they leave
//! the files as the store expects them.

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

// Offsets and lengths in a record, by the documentation of `session3-record`.
const HEADER: usize = 512;
const SLOT: usize = 40 + SIZE;
const TOMBSTONE: (u64, usize) = (32, 8);
const CELL: (usize, usize) = (88, 40);
/// The bytes that a load reads.
pub const PAGE: usize = 4096;

/// The bare system calls as a contestant.
pub struct Bare {
    root: File,
    /// The open files by session; empty if the calls open and close the files.
    kept: HashMap<u64, OwnedFd>,
    is_durable: bool,
    has_index: bool,
}

impl Bare {
    /// Opens the directory of a store, and the files of the sessions `kept`, which stay open. With
    /// `is_durable`, every write is flushed.
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

    /// Sets whether a create and a delete also create and remove an entry of the index by user.
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

    /// Returns the file of a session whose file is kept open.
    pub fn kept(&self, number: u64) -> &OwnedFd {
        &self.kept[&number]
    }

    /// Loads, saves or touches a session whose file is open.
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

    /// Reads a record, and writes a part of it back.
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

/// Opens a file below the directory with the flags that the store uses.
pub fn open(root: &File, name: &str, flags: OFlags) -> OwnedFd {
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NOATIME;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root, name, flags, open_mode(flags), resolve).unwrap()
}

/// Returns the permissions of a new file. Without O_CREAT, openat2 accepts none.
fn open_mode(flags: OFlags) -> Mode {
    match flags.contains(OFlags::CREATE) {
        true => Mode::RUSR | Mode::WUSR,
        false => Mode::empty(),
    }
}

/// Reads the first page of a record.
pub fn read(file: &OwnedFd) -> [u8; PAGE] {
    let mut page = [0; PAGE];
    assert!(pread(file, &mut page, 0).unwrap() >= HEADER + SLOT);
    page
}
