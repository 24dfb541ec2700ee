//! The file of the database, without SQLite.
//!
//! Nothing here opens the file. The locks of SQLite belong to the process, and closing any
//! file descriptor of the file would release those of every connection in this process.

use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, mknodat, stat, statfs};
use rustix::io::Errno;

use crate::OpenError;
use crate::other_writers::other_writers;

/// The permissions of a new file. SQLite gives them to the files `-wal` and `-shm`, too.
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A path, and the file that it led to when the store was opened.
#[derive(Clone, Debug)]
pub struct DatabaseFile {
    /// The absolute path, so that it does not depend on the working directory.
    pub path: PathBuf,
    /// The numbers of the device and of the inode.
    identity: (u64, u64),
}

impl DatabaseFile {
    /// Finds the file, and creates an empty one if it is missing and `create` allows it.
    pub fn find(path: &Path, create: bool) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Failed(path.to_owned(), error);
        let path = std::path::absolute(path).map_err(failed)?;
        if create {
            create_file(&path)?;
        }
        let stat = stat(&path).map_err(|errno| missing(&path, errno))?;
        match FileType::from_raw_mode(stat.st_mode) {
            // SQLite takes a file of a single byte for an empty one, and would overwrite it.
            FileType::RegularFile if stat.st_size == 1 => Err(OpenError::NotADatabase(path)),
            FileType::RegularFile => Ok(Self {
                identity: (stat.st_dev, stat.st_ino),
                path,
            }),
            _ => Err(OpenError::NotAFile(path)),
        }
    }

    /// Checks that the path still leads to the file that is open. Sessions that are written
    /// into a file without a name would be lost.
    pub fn check_place(&self) -> Result<(), &'static str> {
        match stat(&self.path) {
            Ok(stat) if (stat.st_dev, stat.st_ino) == self.identity => Ok(()),
            Ok(_) => Err("the file was replaced; put it back, or restart this program"),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err("the file is gone; put it back, or restart this program")
            }
            // This process may not look. It may still write.
            Err(_) => Ok(()),
        }
    }

    /// Returns who else may write the file or its directory, as an advice each.
    pub fn other_writers(&self) -> io::Result<Vec<String>> {
        let directory = self.path.parent().unwrap_or(&self.path);
        Ok(other_writers(&stat(&self.path)?, &stat(directory)?))
    }

    /// Returns the size of the write-ahead log in bytes.
    pub fn log_size(&self) -> u64 {
        let mut path = self.path.clone().into_os_string();
        path.push("-wal");
        stat(path).map_or(0, |stat| stat.st_size.unsigned_abs())
    }

    /// Returns whether locks on the file exclude every process that can reach it.
    pub fn is_multiprocess_safe(&self) -> bool {
        // The type is a signed number on some architectures; the numbers have 32 bits.
        statfs(&self.path).is_ok_and(|fs| locks_bind_all_processes(fs.f_type as u64 & 0xffff_ffff))
    }
}

/// Creates an empty file for its owner only, if there is none.
fn create_file(path: &Path) -> Result<(), OpenError> {
    match mknodat(CWD, path, FileType::RegularFile, FILE_MODE, 0) {
        Ok(()) => sync_parent(path).map_err(|error| OpenError::Failed(path.to_owned(), error)),
        Err(Errno::EXIST) => Ok(()),
        Err(Errno::NOENT) => Err(OpenError::NoDirectory(path.to_owned())),
        Err(errno) => Err(missing(path, errno)),
    }
}

/// Makes the name of a new file durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().unwrap_or(path);
    std::fs::File::open(parent)?.sync_all()
}

fn missing(path: &Path, errno: Errno) -> OpenError {
    let path = path.to_owned();
    match errno {
        Errno::NOENT => OpenError::Missing(path),
        Errno::NOTDIR => OpenError::NoDirectory(path),
        Errno::ACCESS | Errno::PERM | Errno::ROFS => OpenError::NotWritable(path),
        errno => OpenError::Failed(path, errno.into()),
    }
}

/// Returns whether a lock on this file system, by the number that Linux gives it, excludes
/// every process that can reach the files. Where another machine or a program in user space
/// serves the files, it need not.
fn locks_bind_all_processes(file_system: u64) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: u64 = 0x517b;
    const CIFS: u64 = 0xff53_4d42;
    const SMB2: u64 = 0xfe53_4d42;
    const FUSE: u64 = 0x6573_5546;
    const V9FS: u64 = 0x0102_1997;
    const CEPH: u64 = 0x00c3_6400;
    const AFS: u64 = 0x5346_414f;
    const CODA: u64 = 0x7375_7245;
    ![NFS, SMB, CIFS, SMB2, FUSE, V9FS, CEPH, AFS, CODA].contains(&file_system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_of_network_and_user_file_systems_are_not_trusted() {
        let (ext4, tmpfs, xfs) = (0xef53, 0x0102_1994, 0x5846_5342);
        assert!([ext4, tmpfs, xfs].into_iter().all(locks_bind_all_processes));
        let (nfs, fuse, plan_9) = (0x6969, 0x6573_5546, 0x0102_1997);
        let network = [nfs, fuse, plan_9];
        assert!(!network.into_iter().any(locks_bind_all_processes));
    }
}
