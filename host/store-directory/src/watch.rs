//! Observing the system calls of a store, for tests that record what a power cut would
//! leave, or that let calls fail.

use std::io;

/// Observes every system call before it is made.
pub trait Watch: Send + Sync {
    /// Returns the largest number of bytes that a read or a write may transfer. An error
    /// becomes the result of the call, which is then not made.
    fn before(&self, call: Call) -> io::Result<usize>;
}

/// A system call, with the name of its file within the directory.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    /// Opens a file that exists.
    Open(&'a str),
    /// Creates a file.
    Create(&'a str),
    /// Reads a file's attributes.
    Stat(&'a str),
    /// Tries to take a lock.
    Lock(&'a str),
    /// Reads.
    Read(&'a str),
    /// Reads what the system has in its memory. This never waits for the disk, and fails
    /// with `EAGAIN` if it would have to.
    ReadInMemory(&'a str),
    /// Writes.
    Write {
        /// The file.
        name: &'a str,
        /// The offset in the file.
        offset: u64,
        /// The bytes to write.
        bytes: &'a [u8],
    },
    /// Sets the size of a file, without writing bytes.
    Resize(&'a str),
    /// Makes a file's data durable.
    Flush(&'a str),
    /// Removes a name.
    Unlink(&'a str),
    /// Creates a directory.
    MakeDirectory(&'a str),
    /// Reads the names in a directory.
    List(&'a str),
    /// Makes a directory's entries durable.
    FlushDirectory(&'a str),
}
