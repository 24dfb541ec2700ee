//! How this process may use the file.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use rusqlite::{Connection, OpenFlags};

/// What stays as it is in the path of a URI.
const IN_URI: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'.').remove(b'-');

/// How connections open the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// For reading and writing.
    Write,
    /// For reading. The files `-wal` and `-shm` must exist, or this process must have the right
    /// to create them.
    Read,
    /// For reading a file that nothing writes. SQLite then needs no other file, and no lock.
    ReadUnchanging,
}

impl Access {
    /// Opens the file at an absolute path.
    pub fn connect(self, path: &Path) -> rusqlite::Result<Connection> {
        // Each connection belongs to one thread.
        let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            // SQLite does not take a path that is absolute for one of its URIs.
            Self::Write => {
                let flags = flags | OpenFlags::SQLITE_OPEN_READ_WRITE;
                Connection::open_with_flags(path, flags)
            }
            Self::Read => {
                let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY;
                Connection::open_with_flags(path, flags)
            }
            Self::ReadUnchanging => {
                let flags = flags | OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let path = percent_encode(path.as_os_str().as_bytes(), IN_URI);
                Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)
            }
        }
    }
}
