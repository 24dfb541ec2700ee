//! The check: which sessions are damaged, and which indexes are invalid.

use session3_store::{
    CheckObserver, CheckReport, Finding, SessionId, SessionPage, SessionStore, StoreError,
};

use crate::PostgresStore;
use crate::call::Value;
use crate::rows::{self, get};
use crate::values::Uuid;

/// The number of sessions that are read at a time.
const PAGE: u32 = 256;

/// Reads all sessions.
pub async fn check(
    store: &PostgresStore,
    observer: &mut dyn CheckObserver,
) -> Result<CheckReport, StoreError> {
    let mut report = CheckReport::default();
    report_invalid_indexes(store, observer).await?;
    let mut next = Some(SessionId::from_bits(0));
    while let Some(first) = next {
        observer.progress(share(first));
        let page = store.iter_sessions(Some(&first.to_string()), PAGE).await;
        next = match page {
            Ok(page) => report_page(page, &mut report, observer)?,
            // The server found damaged bytes, and does not say in which row.
            Err(StoreError::Corrupt(_)) => {
                let Some(ids) = ids_from(store, first, observer).await? else {
                    return Ok(report);
                };
                check_each(store, &ids, &mut report, observer).await?;
                let last = ids.last().filter(|_| ids.len() == PAGE as usize);
                last.and_then(|last| last.to_bits().checked_add(1))
                    .map(SessionId::from_bits)
            }
            Err(error) => return Err(error),
        };
    }
    Ok(report)
}

/// Returns which share of all IDs is below this one.
fn share(id: SessionId) -> f64 {
    let beginning = (id.to_bits() >> 96) as u32;
    f64::from(beginning) / f64::from(u32::MAX)
}

/// Returns the cursor of the next page.
fn report_page(
    page: SessionPage,
    report: &mut CheckReport,
    observer: &mut dyn CheckObserver,
) -> Result<Option<SessionId>, StoreError> {
    report.sessions += page.sessions.len() as u64;
    report.damaged += page.damaged.len() as u64;
    for session in page.sessions {
        observer.read(session);
    }
    for (id, why) in page.damaged {
        observer.found(Finding::Damaged(id, why));
    }
    page.next.map(|next| next.parse()).transpose()
}

/// Returns the IDs of a page, `None` if the server cannot read even these.
async fn ids_from(
    store: &PostgresStore,
    first: SessionId,
    observer: &mut dyn CheckObserver,
) -> Result<Option<Vec<SessionId>>, StoreError> {
    let values = vec![
        Value::Uuid(Uuid(first.to_bits())),
        Value::Integer(i64::from(PAGE)),
    ];
    match store.inner.run(|all| &all.ids, values).await {
        Ok(answer) => answer
            .rows
            .iter()
            .map(rows::id)
            .collect::<Result<_, _>>()
            .map(Some),
        Err(StoreError::Corrupt(why)) => {
            let table = format!("table {}", store.inner.schema.table);
            observer.found(Finding::Unreadable(table, why));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn check_each(
    store: &PostgresStore,
    ids: &[SessionId],
    report: &mut CheckReport,
    observer: &mut dyn CheckObserver,
) -> Result<(), StoreError> {
    for id in ids {
        match store.load_session(id).await {
            Ok(Some(session)) => {
                report.sessions += 1;
                observer.read(session);
            }
            // Another process deleted it meanwhile.
            Ok(None) => {}
            Err(error @ StoreError::Corrupt(_)) => {
                report.damaged += 1;
                observer.found(Finding::Damaged(*id, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn report_invalid_indexes(
    store: &PostgresStore,
    observer: &mut dyn CheckObserver,
) -> Result<(), StoreError> {
    let answer = store
        .inner
        .run(|all| &all.invalid_indexes, Vec::new())
        .await?;
    for row in &answer.rows {
        let name: &str = get(row, 0)?;
        let why = format!("it is invalid, and not used: run REINDEX INDEX CONCURRENTLY {name}");
        observer.found(Finding::Unreadable(format!("index {name}"), why));
    }
    Ok(())
}
