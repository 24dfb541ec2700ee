//! Looking at every file of a directory: what is damaged, what is foreign, and
//! whether the index is right.

use super::fs::{Lock, Open};
use super::index::{self, Entry};
use super::layout::{self, record_name};
use super::record::Record;
use super::{DirectoryStore, exclusive, position, sweep};
use crate::store::{SessionId, StoreError};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A session's file that cannot be read, and why. It is kept.
    Damaged(SessionId, String),
    /// A name in the directory that is none of the store's. It is kept.
    Foreign(String),
    /// A create that never finished, or a delete that was cut short. A sweep
    /// removes it.
    Leftover(SessionId),
    /// An entry of the index that no session needs: of a change that was cut
    /// short.
    Surplus(String),
    /// A session of a user that the index does not know: after a power cut or a
    /// restored backup.
    Missing(SessionId),
}

/// What a check has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Sessions that can be read.
    pub sessions: u64,
    /// Records that cannot.
    pub damaged: u64,
}

impl DirectoryStore {
    /// Reads every record and every entry of the index, and names what is not
    /// as it should be. With `repair`, it brings the index in order; records it
    /// never touches. Others may use the store meanwhile.
    ///
    /// `progress` is called now and then with how much is done, from 0 to 1.
    pub async fn check(
        &self,
        repair: bool,
        mut found: impl FnMut(Finding),
        mut progress: impl FnMut(f64),
    ) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        self.foreign_names(&mut found).await?;
        for prefix in 0..=u8::MAX {
            progress(f64::from(prefix) / 512.0);
            let listed = self.block(move |inner| layout::list(&inner.root, prefix));
            let (ids, foreign) = listed.await?;
            foreign
                .into_iter()
                .map(Finding::Foreign)
                .for_each(&mut found);
            for id in ids {
                self.check_record(&id, repair, &mut report, &mut found)
                    .await?;
            }
            if repair {
                // Before the entries of the index go, as in a sweep.
                self.block(move |inner| inner.flush_directory(&layout::directory(prefix)))
                    .await?;
            }
        }
        let listed = self.block(|inner| index::subdirectories(&inner.root));
        let (numbers, foreign) = listed.await?;
        foreign
            .into_iter()
            .map(Finding::Foreign)
            .for_each(&mut found);
        for number in numbers {
            progress(0.5 + f64::from(number) / f64::from(index::SUBDIRECTORIES) / 2.0);
            let listed = self.block(move |inner| index::list(&inner.root, number));
            let (entries, foreign) = listed.await?;
            foreign
                .into_iter()
                .map(Finding::Foreign)
                .for_each(&mut found);
            for entry in entries {
                self.check_entry(entry, repair, &mut found).await?;
            }
        }
        Ok(report)
    }

    async fn foreign_names(&self, found: &mut impl FnMut(Finding)) -> Result<(), StoreError> {
        let names = self.block(|inner| Ok(inner.root.list(".")?)).await?;
        let is_prefix = |name: &str| {
            name.len() == 2
                && name
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let is_ours = |name: &String| {
            [position::FILE, index::DIRECTORY, exclusive::DIRECTORY].contains(&name.as_str())
                || is_prefix(name)
        };
        let foreign = names.into_iter().filter(|name| !is_ours(name));
        foreign.map(Finding::Foreign).for_each(found);
        Ok(())
    }

    async fn check_record(
        &self,
        id: &SessionId,
        repair: bool,
        report: &mut CheckReport,
        found: &mut impl FnMut(Finding),
    ) -> Result<(), StoreError> {
        match self.look_at(id).await {
            Ok(Some(session)) => {
                report.sessions += 1;
                if let Some(user) = session.state.user {
                    self.check_user(id, user, repair, found).await?;
                }
            }
            Ok(None) if self.has_file(id)? => found(Finding::Leftover(*id)),
            Ok(None) => {}
            Err(error) => {
                report.damaged += 1;
                found(Finding::Damaged(*id, error.to_string()));
            }
        }
        Ok(())
    }

    fn has_file(&self, id: &SessionId) -> Result<bool, StoreError> {
        let file = self.inner.root.open_file(&record_name(id), Open::Read)?;
        Ok(file.is_some())
    }

    /// Whether the index has what this record needs; looked up once more under
    /// the lock, since the user may have changed meanwhile.
    async fn check_user(
        &self,
        id: &SessionId,
        user: String,
        repair: bool,
        found: &mut impl FnMut(Finding),
    ) -> Result<(), StoreError> {
        if index::has(&self.inner.root, &Entry::new(&user, id))? {
            return Ok(());
        }
        let Some(file) = self.inner.root.open_file(&record_name(id), Open::Write)? else {
            return Ok(());
        };
        let locked = self.lock(&file, Lock::Exclusive).await?;
        let record = Record::read(&locked, id)?;
        let Some(user) = record.as_ref().map(Record::user).transpose()?.flatten() else {
            return Ok(());
        };
        let entry = Entry::new(user, id);
        if !index::has(&self.inner.root, &entry)? {
            found(Finding::Missing(*id));
            if repair {
                index::add(&self.inner.root, &entry, self.inner.options.durability)?;
            }
        }
        Ok(())
    }

    async fn check_entry(
        &self,
        entry: Entry,
        repair: bool,
        found: &mut impl FnMut(Finding),
    ) -> Result<(), StoreError> {
        let name = entry.name();
        let surplus = self.block(move |inner| sweep::is_surplus(inner, &entry, repair));
        if surplus.await? {
            found(Finding::Surplus(name));
        }
        Ok(())
    }
}
