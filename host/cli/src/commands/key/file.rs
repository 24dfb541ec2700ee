//! Writing the file of a key ring, which only its owner may read.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use anyhow::{Context, Result};
use session3::store::encrypted::Keyring;

/// Creates the file, with the mode 0600.
///
/// # Errors
///
/// If it exists or cannot be created.
pub fn create(file: &Path, keyring: &Keyring) -> Result<()> {
    let write = || {
        let mut created = create_new(file)?;
        created.write_all(keyring.to_text().as_bytes())?;
        created.sync_all()?;
        sync_directory(file)
    };
    write().with_context(|| format!("{}: cannot be created", file.display()))
}

/// Replaces the file by another one with the same owner and mode, so that a kill at any instant
/// leaves the old file or the new one.
///
/// # Errors
///
/// If it cannot be replaced, or another command is replacing it.
pub fn replace(file: &Path, keyring: &Keyring) -> Result<()> {
    let write = || {
        // A symbolic link stays one.
        let file = file.canonicalize()?;
        let mut name = file.clone().into_os_string();
        name.push(".new");
        let new = Path::new(&name);
        let created = create_new(new).with_context(|| {
            format!(
                "{} cannot be created; if an interrupted command has left it there, remove it",
                new.display()
            )
        })?;
        let written = fill(created, &file, keyring).and_then(|()| Ok(fs::rename(new, &file)?));
        if written.is_err() {
            // The failure itself is reported.
            let _ = fs::remove_file(new);
        }
        written?;
        sync_directory(&file)
    };
    write().with_context(|| format!("{}: cannot be changed", file.display()))
}

fn create_new(file: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(file)
}

/// Writes a new file, with the owner and the mode of the old one.
fn fill(mut new: File, old: &Path, keyring: &Keyring) -> Result<()> {
    let old = fs::metadata(old)?;
    let made = new.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        fchown(&new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(Permissions::from_mode(old.mode() & 0o777))?;
    new.write_all(keyring.to_text().as_bytes())?;
    Ok(new.sync_all()?)
}

/// Makes the name of a file durable.
fn sync_directory(file: &Path) -> Result<()> {
    let directory = match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    Ok(File::open(directory)?.sync_all()?)
}
