//! What operators do with a store.

use async_trait::async_trait;
use rusqlite::Connection;
use session3_store::{
    CheckObserver, CheckReport, Figure, Maintenance, SessionStore, StoreError, Unit,
};

use crate::sessions::unsigned;
use crate::threads::{Outcome, unavailable};
use crate::{SqliteStore, check, sweep};

#[async_trait]
impl Maintenance for SqliteStore {
    /// Runs SQLite's `integrity_check`, compares the index by user with the table, and reads all
    /// sessions. A repair builds the indexes again if one is wrong.
    ///
    /// `integrity_check` reads the whole file within one transaction. No process waits for it,
    /// but the write-ahead log grows meanwhile, and SQLite does not say how far it has come, so
    /// `observer` learns of progress only after that. While the indexes are built, other changes wait,
    /// and fail if that takes too long.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the file cannot be read at all, or not be written by a
    /// repair. What SQLite finds becomes findings.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        check::check(&self.inner, repair, observer).await
    }

    /// Warns of a file system whose locks do not exclude other machines, and of users who may
    /// write the file or its directory.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let file = &self.inner.file;
        let path = file.path.display();
        let mut warnings = Vec::new();
        if !self.is_multiprocess_safe() {
            warnings.push(format!(
                "{path}: the locks of this file system do not exclude other machines, which would \
                 damage the database: move it to a local disk"
            ));
        }
        let others = file.other_writers();
        let others = others.map_err(|error| unavailable(&format!("{path}: {error}")))?;
        warnings.extend(others.iter().map(|other| format!("{path}: {other}")));
        Ok(warnings)
    }

    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        Ok(self.inner.read(sweep::position).await? > 0)
    }

    /// Returns the sizes of the file and of the write-ahead log, and how much of the file is
    /// unused.
    async fn figures(&self) -> Result<Vec<Figure>, StoreError> {
        let [pages, unused, page_size] = self.inner.read(pages).await?;
        let bytes = |name, value| Figure {
            name,
            value,
            unit: Unit::Bytes,
        };
        Ok(vec![
            bytes("database", pages.saturating_mul(page_size)),
            bytes("unused", unused.saturating_mul(page_size)),
            bytes("log", self.inner.file.log_size()),
            Figure {
                name: "pages",
                value: pages,
                unit: Unit::Count,
            },
        ])
    }
}

/// Returns the number of pages, how many of them are unused, and how many bytes each has.
fn pages(connection: &Connection) -> Outcome<[u64; 3]> {
    let number = |sql| -> rusqlite::Result<u64> {
        let mut statement = connection.prepare_cached(sql)?;
        statement.query_row((), |row| unsigned(row, 0))
    };
    Ok(Ok([
        number("PRAGMA page_count")?,
        number("PRAGMA freelist_count")?,
        number("PRAGMA page_size")?,
    ]))
}
