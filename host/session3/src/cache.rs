//! The directory of compiled code. Every process that can write to it can run code in this
//! process, so a directory that is not only the user's is not used.

use std::fs::{self, DirBuilder, Metadata};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::sync::Once;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;
use wasmtime::{Cache, CacheConfig};

use crate::text::escaped;

/// The permission of the group, and of all other users, to write.
const WRITABLE_FOR_OTHERS: u32 = 0o022;

/// Opens the cache in a directory, which is created if it is missing. If it cannot be used,
/// logs why, once in a process, and returns `None`: every start then compiles anew.
pub fn open(directory: &Path) -> Option<Cache> {
    match try_open(directory) {
        Ok(cache) => Some(cache),
        Err(why) => {
            warn_once(directory, &why);
            None
        }
    }
}

fn warn_once(directory: &Path, why: &str) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        let directory = escaped(&directory.to_string_lossy());
        tracing::warn!(
            "{directory}: compiled code is not kept in this directory, so every start compiles \
             anew: {}",
            escaped(why)
        );
    });
}

fn try_open(directory: &Path) -> Result<Cache, String> {
    create(directory).map_err(|error| format!("it cannot be created: {error}"))?;
    // The checks and wasmtime shall use the same directory.
    let directory = directory.canonicalize();
    let directory = directory.map_err(|error| error.to_string())?;
    check_owner(&fs::metadata(&directory).map_err(|error| error.to_string())?)?;
    let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, &directory, access, AtFlags::EACCESS)
        .map_err(|error| format!("it cannot be written: {}", io::Error::from(error)))?;
    let mut config = CacheConfig::new();
    config.with_directory(directory);
    Cache::new(config).map_err(|error| format!("{error:#}"))
}

/// Creates the directory with access for the current user only.
fn create(directory: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory)
}

/// Checks that only the current user and root can write to a file or a directory.
pub fn check_owner(file: &Metadata) -> Result<(), String> {
    let (owner, user) = (file.uid(), geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(format!(
            "it belongs to the user with the ID {owner}, who could run code in this process"
        ));
    }
    if file.mode() & WRITABLE_FOR_OTHERS != 0 {
        return Err(
            "other users can write to it, who could run code in this process: take that \
             permission away with `chmod go-w`"
                .into(),
        );
    }
    Ok(())
}
