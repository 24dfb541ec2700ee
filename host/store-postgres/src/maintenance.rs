//! What operators do with a store.

use async_trait::async_trait;
use session3_store::{
    CheckObserver, CheckReport, Figure, Maintenance, StoreError, Timestamp, Unit,
};
use tokio_postgres::Row;

use crate::inner::Inner;
use crate::rows::get;
use crate::url::Durability;
use crate::values::Number;
use crate::{PostgresStore, check};

#[async_trait]
impl Maintenance for PostgresStore {
    /// Reads all sessions, and reports damaged ones and indexes that are invalid. There is
    /// nothing to repair here: the server itself keeps the index by user right, and
    /// `REINDEX INDEX` rebuilds an invalid one.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the server cannot be reached, or refuses a statement.
    async fn check(
        &self,
        _repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        check::check(self, observer).await
    }

    /// Warns of settings by which a crash loses sessions, and by which the table grows.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let answer = self.inner.run(|all| &all.settings, Vec::new()).await?;
        let row = answer.rows.first().ok_or_else(|| no_table(&self.inner))?;
        let place = self.inner.connector.health.server();
        let warnings = warnings(row, &self.inner)?;
        let named = |warning| format!("PostgreSQL at {place}: {warning}");
        Ok(warnings.into_iter().map(named).collect())
    }

    async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        let answer = self.inner.run(|all| &all.time, Vec::new()).await?;
        let row = answer.rows.first();
        let time: Option<Number> = row.map(|row| get(row, 0)).transpose()?;
        Ok(time.map(|time| time.0))
    }

    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        let answer = self.inner.run(|all| &all.sweep_block, Vec::new()).await?;
        let row = answer.rows.first();
        let block: i64 = row.map_or(Ok(0), |row| get(row, 0))?;
        Ok(block > 0)
    }

    /// Returns the sizes of the table and its indexes, and what the server's statistics say
    /// about the rows: they lag behind by about a second, and a crash of the server resets them.
    async fn figures(&self) -> Result<Vec<Figure>, StoreError> {
        let answer = self.inner.run(|all| &all.figures, Vec::new()).await?;
        let row = answer.rows.first().ok_or_else(|| no_table(&self.inner))?;
        let mut figures = Vec::new();
        for (column, (name, unit)) in FIGURES.into_iter().enumerate() {
            let value: Option<i64> = get(row, column)?;
            let value = value.and_then(|value| u64::try_from(value).ok());
            figures.extend(value.map(|value| Figure { name, value, unit }));
        }
        Ok(figures)
    }
}

/// The columns of the statement `figures`. Those that are null are left out.
const FIGURES: [(&str, Unit); 6] = [
    ("table", Unit::Bytes),
    ("indexes", Unit::Bytes),
    ("live rows", Unit::Count),
    ("dead rows", Unit::Count),
    ("HOT updates, %", Unit::Count),
    ("vacuum age, h", Unit::Count),
];

fn warnings(row: &Row, inner: &Inner) -> Result<Vec<String>, StoreError> {
    let mut warnings = Vec::new();
    if !get::<bool>(row, 0)? {
        let warning = "fsync is off, so that a crash can destroy all sessions: turn it on";
        warnings.push(warning.to_owned());
    }
    let loss = "a crash undoes the changes of about the last half second";
    match inner.schema.durability {
        Some(Durability::Off) => {
            let advice = "take `durability=off` out of the URL";
            warnings.push(format!("{loss}: to prevent that, {advice}"));
        }
        None if get::<&str>(row, 1)? == "off" => {
            let advice = "turn synchronous_commit on, or add `durability=on` to the URL";
            warnings.push(format!("{loss}: to prevent that, {advice}"));
        }
        _ => {}
    }
    if !get::<bool>(row, 2)? {
        let warning = "autovacuum is off, so that the table of sessions grows with each change: \
                       turn it on";
        warnings.push(warning.to_owned());
    } else if !get::<bool>(row, 3)? {
        let table = &inner.schema.table;
        warnings.push(format!(
            "autovacuum is off for the table `{table}`, which grows with each change: reset its \
             parameter autovacuum_enabled"
        ));
    }
    Ok(warnings)
}

fn no_table(inner: &Inner) -> StoreError {
    let table = &inner.schema.table;
    inner
        .calls
        .unavailable(&format!("there is no table `{table}`"))
}
