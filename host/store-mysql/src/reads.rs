//! The operations that read sessions.

use std::sync::Arc;

use mysql_async::{Row, params};
use session3_store::{PageBuilder, SessionId, SessionPage, StoreError, StoredSession};

use crate::inner::Inner;
use crate::rows::{self, binary};

/// The largest number of bytes that the sessions of a page have, as [`PageBuilder`] counts.
const PAGE_BYTES: u64 = 1 << 20;

/// What each session of a page counts beside its user and its data.
const ROW_BYTES: u64 = 128;

/// The largest number of sessions in a page, whatever their size.
const PAGE_ROWS: u32 = 8192;

pub async fn load(inner: Arc<Inner>, id: SessionId) -> Result<Option<StoredSession>, StoreError> {
    let params = params! { "id" => binary(id.to_bits()) };
    let answer = inner.calls.run(&inner.statements.load, params).await?;
    answer.rows.first().map(rows::session).transpose()
}

pub async fn of_user(inner: Arc<Inner>, user: String) -> Result<Vec<SessionId>, StoreError> {
    let params = params! { "hash" => rows::hash(&user), "user" => user.into_bytes() };
    let answer = inner.calls.run(&inner.statements.of_user, params).await?;
    answer.rows.iter().map(rows::id).collect()
}

/// Returns the page that begins with the session `first`.
pub async fn page(
    inner: Arc<Inner>,
    first: SessionId,
    limit: u32,
) -> Result<SessionPage, StoreError> {
    let limit = limit.clamp(1, PAGE_ROWS);
    let (rows, next) = page_of_rows(&inner, first, limit).await?;
    let mut page = PageBuilder::new(limit);
    for row in &rows {
        if !page.add(&rows::id(row)?, rows::session(row).map(Some))? {
            // A session has grown, or is new, since the first statement.
            return Ok(page.finish());
        }
    }
    let mut page = page.finish();
    page.next = next.map(|next| next.to_string());
    Ok(page)
}

/// Returns the rows of a page, and the session after it. The first statement asks which sessions
/// have room in the page, and the second one reads them.
pub async fn page_of_rows(
    inner: &Inner,
    first: SessionId,
    limit: u32,
) -> Result<(Vec<Row>, Option<SessionId>), StoreError> {
    let mut call = inner.calls.begin();
    let params = params! {
        "first" => binary(first.to_bits()),
        // The session after those of the page is the cursor of the next one.
        "count" => u64::from(limit) + 1,
    };
    let sizes = call.run(&inner.statements.sizes, params).await?;
    let Some((last, next)) = end(&sizes.rows, limit)? else {
        return Ok((Vec::new(), None));
    };
    let params = params! {
        "first" => binary(first.to_bits()),
        "last" => binary(last.to_bits()),
    };
    let sessions = call.run(&inner.statements.iterate, params).await?;
    Ok((sessions.rows, next))
}

/// Returns the last session that has room in the page, and the one after it. `None` if there
/// is no session.
fn end(sizes: &[Row], limit: u32) -> Result<Option<(SessionId, Option<SessionId>)>, StoreError> {
    let mut total: u64 = 0;
    let mut last = None;
    for (number, row) in (0..).zip(sizes) {
        let (id, size): (_, u64) = (rows::id(row)?, rows::get(row, 1)?);
        total += ROW_BYTES + size;
        if let Some(last) = last.filter(|_| number >= limit || total > PAGE_BYTES) {
            return Ok(Some((last, Some(id))));
        }
        last = Some(id);
    }
    Ok(last.map(|last| (last, None)))
}
