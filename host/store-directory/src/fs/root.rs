//! The directory of a store.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cap_fs_ext::{FollowSymlinks, OpenOptionsFollowExt, OpenOptionsSyncExt};
use cap_std::fs::{Dir, DirBuilder, OpenOptions, OpenOptionsExt};
use parking_lot::Mutex;
use rustix::fs::{Access, AtFlags, CWD, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use session3_record::{Directory, OpenFailure, OpenMode};
use session3_store::{StoreError, Timestamp};

use super::error::{
    is_no_directory, is_one_of, open_failure, store_error, watched_with_cache, with_name,
};
use super::open_file::{Identity, OpenFile};
use crate::Options;
use crate::descriptor_cache::DescriptorCache;
use crate::watch::{Call, Watch};

/// The permissions of new files and directories: only the owner has access.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// The directory of a store.
pub struct Root {
    dir: Dir,
    identity: Identity,
    /// The owner to give to new files; `None` keeps the current user.
    owner: Option<(Uid, Gid)>,
    /// Files of active sessions.
    pub cache: Arc<DescriptorCache>,
    /// Whether the file system can say that a read would wait for the disk, as far as is known.
    pub reads_without_waiting: AtomicBool,
    /// Directories whose own entries, in the directories above, are durable.
    durable: Mutex<HashSet<String>>,
    watch: Option<Arc<dyn Watch>>,
}

/// What a path leads to now.
pub enum Place {
    /// The directory that is open, or something that this process may not look at.
    Same,
    /// Another directory.
    Other,
    /// No directory.
    Missing,
}

/// The numbers of the user and the group that a file or directory belongs to, and its
/// permissions.
#[derive(Clone, Copy)]
pub struct Ownership {
    pub user: u32,
    pub group: u32,
    pub mode: u32,
}

/// A subdirectory that is open for work on many files in it. For names from the root, the
/// system would look up and check the path to each of them.
pub struct Subdirectory<'a> {
    root: &'a Root,
    dir: Dir,
    name: String,
}

impl Root {
    /// Opens the directory. Creates it if it is missing and `options.create` allows it.
    pub fn open(path: &Path, options: &Options) -> io::Result<Self> {
        if options.create {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(DIRECTORY_MODE)
                .create(path)?;
        }
        let dir = Dir::open_ambient_dir(path, cap_std::ambient_authority())?;
        let found = statx(&dir, "", AtFlags::EMPTY_PATH, StatxFlags::INO)?;
        Ok(Self {
            owner: owner_to_keep(&dir)?,
            identity: Identity::new(&found),
            dir,
            cache: Arc::new(DescriptorCache::new(options.max_kept_files)),
            reads_without_waiting: AtomicBool::new(true),
            durable: Mutex::default(),
            watch: options.watch.clone(),
        })
    }

    /// Checks that this process may create sessions in the directory; with `read_only`,
    /// that it may read them.
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

    /// Returns whether a path leads to this directory.
    pub fn place(&self, path: &Path) -> Place {
        let find = |_| Ok(statx(CWD, path, AtFlags::empty(), StatxFlags::INO)?);
        match self.watched(Call::Stat("."), find) {
            Ok(found) if Identity::new(&found) != self.identity => Place::Other,
            Err(error) if is_no_directory(&error) => Place::Missing,
            // A process that gave up access to the path still has the directory.
            _ => Place::Same,
        }
    }

    /// Returns whom a name in the directory belongs to, without following a link; `.` is the
    /// directory itself.
    pub fn ownership(&self, name: &str) -> Result<Ownership, StoreError> {
        let which = StatxFlags::UID | StatxFlags::GID | StatxFlags::MODE;
        let find = |_| Ok(statx(&self.dir, name, AtFlags::SYMLINK_NOFOLLOW, which)?);
        let found = self
            .watched(Call::Stat(name), find)
            .map_err(|error| store_error(with_name(name, &error)))?;
        Ok(Ownership {
            user: found.stx_uid,
            group: found.stx_gid,
            mode: found.stx_mode.into(),
        })
    }

    /// Returns whether two directories are on the same file system.
    pub fn is_on_device_of(&self, other: &Self) -> bool {
        self.identity.device() == other.identity.device()
    }

    /// Returns the type of the file system, as Linux numbers it.
    pub fn file_system(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstatfs(&self.dir)?.f_type as u64)
    }

    /// Opens the file of a session like [`Directory::open_file`], but without checking that
    /// it is a regular file. It may be a FIFO or a device: nearly always, reading it shows
    /// that without another system call.
    pub fn open_record(
        &self,
        name: String,
        mode: OpenMode,
    ) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        self.opened(self.open_in(&self.dir, &name, &name, mode), name, mode)
    }

    /// Opens a subdirectory; `None` if it does not exist.
    pub fn subdirectory(&self, name: &str) -> Result<Option<Subdirectory<'_>>, StoreError> {
        let dir = match self.watched(Call::Open(name), |_| self.dir.open_dir(name)) {
            Err(error) if is_no_directory(&error) => return Ok(None),
            dir => dir.map_err(|error| store_error(with_name(name, &error)))?,
        };
        Ok(Some(Subdirectory {
            root: self,
            dir,
            name: name.to_owned(),
        }))
    }

    /// Returns whether a name belongs to a directory, without following a link.
    pub fn is_directory(&self, name: &str) -> Result<bool, StoreError> {
        let find = |_| self.dir.symlink_metadata(name);
        let found = self.watched(Call::Stat(name), find).map_err(store_error)?;
        Ok(found.is_dir())
    }

    /// Returns whether `file` is the file that its name leads to now, and not one that had
    /// the name before. The number of its links does not tell that: a backup may be one.
    pub fn is_current(&self, file: &OpenFile) -> Result<bool, StoreError> {
        self.leads_to(file).map_err(store_error)
    }

    /// Returns whether the name of a file leads to it, or did so when this was last asked,
    /// no more than `within` milliseconds before `now`.
    pub fn was_current(&self, file: &OpenFile, within: u64, now: Timestamp) -> io::Result<bool> {
        if file.was_lately_current(within, now) {
            return Ok(true);
        }
        let is_current = self.leads_to(file)?;
        if is_current {
            file.current_at.store(now, Ordering::Relaxed);
        }
        Ok(is_current)
    }

    /// Asks only which file it is, and follows no link in the file's place.
    fn leads_to(&self, file: &OpenFile) -> io::Result<bool> {
        let ours = file.identity()?;
        let find = |_| {
            let flags = AtFlags::SYMLINK_NOFOLLOW;
            Ok(statx(&self.dir, file.name(), flags, StatxFlags::INO)?)
        };
        match self.watched(Call::Stat(file.name()), find) {
            Ok(found) => Ok(Identity::new(&found) == ours),
            Err(error) if is_no_directory(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Opens a file by its path from `dir`.
    fn open_in(&self, dir: &Dir, path: &str, name: &str, mode: OpenMode) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(mode != OpenMode::Read)
            .create_new(mode == OpenMode::Create)
            .mode(FILE_MODE)
            .follow(FollowSymlinks::No)
            .nonblock(true);
        let no_atime = OFlags::NOATIME.bits() as i32;
        let call = match mode {
            OpenMode::Create => Call::Create(name),
            OpenMode::Read | OpenMode::Write => Call::Open(name),
        };
        self.watched(call, |_| {
            // Updating the time of the last read would be one more write for every save.
            let file = match dir.open_with(path, options.custom_flags(no_atime)) {
                // Only the owner of a file may open it in this way.
                Err(error) if is_one_of(&error, &[Errno::PERM]) => {
                    dir.open_with(path, options.custom_flags(0))?
                }
                file => file?,
            };
            if mode == OpenMode::Create {
                self.give_to_owner(&file)?;
            }
            Ok(file.into_std())
        })
    }

    /// Converts the result of opening a file.
    fn opened(
        &self,
        file: io::Result<File>,
        name: String,
        mode: OpenMode,
    ) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        let is_new = mode == OpenMode::Create;
        match file {
            Ok(file) => Ok(Some(Arc::new(OpenFile::new(
                file,
                name,
                self.watch.clone(),
                Arc::downgrade(&self.cache),
            )))),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound if !is_new => Ok(None),
                io::ErrorKind::AlreadyExists if is_new => Ok(None),
                _ => Err(open_failure(&error)),
            },
        }
    }

    /// Opens a directory that this process has just created, and nothing else that another
    /// process may have put in its place.
    fn open_created(&self, name: &str) -> io::Result<cap_std::fs::File> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(OFlags::DIRECTORY.bits() as i32)
            .follow(FollowSymlinks::No);
        self.dir.open_with(name, &options)
    }

    /// Gives a new file that root created to the owner of the store, so that an
    /// unprivileged server can write it.
    fn give_to_owner(&self, created: impl AsFd) -> io::Result<()> {
        match self.owner {
            Some((user, group)) => Ok(rustix::fs::fchown(created, Some(user), Some(group))?),
            None => Ok(()),
        }
    }

    fn remove_in(&self, dir: &Dir, path: &str, name: &str) -> Result<(), StoreError> {
        match self.watched(Call::Unlink(name), |_| dir.remove_file(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(store_error),
        }
    }

    /// Makes the entries of a directory durable, and the first time also the entries of
    /// the directories that it is in.
    fn sync_with_parents(&self, name: &str) -> io::Result<()> {
        self.sync_entries(name)?;
        if self.durable.lock().contains(name) {
            return Ok(());
        }
        match name.rsplit_once('/') {
            Some((parent, _)) => self.sync_with_parents(parent)?,
            None => self.sync_entries(".")?,
        }
        self.durable.lock().insert(name.to_owned());
        Ok(())
    }

    fn sync_entries(&self, name: &str) -> io::Result<()> {
        self.watched(Call::FlushDirectory(name), |_| {
            self.dir.open(name)?.sync_all()
        })
    }

    fn watched<T>(&self, call: Call, make: impl FnMut(usize) -> io::Result<T>) -> io::Result<T> {
        let cache = || Some(self.cache.clone());
        watched_with_cache(self.watch.as_deref(), cache, call, make)
    }
}

impl Directory for Root {
    type File = Arc<OpenFile>;

    /// Does not follow a link and does not wait for the other end of a FIFO.
    fn open_file(&self, name: &str, mode: OpenMode) -> Result<Option<Self::File>, OpenFailure> {
        let opened = self.open_record(name.to_owned(), mode)?;
        // A file that this call created is regular.
        if let Some(file) = &opened
            && mode != OpenMode::Create
        {
            let is_regular = file.is_regular();
            if !is_regular.map_err(|error| open_failure(&error))? {
                return Err(OpenFailure::Irregular);
            }
        }
        Ok(opened)
    }

    fn create_directory(&self, name: &str) -> Result<(), StoreError> {
        let mut builder = DirBuilder::new();
        cap_std::fs::DirBuilderExt::mode(&mut builder, DIRECTORY_MODE);
        let call = Call::MakeDirectory(name);
        let create = |_| {
            self.dir.create_dir_with(name, &builder)?;
            match self.owner {
                Some(_) => self.give_to_owner(self.open_created(name)?),
                None => Ok(()),
            }
        };
        match self.watched(call, create) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result.map_err(store_error),
        }
    }

    /// A name that leads to something else than a directory, or out of the store's
    /// directory, has no entries. A name that is not UTF-8 is foreign; its replacement
    /// characters make sure of that.
    fn list(&self, name: &str, visit: &mut dyn FnMut(String)) -> Result<(), StoreError> {
        let failed = |error: io::Error| store_error(with_name(name, &error));
        let entries = match self.watched(Call::List(name), |_| self.dir.read_dir(name)) {
            Err(error) if is_no_directory(&error) => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            visit(name.to_string_lossy().into_owned());
        }
        Ok(())
    }

    fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        self.remove_in(&self.dir, name, name)
    }

    fn sync_file(&self, file: &Self::File) -> Result<(), StoreError> {
        file.sync()
    }

    fn sync_directory(&self, name: &str) -> Result<(), StoreError> {
        match self.sync_with_parents(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(store_error),
        }
    }
}

impl Subdirectory<'_> {
    /// Opens a session's file like [`Root::open_record`], by its name in this subdirectory.
    pub fn open_record(
        &self,
        name: &str,
        mode: OpenMode,
    ) -> Result<Option<Arc<OpenFile>>, OpenFailure> {
        let path = self.path_of(name);
        let opened = self.root.open_in(&self.dir, name, &path, mode);
        self.root.opened(opened, path, mode)
    }

    /// Removes a file by its name in this subdirectory.
    pub fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        self.root.remove_in(&self.dir, name, &self.path_of(name))
    }

    fn path_of(&self, name: &str) -> String {
        [&self.name, "/", name].concat()
    }
}

/// Returns the owner of the directory if this process is root and the owner is not.
fn owner_to_keep(dir: &Dir) -> io::Result<Option<(Uid, Gid)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let stat = rustix::fs::fstat(dir)?;
    let owner = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    Ok((!owner.0.is_root()).then_some(owner))
}
