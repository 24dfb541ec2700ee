//! The directories of the benchmarks, and their file systems.

use std::fs::{self, DirEntry};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

/// The number of threads that remove files. On a file system that discards freed blocks at
/// once, several threads are faster than one.
const REMOVERS: usize = 8;

/// A new directory, which is removed when this value is dropped.
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Creates the directory. A directory of this name that a killed run left is removed first.
    pub fn new(parent: &Path, name: &str) -> Self {
        let path = parent.join(name);
        remove(&path);
        fs::create_dir(&path).unwrap();
        Self { path }
    }

    /// Returns the path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

fn remove(directory: &Path) {
    let files = files_in(directory);
    let share = files.len().div_ceil(REMOVERS).max(1);
    thread::scope(|scope| {
        for files in files.chunks(share) {
            // If a file remains, removing the directory below reports that.
            scope.spawn(move || files.iter().for_each(|file| drop(fs::remove_file(file))));
        }
    });
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            eprintln!("{}: {error}; remove it", directory.display());
        }
        _ => {}
    }
}

/// Returns all files below a directory that are on the same file system.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let device = |path: &Path| fs::symlink_metadata(path).map(|found| found.dev()).ok();
    let is_here = |entry: &DirEntry| device(&entry.path()) == device(directory);
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if !kind.is_dir() => vec![entry.path()],
            Ok(_) if is_here(&entry) => files_in(&entry.path()),
            _ => Vec::new(),
        })
        .collect()
}

/// Describes the file system of a directory: its type, whether it has a journal and discards
/// freed blocks at once, and its device.
pub fn file_system(directory: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let directory = directory.canonicalize().unwrap();
    let mount = mounts
        .lines()
        .filter_map(Mount::parse)
        .filter(|mount| directory.starts_with(mount.point))
        // Of several mounts at one place, `max_by_key` returns the last one, which is the one
        // that is visible.
        .max_by_key(|mount| mount.point.len());
    mount.map_or("an unknown file system".into(), |mount| mount.describe())
}

/// A line of `/proc/self/mountinfo`.
struct Mount<'a> {
    point: &'a str,
    kind: &'a str,
    device: &'a str,
    options: String,
}

impl<'a> Mount<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (own, of_file_system) = line.split_once(" - ")?;
        let own: Vec<_> = own.split(' ').collect();
        let mut rest = of_file_system.split(' ');
        Some(Self {
            point: own.get(4)?,
            kind: rest.next()?,
            device: rest.next()?,
            options: format!("{},{}", own.get(5)?, rest.next()?),
        })
    }

    fn describe(&self) -> String {
        let mut text = self.kind.to_owned();
        if self.kind == "ext4" {
            let has = if self.has_journal() {
                "with"
            } else {
                "without"
            };
            text += &format!(" {has} a journal");
        }
        if self.options.split(',').any(|option| option == "discard") {
            text += ", freed blocks discarded at once";
        }
        format!("{text} ({})", self.device)
    }

    fn has_journal(&self) -> bool {
        let device = format!("{}-", self.device.rsplit('/').next().unwrap());
        let journals = fs::read_dir("/proc/fs/jbd2").into_iter().flatten();
        journals
            .flatten()
            .any(|journal| journal.file_name().to_string_lossy().starts_with(&device))
    }
}
