//! The file system, as the store uses it: the only module that touches the
//! operating system.
//!
//! The directory is opened once, and every access goes through that handle, so
//! nothing outside it can be reached, whatever is in it.

use std::fs::File;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::Path;

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, DirBuilder, OpenOptions, OpenOptionsExt};
use fs2::FileExt as _;
use rustix::fs::{Access, AtFlags, FileType};
use rustix::io::Errno;

use crate::store::{SessionId, StoreError};

/// Nobody else's business.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The directory of a store.
pub struct Root {
    dir: Dir,
}

/// One session's file, open.
pub struct RecordFile {
    file: File,
}

/// What a lock keeps away.
#[derive(Clone, Copy)]
pub enum Lock {
    /// Writers.
    Shared,
    /// Everybody who locks.
    Exclusive,
}

/// What a file is opened for.
#[derive(Clone, Copy, PartialEq)]
pub enum Open {
    /// Reading only.
    Read,
    /// Reading and writing.
    Write,
    /// Likewise, where there is none yet.
    New,
}

impl Root {
    /// Opens the directory; with `create`, makes it where it is missing.
    pub fn open(path: &Path, create: bool) -> io::Result<Self> {
        if create {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(path)?;
        }
        let dir = Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
        Ok(Self { dir })
    }

    /// An error when sessions cannot be made here.
    pub fn check_writable(&self) -> io::Result<()> {
        let access = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        Ok(rustix::fs::accessat(
            &self.dir,
            ".",
            access,
            AtFlags::EACCESS,
        )?)
    }

    /// The type of the file system, as Linux numbers it.
    pub fn file_system(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstatfs(&self.dir)?.f_type as u64)
    }

    /// Opens the file of a session. `None` when there is none; with
    /// [`Open::New`], when there is one.
    pub fn open_record(&self, id: &SessionId, how: Open) -> Result<Option<RecordFile>, StoreError> {
        match self.try_open(id, how) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && how == Open::New => {
                self.make_parent(id)?;
                self.try_open(id, how)
            }
            result => result,
        }
        .map(Some)
        .or_else(|error| match error.kind() {
            io::ErrorKind::NotFound if how != Open::New => Ok(None),
            io::ErrorKind::AlreadyExists if how == Open::New => Ok(None),
            _ if is_irregular(&error) => Err(irregular()),
            _ => Err(error.into()),
        })
        .and_then(|file| file.map(RecordFile::new).transpose())
    }

    /// Without following a link and without waiting for the other end of a
    /// FIFO, whatever somebody has put there.
    fn try_open(&self, id: &SessionId, how: Open) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(how != Open::Read)
            .create_new(how == Open::New)
            .mode(FILE_MODE)
            .follow(FollowSymlinks::No)
            .nonblock(true);
        Ok(self.dir.open_with(path_of(id), &options)?.into_std())
    }

    fn make_parent(&self, id: &SessionId) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        cap_std::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
        match self.dir.create_dir_with(parent_of(id), &builder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// Whether `file` is what one finds under the session's name, and not one
    /// that was there before.
    pub fn is_current(&self, id: &SessionId, file: &RecordFile) -> io::Result<bool> {
        let ours = file.file.metadata()?;
        match self.dir.symlink_metadata(path_of(id)) {
            Ok(found) => {
                use cap_std::fs::MetadataExt as _;
                Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a session's name.
    pub fn unlink(&self, id: &SessionId) -> io::Result<()> {
        self.dir.remove_file(path_of(id))
    }
}

impl RecordFile {
    fn new(file: File) -> Result<Self, StoreError> {
        let mode = rustix::fs::fstat(&file)?.st_mode;
        if FileType::from_raw_mode(mode).is_file() {
            Ok(Self { file })
        } else {
            Err(irregular())
        }
    }

    /// Takes a lock if nobody is in its way. It ends with the file.
    pub fn try_lock(&self, lock: Lock) -> io::Result<bool> {
        let result = match lock {
            Lock::Shared => fs2::FileExt::try_lock_shared(&self.file),
            Lock::Exclusive => self.file.try_lock_exclusive(),
        };
        match result {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == fs2::lock_contended_error().kind() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The size now.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Reads until the buffer is full or the file ends; how much.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes all of it.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }
}

/// 256 subdirectories, by the ID's first two digits.
fn parent_of(id: &SessionId) -> String {
    format!("{:02x}", id.to_bits() >> 120)
}

fn path_of(id: &SessionId) -> String {
    format!("{:02x}/{id}", id.to_bits() >> 120)
}

/// How the system says that there is a link, a directory, a socket or a device
/// where a file should be.
fn is_irregular(error: &io::Error) -> bool {
    let raw = error.raw_os_error();
    [Errno::LOOP, Errno::ISDIR, Errno::NXIO, Errno::NODEV]
        .iter()
        .any(|errno| raw == Some(errno.raw_os_error()))
}

fn irregular() -> StoreError {
    StoreError::Corrupt("it is not a regular file".into())
}

impl From<Errno> for StoreError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}
