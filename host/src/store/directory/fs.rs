//! The file system, as the store uses it: the only module that touches the
//! operating system.
//!
//! The directory is opened once, and every access goes through that handle, so
//! nothing outside it can be reached, whatever is in it.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::ops::Deref;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, DirBuilder, OpenOptions, OpenOptionsExt};
use fs2::FileExt as _;
use rustix::buffer::spare_capacity;
use rustix::fs::{Access, AtFlags, FileType, OFlags, Statx, StatxFlags, statx};
use rustix::io::{Errno, pread};
use rustix::process::{Gid, Uid};

use super::Options;
use super::kept::KeptFiles;
use super::watch::{Call, Watch};
use crate::mutex::open;
use crate::store::{StoreError, Timestamp};

/// Nobody else's business.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The directory of a store.
pub struct Root {
    dir: Dir,
    /// Whose what is made here has to be, if not this user's.
    owner: Option<(Uid, Gid)>,
    /// Files of sessions in use.
    pub kept: KeptFiles,
    /// Directories whose own names are on the medium.
    durable: Mutex<HashSet<String>>,
    watch: Option<Arc<dyn Watch>>,
}

/// Why a file was not opened.
#[derive(Debug)]
pub enum OpenFailure {
    /// There is something else than a regular file.
    Irregular,
    /// The system says so.
    Io(io::Error),
}

/// A file in it, open, and possibly kept so.
pub struct OpenFile {
    file: File,
    /// Somebody in this process holds the lock. The system's own would let in
    /// everybody who shares the file descriptor.
    is_locked: AtomicBool,
    /// When it was last seen to have a name.
    linked_at: AtomicU64,
    name: String,
    watch: Option<Arc<dyn Watch>>,
}

/// One of its directories, open, for work on many files in it: from the root, the
/// system would look up and check the way to each of them.
pub struct Folder<'a> {
    root: &'a Root,
    dir: Dir,
    name: &'a str,
}

/// A file whose lock is held, until this is dropped. Nobody else can write.
pub struct Locked {
    file: Arc<OpenFile>,
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
    /// Opens the directory; makes it where it is missing and `create` says so.
    pub fn open(path: &Path, options: &Options) -> io::Result<Self> {
        if options.create {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(path)?;
        }
        let dir = Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
        Ok(Self {
            owner: other_owner(&dir)?,
            dir,
            kept: KeptFiles::new(options.max_kept_files),
            durable: Mutex::default(),
            watch: options.watch.clone(),
        })
    }

    /// An error when sessions cannot be made here; with `read_only`, when they
    /// cannot be read.
    pub fn check_access(&self, read_only: bool) -> io::Result<()> {
        let mut access = Access::READ_OK | Access::EXEC_OK;
        access.set(Access::WRITE_OK, !read_only);
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

    /// Opens a file. `None` when there is none; with [`Open::New`], when there
    /// is one. Its directory has to be there.
    ///
    /// It follows no link and does not wait for the other end of a FIFO,
    /// whatever somebody has put there.
    pub fn open_file(&self, name: &str, how: Open) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        let opened = self.open_record(name.to_owned(), how)?;
        // What is made just now is one.
        if let Some(file) = &opened
            && how != Open::New
            && !file.is_regular()?
        {
            return Err(OpenFailure::Irregular);
        }
        Ok(opened)
    }

    /// The same for a session's file. It may be a FIFO or a device: whoever reads
    /// it finds that out without asking the system, in nearly every case.
    pub fn open_record(
        &self,
        name: String,
        how: Open,
    ) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        self.opened(self.open_in(&self.dir, &name, &name, how), name, how)
    }

    /// Opens a directory; `None` as where [`list`](Self::list) finds no names.
    pub fn folder<'a>(&'a self, name: &'a str) -> io::Result<Option<Folder<'a>>> {
        let dir = match self.watched(Call::Open(name), |_| self.dir.open_dir(name)) {
            Err(error) if is_no_directory(&error) => return Ok(None),
            dir => dir.map_err(|error| named(name, &error))?,
        };
        let root = self;
        Ok(Some(Folder { root, dir, name }))
    }

    /// Opens a file by its path from `dir`.
    fn open_in(&self, dir: &Dir, path: &str, name: &str, how: Open) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(how != Open::Read)
            .create_new(how == Open::New)
            .mode(FILE_MODE)
            .follow(FollowSymlinks::No)
            .nonblock(true);
        let unnoticed = OFlags::NOATIME.bits() as i32;
        let call = match how {
            Open::New => Call::Create(name),
            Open::Read | Open::Write => Call::Open(name),
        };
        self.watched(call, |_| {
            // The time of the last read is one more write for every save.
            let file = match dir.open_with(path, options.custom_flags(unnoticed)) {
                // It is somebody else's file.
                Err(error) if is_one_of(&error, &[Errno::PERM]) => {
                    dir.open_with(path, options.custom_flags(0))?
                }
                file => file?,
            };
            if how == Open::New {
                self.give_to_owner(&file)?;
            }
            Ok(file.into_std())
        })
    }

    /// What came of opening a file.
    fn opened(
        &self,
        file: io::Result<File>,
        name: String,
        how: Open,
    ) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        let file = match file {
            Ok(file) => file,
            Err(error) => {
                return match error.kind() {
                    io::ErrorKind::NotFound if how != Open::New => Ok(None),
                    io::ErrorKind::AlreadyExists if how == Open::New => Ok(None),
                    _ if is_irregular(&error) => Err(OpenFailure::Irregular),
                    _ => Err(OpenFailure::Io(error)),
                };
            }
        };
        Ok(Some(Arc::new(OpenFile {
            file,
            is_locked: AtomicBool::new(false),
            linked_at: AtomicU64::new(0),
            name,
            watch: self.watch.clone(),
        })))
    }

    /// Makes a directory; that it is there already is fine.
    pub fn make_directory(&self, name: &str) -> io::Result<()> {
        let mut builder = DirBuilder::new();
        cap_std::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
        let call = Call::MakeDirectory(name);
        let make = |_| {
            self.dir.create_dir_with(name, &builder)?;
            match self.owner {
                Some(_) => self.give_to_owner(self.open_made(name)?),
                None => Ok(()),
            }
        };
        match self.watched(call, make) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// A directory, and nothing else that somebody has put in its place.
    fn open_made(&self, name: &str) -> io::Result<cap_std::fs::File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(OFlags::DIRECTORY.bits() as i32)
            .follow(FollowSymlinks::No);
        self.dir.open_with(name, &options)
    }

    /// What a superuser makes in the store of a server that is none, that server
    /// has to be able to write.
    fn give_to_owner(&self, made: impl AsFd) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => Ok(rustix::fs::fchown(made, Some(user), Some(group))?),
            None => Ok(()),
        }
    }

    /// Takes the names in a directory, in no order; none when it is not there, or
    /// is something else, or leads out of this one. Names that are no UTF-8, and
    /// so none of ours, have a replacement character in them.
    pub fn list(&self, name: &str, mut take: impl FnMut(String)) -> io::Result<()> {
        let named = |error: io::Error| named(name, &error);
        let entries = match self.watched(Call::List(name), |_| self.dir.read_dir(name)) {
            Err(error) if is_no_directory(&error) => return Ok(()),
            entries => entries.map_err(named)?,
        };
        for entry in entries {
            let name = entry.map_err(named)?.file_name();
            take(name.to_string_lossy().into_owned());
        }
        Ok(())
    }

    /// Whether a name leads to a directory, and not by a link.
    pub fn is_directory(&self, name: &str) -> io::Result<bool> {
        let find = |_| self.dir.symlink_metadata(name);
        Ok(self.watched(Call::Stat(name), find)?.is_dir())
    }

    /// Whether `file` is what one finds under its name, and not one that was
    /// there before.
    pub fn is_current(&self, file: &OpenFile) -> io::Result<bool> {
        let ours = file.watched(Call::Stat(&file.name), |_| file.file.metadata())?;
        let find = |_| self.dir.symlink_metadata(&file.name);
        match self.watched(Call::Stat(&file.name), find) {
            Ok(found) => {
                use cap_std::fs::MetadataExt as _;
                Ok((found.dev(), found.ino()) == (ours.dev(), ours.ino()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes a name; that it is gone already is fine.
    pub fn unlink(&self, name: &str) -> io::Result<()> {
        self.unlink_in(&self.dir, name, name)
    }

    fn unlink_in(&self, dir: &Dir, path: &str, name: &str) -> io::Result<()> {
        match self.watched(Call::Unlink(name), |_| dir.remove_file(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Brings the entries of a directory to the medium; the first time also
    /// those of the directories that it is in.
    pub fn flush_directory(&self, name: &str) -> io::Result<()> {
        self.flush_entries(name)?;
        if open(&self.durable).contains(name) {
            return Ok(());
        }
        match name.rsplit_once('/') {
            Some((parent, _)) => self.flush_directory(parent)?,
            None => self.flush_entries(".")?,
        }
        open(&self.durable).insert(name.to_owned());
        Ok(())
    }

    fn flush_entries(&self, name: &str) -> io::Result<()> {
        self.watched(Call::FlushDirectory(name), |_| {
            self.dir.open(name)?.sync_all()
        })
    }

    /// Once more with the kept files closed when there are too many open ones.
    fn watched<T>(
        &self,
        call: Call,
        mut make: impl FnMut(usize) -> io::Result<T>,
    ) -> io::Result<T> {
        match watched(self.watch.as_deref(), call, &mut make) {
            Err(error) if is_out_of_files(&error) => {
                self.kept.drop_all();
                watched(self.watch.as_deref(), call, make)
            }
            result => result,
        }
    }
}

impl Folder<'_> {
    /// As [`Root::open_record`], by its name in here.
    pub fn open_record(&self, name: &str, how: Open) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        let whole = self.whole(name);
        let opened = self.root.open_in(&self.dir, name, &whole, how);
        self.root.opened(opened, whole, how)
    }

    /// As [`Root::unlink`], by its name in here.
    pub fn unlink(&self, name: &str) -> io::Result<()> {
        self.root.unlink_in(&self.dir, name, &self.whole(name))
    }

    fn whole(&self, name: &str) -> String {
        [self.name, "/", name].concat()
    }
}

impl OpenFile {
    /// Its name within the directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the lock if nobody is in its way.
    pub fn try_lock(self: &Arc<Self>, lock: Lock) -> io::Result<Option<Locked>> {
        if self.is_locked.swap(true, Ordering::Acquire) {
            return Ok(None);
        }
        let result = self.watched(Call::Lock(&self.name), |_| match lock {
            Lock::Shared => fs2::FileExt::try_lock_shared(&self.file),
            Lock::Exclusive => self.file.try_lock_exclusive(),
        });
        match result {
            Ok(()) => Ok(Some(Locked { file: self.clone() })),
            Err(error) => {
                self.is_locked.store(false, Ordering::Release);
                let is_contended = error.kind() == fs2::lock_contended_error().kind();
                if is_contended { Ok(None) } else { Err(error) }
            }
        }
    }

    /// Whether it is what a file of ours is.
    pub fn is_regular(&self) -> io::Result<bool> {
        let mode = self.ask_for(StatxFlags::TYPE)?.stx_mode;
        Ok(FileType::from_raw_mode(mode.into()).is_file())
    }

    /// Whether it still has a name.
    pub fn is_linked(&self) -> io::Result<bool> {
        Ok(self.ask_for(StatxFlags::NLINK)?.stx_nlink > 0)
    }

    /// Whether it still has one, or had when it was last asked, no more than
    /// `within` milliseconds ago.
    pub fn was_linked(&self, within: u64, now: Timestamp) -> io::Result<bool> {
        let ago = now.checked_sub(self.linked_at.load(Ordering::Relaxed));
        if ago.is_some_and(|ago| ago < within) {
            return Ok(true);
        }
        let is_linked = self.is_linked()?;
        if is_linked {
            self.linked_at.store(now, Ordering::Relaxed);
        }
        Ok(is_linked)
    }

    /// Whether nothing was written to it yet, and it still has a name.
    pub fn is_new(&self) -> io::Result<bool> {
        let found = self.ask_for(StatxFlags::NLINK | StatxFlags::SIZE)?;
        Ok(found.stx_size == 0 && found.stx_nlink > 0)
    }

    /// The size now.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.ask_for(StatxFlags::SIZE)?.stx_size)
    }

    /// Attributes of it, and no others: once somebody has seen the time of the
    /// last write, Linux notes that of the next one more exactly, which makes it
    /// a change to the inode, too.
    fn ask_for(&self, what: StatxFlags) -> io::Result<Statx> {
        self.watched(Call::Stat(&self.name), |_| {
            Ok(statx(&self.file, "", AtFlags::EMPTY_PATH, what)?)
        })
    }

    /// Reads so many bytes, or fewer where the file ends.
    pub fn read_at(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let (rest, offset) = (length - bytes.len(), offset + bytes.len() as u64);
            let read = self.watched(Call::Read(&self.name), |limit| {
                bytes.reserve_exact(rest.min(limit));
                Ok(pread(&self.file, spare_capacity(&mut bytes), offset)?)
            })?;
            if read == 0 {
                break;
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }

    /// Brings what was written to the medium.
    pub fn flush(&self) -> io::Result<()> {
        self.watched(Call::Flush(&self.name), |_| self.file.sync_data())
    }

    fn watched<T>(&self, call: Call, make: impl FnMut(usize) -> io::Result<T>) -> io::Result<T> {
        watched(self.watch.as_deref(), call, make)
    }
}

impl Locked {
    /// Writes all of it.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while done < bytes.len() {
            let (rest, offset) = (&bytes[done..], offset + done as u64);
            let call = Call::Write {
                name: &self.name,
                offset,
                bytes: rest,
            };
            let written = self.watched(call, |limit| {
                let length = rest.len().min(limit);
                self.file.file.write_at(&rest[..length], offset)
            })?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            done += written;
        }
        Ok(())
    }
}

impl Deref for Locked {
    type Target = Arc<OpenFile>;

    fn deref(&self) -> &Arc<OpenFile> {
        &self.file
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Where nobody keeps it, closing it does that.
        if Arc::strong_count(&self.file) > 1 {
            // This fails only for what is no open file.
            let _ = fs2::FileExt::unlock(&self.file.file);
        }
        self.is_locked.store(false, Ordering::Release);
    }
}

/// The owner of a directory, for a superuser whose own it is not.
fn other_owner(dir: &Dir) -> io::Result<Option<(Uid, Gid)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let stat = rustix::fs::fstat(dir)?;
    let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    Ok((!owner.0.is_root()).then_some(owner))
}

/// Makes a system call that a test may have an eye on; once more when a signal
/// came in between.
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

impl OpenFailure {
    /// Whether it may not be opened for that, by this user or by anybody.
    pub fn is_denied(&self) -> bool {
        let denied = [Errno::ACCESS, Errno::PERM, Errno::ROFS];
        matches!(self, Self::Io(error) if is_one_of(error, &denied))
    }

    /// Whether a directory on the way is not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::NotFound)
    }
}

fn is_no_directory(error: &io::Error) -> bool {
    let kinds = [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory];
    // No system says so, but cap-std, of a way out.
    let leads_out =
        error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none();
    kinds.contains(&error.kind()) || leads_out
}

/// Nobody knows which one it was, otherwise.
fn named(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// Whether the process or the system has too many open files.
fn is_out_of_files(error: &io::Error) -> bool {
    is_one_of(error, &[Errno::MFILE, Errno::NFILE])
}

/// How the system says, of a file to open, that there is a link, a directory, a
/// socket or a device in its place.
fn is_irregular(error: &io::Error) -> bool {
    is_one_of(
        error,
        &[Errno::LOOP, Errno::ISDIR, Errno::NXIO, Errno::NODEV],
    )
}

/// What the store says of it.
pub fn irregular() -> StoreError {
    StoreError::Corrupt("it is not a regular file".into())
}

fn is_one_of(error: &io::Error, numbers: &[Errno]) -> bool {
    let raw = error.raw_os_error();
    numbers
        .iter()
        .any(|errno| raw == Some(errno.raw_os_error()))
}

impl From<io::Error> for OpenFailure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<OpenFailure> for StoreError {
    fn from(failure: OpenFailure) -> Self {
        match failure {
            OpenFailure::Irregular => irregular(),
            OpenFailure::Io(error) => error.into(),
        }
    }
}

impl From<Errno> for StoreError {
    fn from(error: Errno) -> Self {
        io::Error::from(error).into()
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        // Something was read that is a FIFO or a directory.
        match is_one_of(&error, &[Errno::SPIPE, Errno::ISDIR]) {
            true => irregular(),
            false => Self::Unavailable(error.to_string()),
        }
    }
}
