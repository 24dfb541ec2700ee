//! What operators ask of the store.

use std::sync::Arc;

use async_trait::async_trait;
use mysql_async::{Params, Row, params};
use session3_store::{
    CheckObserver, CheckReport, Figure, Finding, Maintenance, SessionId, StoreError, Timestamp,
    Unit,
};

use crate::MysqlStore;
use crate::call::Query;
use crate::inner::Inner;
use crate::reads::page_of_rows;
use crate::rows::{self, binary, get};
use crate::server::{VARIABLES, Variables, refuses_writes, unsafe_setting};

/// The number of sessions that a check reads at a time.
const PAGE_SIZE: u32 = 256;

#[async_trait]
impl Maintenance for MysqlStore {
    /// Compares the hash of each session, which is its entry in the index by user, with its
    /// user. A session with a wrong one is [`Finding::Missing`], or [`Finding::Surplus`] if it
    /// has no user. InnoDB's own structures are not checked: `CHECK TABLE` does that.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        let mut report = CheckReport::default();
        let mut first = SessionId::from_bits(0);
        loop {
            let (rows, next) = page_of_rows(&self.inner, first, PAGE_SIZE).await?;
            for row in &rows {
                check_row(row, &mut report, observer)?;
                if repair && !has_own_hash(row)? {
                    repair_row(&self.inner, row).await?;
                }
            }
            let Some(next) = next else {
                return Ok(report);
            };
            // IDs are random, so that those before this one are that part of all.
            observer.progress(next.to_bits() as f64 / u128::MAX as f64);
            first = next;
        }
    }

    /// Warns of settings with which a crash may undo acknowledged changes, or with which the
    /// server refuses each write.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        let variables = variables(&self.inner).await?;
        let place = self.inner.connector.health.server();
        let mut warnings = Vec::new();
        if let Some(setting) = unsafe_setting(&variables) {
            warnings.push(format!(
                "MySQL at {place} runs with {setting}, so that a crash can undo acknowledged \
                 changes: set it to 1"
            ));
        }
        if refuses_writes(&variables) {
            warnings.push(format!(
                "MySQL at {place} runs with binlog_format=STATEMENT, with which it refuses each \
                 write of the store: set it to ROW or MIXED"
            ));
        }
        Ok(warnings)
    }

    async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        let run = async |inner: Arc<Inner>| {
            let answer = inner
                .calls
                .run(&inner.statements.time, Params::Empty)
                .await?;
            answer.rows.first().map(|row| get(row, 0)).transpose()
        };
        self.inner.spawn(run).await
    }

    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        let run = async |inner: Arc<Inner>| {
            let statement = &inner.statements.sweep_position;
            let answer = inner.calls.run(statement, Params::Empty).await?;
            let position = answer.rows.first().map(|row| rows::number(row, 0));
            Ok(position.transpose()?.is_some_and(|position| position > 0))
        };
        self.inner.spawn(run).await
    }

    /// Returns what the server says about the table of sessions. These are estimates, which
    /// MySQL 8 brings up to date once a day.
    async fn figures(&self) -> Result<Vec<Figure>, StoreError> {
        let run = async |inner: Arc<Inner>| {
            let params = params! { "table" => &inner.schema.table };
            let answer = inner.calls.run(&inner.statements.figures, params).await?;
            answer.rows.first().map_or(Ok(Vec::new()), figures)
        };
        self.inner.spawn(run).await
    }
}

fn figures(row: &Row) -> Result<Vec<Figure>, StoreError> {
    let names = [
        ("estimated rows", Unit::Count),
        ("average row", Unit::Bytes),
        ("data", Unit::Bytes),
        ("indexes", Unit::Bytes),
        ("free space", Unit::Bytes),
    ];
    let figure = |(column, (name, unit))| {
        let value: Option<u64> = get(row, column)?;
        Ok(value.map(|value| Figure { name, value, unit }))
    };
    let figures = names.into_iter().enumerate().map(figure);
    figures.filter_map(Result::transpose).collect()
}

async fn variables(inner: &Arc<Inner>) -> Result<Variables, StoreError> {
    let run = async |inner: Arc<Inner>| {
        let query = Query::Text(VARIABLES.into());
        let answer = inner.calls.begin().query(&query).await?;
        let pair = |row: &Row| Ok((get(row, 0)?, get(row, 1)?));
        answer.rows.iter().map(pair).collect()
    };
    inner.spawn(run).await
}

/// Counts a session, and tells what is wrong with it.
fn check_row(
    row: &Row,
    report: &mut CheckReport,
    observer: &mut dyn CheckObserver,
) -> Result<(), StoreError> {
    let id = rows::id(row)?;
    match rows::session(row) {
        Ok(session) => {
            report.sessions += 1;
            observer.read(session);
        }
        Err(error) => {
            report.damaged += 1;
            observer.found(Finding::Damaged(id, error.to_string()));
        }
    }
    if !has_own_hash(row)? {
        observer.found(match user(row)? {
            Some(_) => Finding::Missing(id),
            None => Finding::Surplus(id.to_string()),
        });
    }
    Ok(())
}

/// Returns whether the index by user has the session of a row at the right place.
fn has_own_hash(row: &Row) -> Result<bool, StoreError> {
    let hash: Option<Vec<u8>> = get(row, 6)?;
    Ok(hash == user(row)?.map(rows::hash))
}

fn user(row: &Row) -> Result<Option<Vec<u8>>, StoreError> {
    get(row, 4)
}

/// Corrects the hash of a session, unless its user has changed meanwhile.
async fn repair_row(inner: &Arc<Inner>, row: &Row) -> Result<(), StoreError> {
    let user = user(row)?;
    let params = params! {
        "id" => binary(rows::id(row)?.to_bits()),
        "hash" => user.as_ref().map(rows::hash),
        "user" => user,
    };
    let run = async move |inner: Arc<Inner>| {
        inner.calls.run(&inner.statements.repair, params).await?;
        Ok(())
    };
    inner.spawn(run).await
}
