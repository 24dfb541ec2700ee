//! The check of a directory: which files are damaged or foreign, and whether the index is
//! right.

use session3_record::index::{self, Entry};
use session3_record::layout::{self, record_name};
use session3_record::sweep::FILE;
use session3_record::{Directory, OpenFailure, OpenMode, Record};
use session3_store::{CheckObserver, CheckReport, Finding, SessionId, StoreError};

use crate::fs::{LockKind, Locked, Ownership, Root};
use crate::open_store::OpenStore;
use crate::{exclusive, sweep};

impl OpenStore {
    /// See [`DirectoryStore::check`](crate::DirectoryStore::check).
    pub async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        let owner = self.inner.root.ownership(".")?.user;
        self.check_names(owner, observer).await?;
        for prefix in 0..=u8::MAX {
            observer.progress(f64::from(prefix) / 512.0);
            let listed = self.block(move |inner| layout::list(&inner.root, prefix));
            let directory = layout::subdirectory(prefix);
            let Some((ids, foreign)) = readable(listed.await, &directory, observer) else {
                continue;
            };
            report_foreign(foreign, observer);
            for id in ids {
                let name = record_name(&id);
                if self.is_inaccessible(&name, owner, observer) {
                    report.inaccessible += 1;
                }
                self.check_record(&id, repair, &mut report, observer).await;
            }
            if repair {
                // As in a sweep, this comes before entries of the index are removed.
                self.block(move |inner| inner.transactions().sync_directory(&directory))
                    .await?;
            }
        }
        let listed = self.block(|inner| index::subdirectories(&inner.root)).await;
        let listed = readable(listed, index::DIRECTORY, observer);
        let (numbers, foreign) = listed.unwrap_or_default();
        report_foreign(foreign, observer);
        for number in numbers {
            observer.progress(0.5 + f64::from(number) / f64::from(index::SUBDIRECTORIES) / 2.0);
            self.is_inaccessible(&index::directory_of(number), owner, observer);
            self.check_entries(number, repair, observer).await;
        }
        Ok(report)
    }

    /// Checks the names in the directory itself and in the directory of locks.
    async fn check_names(
        &self,
        owner: u32,
        observer: &mut dyn CheckObserver,
    ) -> Result<(), StoreError> {
        for name in self.block(|inner| names_of(&inner.root)).await? {
            match readable(is_foreign(&self.inner.root, &name), &name, observer) {
                Some(true) => observer.found(Finding::Foreign(name)),
                Some(false) => {
                    self.is_inaccessible(&name, owner, observer);
                }
                None => {}
            }
        }
        let names = self.block(|inner| foreign_locks(&inner.root)).await;
        let names = readable(names, exclusive::DIRECTORY, observer).unwrap_or_default();
        report_foreign(names, observer);
        Ok(())
    }

    async fn check_record(
        &self,
        id: &SessionId,
        repair: bool,
        report: &mut CheckReport,
        observer: &mut dyn CheckObserver,
    ) {
        let name = record_name(id);
        match self.load_uncached(id).await {
            Ok(Some(session)) => {
                report.sessions += 1;
                let user = session.state.user.clone();
                observer.read(session);
                let is_missing = match user {
                    Some(user) => self.is_missing(id, user, repair).await,
                    None => Ok(false),
                };
                if readable(is_missing, &name, observer) == Some(true) {
                    observer.found(Finding::Missing(*id));
                }
            }
            Ok(None) => {
                if readable(self.is_leftover(id), &name, observer) == Some(true) {
                    observer.found(Finding::Leftover(*id));
                }
            }
            Err(StoreError::Corrupt(how)) => {
                report.damaged += 1;
                observer.found(Finding::Damaged(*id, StoreError::Corrupt(how).to_string()));
            }
            Err(error) => {
                let opened = self.inner.root.open_record(name.clone(), OpenMode::Read);
                if let Err(OpenFailure::Denied(_)) = opened {
                    report.denied += 1;
                }
                observer.found(Finding::Unreadable(name, error.to_string()));
            }
        }
    }

    /// Returns whether the owner of the store cannot use a file or a directory of it. A name
    /// that another process has removed meanwhile can be used.
    fn is_inaccessible(&self, name: &str, owner: u32, observer: &mut dyn CheckObserver) -> bool {
        let reason = match self.inner.root.ownership(name) {
            Ok(ownership) => hindrance(ownership, owner),
            // What follows reports why it cannot be read.
            Err(_) => None,
        };
        let Some(reason) = reason else {
            return false;
        };
        observer.found(Finding::Inaccessible(name.to_owned(), reason));
        true
    }

    /// Returns whether there is a file that holds no session and that no process is
    /// writing.
    fn is_leftover(&self, id: &SessionId) -> Result<bool, StoreError> {
        let root = &self.inner.root;
        let Some(file) = root.open_file(&record_name(id), OpenMode::Read)? else {
            return Ok(false);
        };
        let Some(locked) = Locked::try_new(&file, LockKind::Shared)? else {
            return Ok(false);
        };
        Ok(root.is_current(&locked)? && Record::read(&locked, id)?.is_none())
    }

    /// Returns whether the index lacks the entry that this record needs. Looks it up again
    /// under the lock, since the user may have changed meanwhile.
    async fn is_missing(
        &self,
        id: &SessionId,
        user: String,
        repair: bool,
    ) -> Result<bool, StoreError> {
        let root = &self.inner.root;
        if index::has(root, &Entry::new(&user, id))? {
            return Ok(false);
        }
        let mode = match repair {
            true => OpenMode::Write,
            false => OpenMode::Read,
        };
        let Some(file) = root.open_file(&record_name(id), mode)? else {
            return Ok(false);
        };
        let locked = self.lock(&file, LockKind::Exclusive).await?;
        let record = Record::read(&locked, id)?;
        let Some(user) = record.as_ref().map(Record::user).transpose()?.flatten() else {
            return Ok(false);
        };
        let entry = Entry::new(user, id);
        let is_missing = !index::has(root, &entry)?;
        if is_missing && repair {
            index::add(root, &entry, self.inner.options.durability)?;
        }
        Ok(is_missing)
    }

    /// Checks the entries of one subdirectory of the index.
    async fn check_entries(&self, number: u16, repair: bool, observer: &mut dyn CheckObserver) {
        let start = SessionId::from(0);
        let mut next = Some(start);
        while let Some(first) = next {
            let listed = self.block(move |inner| index::list(&inner.root, number, first));
            let directory = index::directory_of(number);
            let Some(batch) = readable(listed.await, &directory, observer) else {
                return;
            };
            if first == start {
                report_foreign(batch.foreign, observer);
            }
            for entry in batch.entries {
                let name = entry.name();
                let is_surplus = self.block(move |inner| match repair {
                    true => sweep::remove_if_surplus(inner, &entry),
                    false => sweep::is_surplus(inner, &entry),
                });
                if readable(is_surplus.await, &name, observer) == Some(true) {
                    observer.found(Finding::Surplus(name));
                }
            }
            next = batch.next;
        }
    }
}

/// Returns why the owner of the store cannot use a file or a directory of it.
fn hindrance(ownership: Ownership, owner: u32) -> Option<String> {
    const READ: u32 = 0o400;
    let Ownership { user, mode, .. } = ownership;
    if user != owner {
        return Some(format!(
            "it belongs to user {user}, and the store to user {owner}"
        ));
    }
    // The mode does not hinder root.
    let is_hindered = owner != 0 && mode & READ == 0;
    is_hindered.then(|| {
        format!(
            "its mode {:04o} forbids its owner to read it",
            mode & 0o7777
        )
    })
}

fn report_foreign(names: Vec<String>, observer: &mut dyn CheckObserver) {
    for name in names {
        observer.found(Finding::Foreign(name));
    }
}

/// Returns what was read. A failure becomes a finding.
fn readable<T>(
    read: Result<T, StoreError>,
    name: &str,
    observer: &mut dyn CheckObserver,
) -> Option<T> {
    read.map_err(|error| observer.found(Finding::Unreadable(name.to_owned(), error.to_string())))
        .ok()
}

fn names_of(root: &Root) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    root.list(".", &mut |name| names.push(name))?;
    Ok(names)
}

/// Returns whether a name in the directory itself is foreign: it does not belong to the
/// store, or leads to a file instead of a directory or the other way round.
fn is_foreign(root: &Root, name: &str) -> Result<bool, StoreError> {
    let directories = [index::DIRECTORY, exclusive::DIRECTORY];
    let prefix = u8::from_str_radix(name, 16).map(layout::subdirectory);
    let is_directory = directories.contains(&name) || prefix.is_ok_and(|prefix| prefix == name);
    if !is_directory && name != FILE {
        return Ok(true);
    }
    Ok(root.is_directory(name)? != is_directory)
}

fn foreign_locks(root: &Root) -> Result<Vec<String>, StoreError> {
    let mut names = Vec::new();
    root.list(exclusive::DIRECTORY, &mut |name| {
        if !exclusive::is_lock(&name) {
            names.push(format!("{}/{name}", exclusive::DIRECTORY));
        }
    })?;
    Ok(names)
}

/// What a directory has, which may be a store.
pub enum Contents {
    /// Files of a store.
    Store,
    /// Nothing but what may be in a new store.
    Empty,
    /// Other files, of which this is one.
    Foreign(String),
}

impl Contents {
    /// Looks what a directory has.
    pub fn find(root: &Root) -> Result<Self, StoreError> {
        let (mut is_store, mut foreign) = (false, None);
        root.list(".", &mut |name| {
            is_store = is_store || is_ours(root, &name);
            if foreign.is_none() && !may_be_in_new_store(&name) {
                foreign = Some(name);
            }
        })?;
        Ok(match foreign {
            _ if is_store => Self::Store,
            Some(name) => Self::Foreign(name),
            None => Self::Empty,
        })
    }
}

fn is_ours(root: &Root, name: &str) -> bool {
    is_foreign(root, name).is_ok_and(|is_foreign| !is_foreign)
}

/// Returns whether a directory with this name in it may become a store: a new file system has a
/// directory of its own, and tools leave hidden files.
fn may_be_in_new_store(name: &str) -> bool {
    name == "lost+found" || name.starts_with('.')
}
