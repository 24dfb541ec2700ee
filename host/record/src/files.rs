//! The file system as this crate needs it.

use std::sync::Arc;

use session3_store::StoreError;

/// A session's file, open for reading.
pub trait RecordFile {
    /// Reads `length` bytes at `offset`, or fewer where the file ends.
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError>;

    /// Returns the size of the file in bytes.
    fn size(&self) -> Result<u64, StoreError>;
}

impl<F: RecordFile> RecordFile for Arc<F> {
    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        F::read_at(self, offset, length)
    }

    fn size(&self) -> Result<u64, StoreError> {
        F::size(self)
    }
}

/// A session's file whose exclusive lock is held as long as the value exists.
pub trait LockedFile: RecordFile {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError>;

    /// Removes all bytes: the file has size 0 after that. On a full disk, this may succeed
    /// where a write fails.
    fn truncate(&self) -> Result<(), StoreError>;

    /// Makes the file's data durable (`fdatasync`).
    fn sync(&self) -> Result<(), StoreError>;
}

/// A directory of sessions. Names are relative to it, with `/` between their parts.
pub trait Directory {
    /// An open file.
    type File: RecordFile;

    /// Opens a file, without following a link in its place.
    ///
    /// Returns `None` if there is no such file; with [`OpenMode::Create`], if there is
    /// one already.
    fn open_file(&self, name: &str, mode: OpenMode) -> Result<Option<Self::File>, OpenFailure>;

    /// Creates a directory, or leaves it as it is if it exists.
    fn create_directory(&self, name: &str) -> Result<(), StoreError>;

    /// Calls `visit` with each name in a directory, in no particular order. A directory
    /// that does not exist has no names.
    fn list(&self, name: &str, visit: &mut dyn FnMut(String)) -> Result<(), StoreError>;

    /// Removes a file, or does nothing if it does not exist.
    fn remove_file(&self, name: &str) -> Result<(), StoreError>;

    /// Makes an empty file that was just created durable.
    fn sync_file(&self, file: &Self::File) -> Result<(), StoreError>;

    /// Makes the entries of a directory durable (`fsync`). A directory that does not exist
    /// has none.
    fn sync_directory(&self, name: &str) -> Result<(), StoreError>;
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// Reading a file that exists.
    Read,
    /// Reading and writing a file that exists.
    Write,
    /// Reading and writing a file that does not exist yet.
    Create,
}

/// Why a file was not opened.
#[derive(Debug)]
pub enum OpenFailure {
    /// The name belongs to something that is not a regular file.
    Irregular,
    /// A directory on the way to the file does not exist. The text is the system's.
    NoDirectory(String),
    /// This process may not open the file in this mode. The text is the system's.
    Denied(String),
    /// The system failed with this message.
    Failed(String),
}

impl From<OpenFailure> for StoreError {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Irregular => irregular(),
            OpenFailure::NoDirectory(what)
            | OpenFailure::Denied(what)
            | OpenFailure::Failed(what) => Self::Unavailable(what),
        }
    }
}

/// Returns the error for something that is not a regular file in a record's place.
pub fn irregular() -> StoreError {
    StoreError::Corrupt("it is not a regular file".into())
}
