//! The operations that change one session. Each is one statement, unless it does not find what
//! it expects.

use std::sync::Arc;

use mysql_async::{Params, Value, params};
use session3_store::{SessionId, SessionState, StoreError, StoredSession, Timestamp, Version};

use crate::call::Call;
use crate::inner::Inner;
use crate::rows::{self, binary};

/// A random number that tells the change of one call from all others.
type Nonce = u128;

pub async fn create(
    inner: Arc<Inner>,
    id: SessionId,
    state: SessionState,
) -> Result<Version, StoreError> {
    let nonce = rand::random();
    let session = StoredSession {
        id,
        version: 1,
        modified: 0,
        state,
    };
    let params = values(&inner, session, None, nonce);
    insert(&inner, &inner.statements.create, params, &id, nonce).await?;
    Ok(1)
}

pub async fn save(
    inner: Arc<Inner>,
    id: SessionId,
    state: SessionState,
    expected: Version,
) -> Result<Version, StoreError> {
    // The server refuses to count a version beyond the largest one.
    let version = expected.saturating_add(1);
    let nonce = rand::random();
    let session = StoredSession {
        id,
        version,
        modified: 0,
        state,
    };
    let change = Change {
        statement: &inner.statements.save,
        params: values(&inner, session, Some(expected), nonce),
        id,
        expected,
        nonce: Some(nonce),
    };
    change.run(&inner).await?;
    Ok(version)
}

pub async fn touch(
    inner: Arc<Inner>,
    id: SessionId,
    expires: Timestamp,
    expected: Version,
) -> Result<(), StoreError> {
    let change = Change {
        statement: &inner.statements.touch,
        params: params! {
            "id" => binary(id.to_bits()),
            "expires" => expires,
            "expected" => expected,
            "now" => inner.now(),
        },
        id,
        expected,
        nonce: None,
    };
    change.run(&inner).await
}

pub async fn delete(inner: Arc<Inner>, id: SessionId) -> Result<bool, StoreError> {
    let mut call = inner.calls.begin();
    let params = params! { "id" => binary(id.to_bits()) };
    let answer = call.run(&inner.statements.delete, params).await?;
    match (answer.found > 0, call.is_repeated()) {
        (true, _) => Ok(true),
        (false, false) => Ok(false),
        (false, true) => Err(call.refusal(StoreError::Absent)),
    }
}

pub async fn import(
    inner: Arc<Inner>,
    session: StoredSession,
    expected: Option<Version>,
) -> Result<(), StoreError> {
    let (id, nonce) = (session.id, rand::random());
    let params = values(&inner, session, expected, nonce);
    let Some(expected) = expected else {
        return insert(&inner, &inner.statements.import_new, params, &id, nonce).await;
    };
    let change = Change {
        statement: &inner.statements.import,
        params,
        id,
        expected,
        nonce: Some(nonce),
    };
    change.run(&inner).await
}

/// Returns the values of the statements that write a whole session.
fn values(
    inner: &Inner,
    session: StoredSession,
    expected: Option<Version>,
    nonce: Nonce,
) -> Params {
    let state = session.state;
    params! {
        "id" => binary(session.id.to_bits()),
        "version" => session.version,
        "nonce" => binary(nonce),
        "now" => inner.now(),
        "modified" => session.modified,
        "expires" => state.expires,
        "hash" => state.user.as_deref().map(rows::hash),
        "user" => state.user.map(String::into_bytes),
        "data" => Value::Bytes(state.data),
        "expected" => expected,
    }
}

/// Creates a session, unless there is one that this call has not created. If the answer is lost,
/// the session is only looked up: a second attempt could revive one that was deleted meanwhile.
async fn insert(
    inner: &Inner,
    statement: &str,
    params: Params,
    id: &SessionId,
    nonce: Nonce,
) -> Result<(), StoreError> {
    let mut call = inner.calls.begin();
    match call.run_once(statement, params).await? {
        Some(answer) if answer.is_duplicate => return Err(StoreError::Exists),
        Some(_) => return Ok(()),
        None => {}
    }
    match find(inner, &mut call, id).await? {
        Some((_, found)) if found == nonce => Ok(()),
        _ => Err(call.maybe_created()),
    }
}

/// A change of a session whose version must be the expected one.
struct Change<'a> {
    statement: &'a str,
    params: Params,
    id: SessionId,
    expected: Version,
    /// The number that the statement stores, if it stores one.
    nonce: Option<Nonce>,
}

impl Change<'_> {
    async fn run(self, inner: &Inner) -> Result<(), StoreError> {
        let mut call = inner.calls.begin();
        loop {
            let answer = call.run(self.statement, self.params.clone()).await?;
            if answer.found > 0 {
                return Ok(());
            }
            match find(inner, &mut call, &self.id).await? {
                None => return Err(call.refusal(StoreError::Absent)),
                Some((_, found)) if Some(found) == self.nonce => return Ok(()),
                // Another request created the session between the two statements.
                Some((version, _)) if version == self.expected => {}
                Some((version, _)) => return Err(call.refusal(StoreError::Conflict(version))),
            }
        }
    }
}

/// Returns the version and the nonce of a session.
async fn find(
    inner: &Inner,
    call: &mut Call<'_>,
    id: &SessionId,
) -> Result<Option<(Version, Nonce)>, StoreError> {
    let params = params! { "id" => binary(id.to_bits()) };
    let answer = call.run(&inner.statements.find, params).await?;
    let found = answer.rows.first();
    found
        .map(|row| Ok((rows::get(row, 0)?, rows::number(row, 1)?)))
        .transpose()
}
