//! An eye on the system calls of a directory store: for tests, which record what
//! a power cut would leave, or make calls fail.

use std::io;

/// Sees every system call before it is made.
pub trait Watch: Send + Sync {
    /// An error is the answer of the call, which is then not made. Otherwise,
    /// the most bytes that a read or a write may transfer.
    fn before(&self, call: Call) -> io::Result<usize>;
}

/// A system call with the name of its file within the directory.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// Opens a file that is there.
    Open(&'a str),
    /// Opens a file that is not there yet.
    Create(&'a str),
    /// Asks for a file's attributes.
    Stat(&'a str),
    /// Tries to take a lock.
    Lock(&'a str),
    /// Reads.
    Read(&'a str),
    /// Writes.
    Write {
        /// Where.
        name: &'a str,
        /// Where in it.
        offset: u64,
        /// What.
        bytes: &'a [u8],
    },
    /// Brings a file's data to the medium.
    Flush(&'a str),
    /// Removes a name.
    Unlink(&'a str),
    /// Makes a directory.
    MakeDirectory(&'a str),
    /// Reads the names in a directory.
    List(&'a str),
    /// Brings a directory's entries to the medium.
    FlushDirectory(&'a str),
}
