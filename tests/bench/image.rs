//! A file system of our own: an ext4 with a journal, as most people have it, in
//! a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Bytes for each session: a page, its inode, its name.
const BYTES: u64 = 6_000;
/// For everything else, the peers' sessions included.
const MORE: u64 = 4 << 30;
const MORE_INODES: u64 = 1_000_000;

/// Mounted until this is dropped.
pub struct Image {
    mount_point: PathBuf,
}

/// Whether this user may have mounts of its own.
pub fn may_mount() -> bool {
    run("unshare", &["--mount", "true"]).is_ok()
}

impl Image {
    /// Makes it in a directory, with room for so many sessions and as many
    /// again.
    pub fn mount(directory: &Path, sessions: u64) -> Result<Self, String> {
        let mount_point = directory.join("image");
        fs::create_dir(&mount_point).map_err(|error| error.to_string())?;
        let (file, to) = (directory.join("image.ext4"), path(&mount_point));
        let mounted = make(path(&file), sessions)
            .and_then(|()| run("mount", &["-o", "loop", path(&file), to]));
        // While it is mounted, it needs no name; then nothing can remain of it.
        let _ = fs::remove_file(&file);
        mounted.map(|()| Self { mount_point })
    }

    /// Where it is mounted.
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
    // Otherwise the kernel goes on preparing it in the background.
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
