//! An image of an ext4 file system with a journal, as many servers have it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The bytes for each session: a page, an inode and a name.
const BYTES: u64 = 6_000;
/// The bytes for everything else, which includes the sessions of the peers.
const MORE: u64 = 4 << 30;
/// The inodes for everything else.
const MORE_INODES: u64 = 1_000_000;

/// A file system in a file, which is unmounted when this value is dropped.
pub struct Image {
    mount_point: PathBuf,
}

/// Returns whether this user may mount file systems in a namespace of its own.
pub fn may_mount() -> bool {
    run("unshare", &["--mount", "true"]).is_ok()
}

impl Image {
    /// Creates and mounts an image in a directory, with room for twice this number of sessions.
    pub fn mount(directory: &Path, sessions: u64) -> Result<Self, String> {
        let mount_point = directory.join("image");
        fs::create_dir(&mount_point).map_err(|error| error.to_string())?;
        let (file, to) = (directory.join("image.ext4"), path(&mount_point));
        let mounted = make(path(&file), sessions)
            .and_then(|()| run("mount", &["-o", "loop", path(&file), to]));
        // A mounted image needs no name. Without one, it ends with the mount.
        let _ = fs::remove_file(&file);
        mounted.map(|()| Self { mount_point })
    }

    /// Returns the directory where the image is mounted.
    pub fn path(&self) -> &Path {
        &self.mount_point
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["--lazy", path(&self.mount_point)]) {
            eprintln!("{error}");
        }
    }
}

fn make(file: &str, sessions: u64) -> Result<(), String> {
    let size = (2 * BYTES * sessions + MORE).to_string();
    let inodes = (2 * sessions + MORE_INODES).to_string();
    run("truncate", &["--size", &size, file])?;
    // Otherwise the kernel would initialise the file system in the background while the benchmarks
    // run.
    let at_once = "lazy_itable_init=0,lazy_journal_init=0";
    run(
        "mkfs.ext4",
        &["-F", "-q", "-N", &inodes, "-E", at_once, file],
    )
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let says = |text: &str| format!("{program} says: {}", text.trim());
    match Command::new(program).args(arguments).output() {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(says(&String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(says(&error.to_string())),
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
