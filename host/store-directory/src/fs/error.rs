//! What the errors of system calls mean to the store.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use session3_record::{OpenFailure, irregular};
use session3_store::StoreError;

use crate::descriptor_cache::DescriptorCache;
use crate::watch::{Call, Watch};

/// Makes a system call, which a test may observe or let fail. Repeats it after a signal.
fn watched<T>(
    watch: Option<&dyn Watch>,
    call: Call,
    mut make: impl FnMut(usize) -> io::Result<T>,
) -> io::Result<T> {
    loop {
        let limit = watch.map_or(Ok(usize::MAX), |watch| watch.before(call));
        match limit.and_then(&mut make) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Makes a system call like [`watched`]. If it lacks what the files in the cache may take,
/// closes them and repeats the call once.
pub fn watched_with_cache<T>(
    watch: Option<&dyn Watch>,
    cache: impl FnOnce() -> Option<Arc<DescriptorCache>>,
    call: Call,
    mut make: impl FnMut(usize) -> io::Result<T>,
) -> io::Result<T> {
    match watched(watch, call, &mut make) {
        Err(error) if may_be_taken_by_cache(call, &error) => {
            if let Some(cache) = cache() {
                cache.clear();
            }
            watched(watch, call, make)
        }
        result => result,
    }
}

/// Converts an error of a system call on a file that is open, or on a name.
pub fn store_error(error: io::Error) -> StoreError {
    // The call read from a FIFO or a directory.
    match is_one_of(&error, &[Errno::SPIPE, Errno::ISDIR]) {
        true => irregular(),
        false => StoreError::Unavailable(error.to_string()),
    }
}

/// Returns whether a network file system has lost a file or directory that is open. A
/// [change](may_be_made) that failed for this reason does not count.
pub fn is_stale(error: &StoreError) -> bool {
    let stale = io::Error::from(Errno::STALE).to_string();
    matches!(error, StoreError::Unavailable(what) if what.ends_with(&stale))
}

/// Adds to the error of a change that has begun that it must not be repeated.
pub fn may_be_made(error: StoreError) -> StoreError {
    match error {
        StoreError::Unavailable(what) if is_stale(&StoreError::Unavailable(what.clone())) => {
            StoreError::Unavailable(format!("{what}; whether the change was made is not known"))
        }
        error => error,
    }
}

/// Converts the error of opening a file that was not simply absent.
pub fn open_failure(error: &io::Error) -> OpenFailure {
    let text = error.to_string();
    if is_irregular(error) {
        OpenFailure::Irregular
    } else if error.kind() == io::ErrorKind::NotFound {
        OpenFailure::NoDirectory(text)
    } else if is_one_of(error, &[Errno::ACCESS, Errno::PERM, Errno::ROFS]) {
        OpenFailure::Denied(text)
    } else {
        OpenFailure::Failed(text)
    }
}

/// Adds the name of a directory to an error, which the system's message lacks.
pub fn with_name(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Returns whether an error of opening a directory means that there is no such directory.
pub fn is_no_directory(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    // This is how cap-std refuses a name that leads out of the directory. An error of the
    // system has a number.
    let leads_out =
        error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
    kinds.contains(&error.kind()) || leads_out
}

/// Returns whether a call failed for lack of file descriptors, or for lack of space: a file
/// that is open takes its space also after another process has removed it.
///
/// A flush that failed is never repeated. The system may then report data as durable that
/// it has dropped.
fn may_be_taken_by_cache(call: Call, error: &io::Error) -> bool {
    let is_flush = matches!(call, Call::Flush(_) | Call::FlushDirectory(_));
    is_one_of(error, &[Errno::MFILE, Errno::NFILE])
        || !is_flush && is_one_of(error, &[Errno::NOSPC, Errno::DQUOT])
}

/// Returns whether the error is one of these.
pub fn is_one_of(error: &io::Error, numbers: &[Errno]) -> bool {
    let raw = error.raw_os_error();
    numbers
        .iter()
        .any(|errno| raw == Some(errno.raw_os_error()))
}

/// Returns whether opening a file failed because a link, a directory, a socket or a device
/// has its name.
fn is_irregular(error: &io::Error) -> bool {
    is_one_of(
        error,
        &[Errno::LOOP, Errno::ISDIR, Errno::NXIO, Errno::NODEV],
    )
}
