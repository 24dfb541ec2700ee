//! The file system, as the record and the index use it: what the native store
//! has in its `fs.rs`, over WASI.
//!
//! No link is followed where a file should be, and what is no regular file is
//! refused.

use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use super::lock::Lock;
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};
use crate::store::{StoreError, Timestamp};

/// What the host has to call the directory.
const DIRECTORY: &str = "/sessions";

/// More than this is not asked for at a time.
const MAX_READ: usize = 1 << 20;

/// The directory of the store.
pub struct Root {
    directory: Descriptor,
}

/// Why a call failed.
#[derive(Debug)]
pub enum Failure {
    /// The host says so.
    Host(ErrorCode),
    /// The lock is not this one's any more.
    LockLost,
}

/// Why a file was not opened.
#[derive(Debug)]
pub enum OpenFailure {
    /// There is something else than a regular file.
    Irregular,
    /// The host says so.
    Failed(Failure),
}

/// A file in it.
pub struct OpenFile {
    descriptor: Descriptor,
}

/// A session's file, whose lock is held until this is dropped.
pub struct Locked {
    file: OpenFile,
    lock: Rc<Lock>,
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq)]
pub enum Open {
    /// Reading.
    Read,
    /// Reading and writing.
    Write,
    /// Likewise, where there is none yet.
    New,
}

impl Root {
    /// The directory that the host gives.
    pub fn open() -> Result<Self, StoreError> {
        let mut given = preopens::get_directories().into_iter();
        let found = given.find(|(_, name)| name == DIRECTORY);
        let (directory, _) = found.ok_or_else(|| {
            StoreError::Unavailable(format!(
                "there is no directory {DIRECTORY} for the sessions: give one with --dir \
                 DIRECTORY::{DIRECTORY}"
            ))
        })?;
        Ok(Self { directory })
    }

    /// Opens a file. `None` when there is none; with [`Open::New`], when there
    /// is one. Its directory has to be there.
    ///
    /// Always for writing too: so the host waits for nobody at the other end of
    /// a FIFO.
    pub fn open_file(&self, name: &str, how: Open) -> Result<Option<OpenFile>, OpenFailure> {
        let create = match how {
            Open::New => OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
            Open::Read | Open::Write => OpenFlags::empty(),
        };
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let opened = self
            .directory
            .open_at(PathFlags::empty(), name, create, flags);
        let descriptor = match opened {
            Ok(descriptor) => descriptor,
            Err(ErrorCode::NoEntry) if how != Open::New => return Ok(None),
            Err(ErrorCode::Exist) if how == Open::New => return Ok(None),
            Err(_) if self.is_irregular(name) => return Err(OpenFailure::Irregular),
            Err(code) => return Err(OpenFailure::Failed(Failure::Host(code))),
        };
        match descriptor.get_type() {
            Ok(DescriptorType::RegularFile) => Ok(Some(OpenFile { descriptor })),
            Ok(_) => Err(OpenFailure::Irregular),
            Err(code) => Err(OpenFailure::Failed(Failure::Host(code))),
        }
    }

    /// Hosts have different words for a link, a directory, a socket or a device
    /// where a file should be.
    fn is_irregular(&self, name: &str) -> bool {
        let found = self.directory.stat_at(PathFlags::empty(), name);
        found.is_ok_and(|found| found.type_ != DescriptorType::RegularFile)
    }

    /// Makes a directory; that it is there already is fine.
    pub fn make_directory(&self, name: &str) -> Result<(), Failure> {
        match self.directory.create_directory_at(name) {
            Ok(()) | Err(ErrorCode::Exist) => Ok(()),
            Err(code) => Err(Failure::Host(code)),
        }
    }

    /// Takes the names in a directory, in no order; none when it is not there, or
    /// is something else. Names that are no UTF-8 are none of ours.
    pub fn list(&self, name: &str, mut take: impl FnMut(String)) -> Result<(), Failure> {
        let opened = self.directory.open_at(
            PathFlags::SYMLINK_FOLLOW,
            name,
            OpenFlags::DIRECTORY,
            DescriptorFlags::READ,
        );
        let directory = match opened {
            Err(ErrorCode::NoEntry | ErrorCode::NotDirectory) => return Ok(()),
            opened => opened.map_err(Failure::Host)?,
        };
        let entries = directory.read_directory().map_err(Failure::Host)?;
        loop {
            match entries.read_directory_entry() {
                Ok(Some(entry)) => take(entry.name),
                Ok(None) => return Ok(()),
                // Removed meanwhile.
                Err(ErrorCode::NoEntry | ErrorCode::IllegalByteSequence) => {}
                Err(code) => return Err(Failure::Host(code)),
            }
        }
    }

    /// Removes a name; that it is gone already is fine.
    pub fn unlink(&self, name: &str) -> Result<(), Failure> {
        match self.directory.unlink_file_at(name) {
            Ok(()) | Err(ErrorCode::NoEntry) => Ok(()),
            Err(code) => Err(Failure::Host(code)),
        }
    }

    /// Never asked for: this store flushes nothing.
    pub fn flush_directory(&self, _name: &str) -> Result<(), Failure> {
        Err(Failure::Host(ErrorCode::Unsupported))
    }
}

impl OpenFile {
    /// The size now.
    pub fn size(&self) -> Result<u64, Failure> {
        Ok(self.descriptor.stat().map_err(Failure::Host)?.size)
    }

    /// When it was last written, by the file system's clock, if that has one.
    pub fn modified(&self) -> Result<Option<Timestamp>, Failure> {
        let stat = self.descriptor.stat().map_err(Failure::Host)?;
        let modified = stat.data_modification_timestamp;
        Ok(modified.map(|at| at.seconds.saturating_mul(1000)))
    }

    /// Reads so many bytes, or fewer where the file ends.
    pub fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let rest = (length - bytes.len()).min(MAX_READ) as u64;
            let (read, is_at_end) = self
                .descriptor
                .read(rest, offset + bytes.len() as u64)
                .map_err(Failure::Host)?;
            bytes.extend_from_slice(&read);
            if is_at_end || read.is_empty() {
                break;
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Writes all of it.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let written = self
                .descriptor
                .write(rest, offset + done as u64)
                .map_err(Failure::Host)?;
            match usize::try_from(written) {
                Ok(written) if written > 0 => done += written,
                _ => return Err(Failure::Host(ErrorCode::Io)),
            }
        }
        Ok(())
    }

    /// Brings what was written to the medium.
    pub fn flush(&self) -> Result<(), Failure> {
        self.descriptor.sync_data().map_err(Failure::Host)
    }
}

impl Locked {
    /// A file, and the lock on its session.
    pub fn new(file: OpenFile, lock: &Rc<Lock>) -> Self {
        let lock = lock.clone();
        Self { file, lock }
    }

    /// Writes all of it, if the lock is still this one's.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), Failure> {
        match self.lock.is_held() {
            true => self.file.write_at(bytes, offset),
            false => Err(Failure::LockLost),
        }
    }
}

impl Deref for Locked {
    type Target = OpenFile;

    fn deref(&self) -> &OpenFile {
        &self.file
    }
}

impl OpenFailure {
    /// Whether a directory on the way is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Failed(Failure::Host(ErrorCode::NoEntry)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(code) => f.write_str(code.name()),
            Self::LockLost => f.write_str("the session was locked for too long"),
        }
    }
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::Unavailable(failure.to_string())
    }
}

impl From<OpenFailure> for StoreError {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Irregular => Self::Corrupt("it is not a regular file".into()),
            OpenFailure::Failed(failure) => failure.into(),
        }
    }
}
