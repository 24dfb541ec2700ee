//! Sealing sessions again, with the key that now seals.

use session3_store::{SessionId, SessionState, SessionStore, StoreError};

use crate::EncryptedStore;
use crate::sealed::{self, Unopened};

/// How often a session is tried that servers save at the same time.
const ATTEMPTS: u32 = 16;

/// What became of a session that was to be sealed anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SealedAnew {
    /// It is sealed with the key that seals.
    Sealed,
    /// The key that seals had sealed it before.
    Unchanged,
    /// The session was deleted meanwhile.
    Absent,
}

impl EncryptedStore {
    /// Returns whether a state, as the wrapped store has it, is plain, or sealed with another key
    /// than the one that seals.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if [`seal_anew`](Self::seal_anew) cannot seal it, because the
    /// ring does not have its key, or because it is plain.
    pub fn needs_sealing(&self, stored: &SessionState) -> Result<bool, StoreError> {
        let keyring = self.keyring();
        match sealed::key_of(stored) {
            Ok(id) if id == keyring.sealing_key().id() => Ok(false),
            Ok(id) if keyring.key(id).is_some() => Ok(true),
            Ok(id) => Err(Unopened::NoKey(id).into()),
            Err(Unopened::Plain) if self.accepts_plain => Ok(true),
            Err(unopened) => Err(unopened.into()),
        }
    }

    /// Seals a session with the key that seals, unless it is. A plain one is sealed only if
    /// [`accept_plain`](Self::accept_plain) is set.
    ///
    /// The session keeps its version and its times, so that no request notices. No lease is
    /// taken. A touch between the two steps of this call is undone, which is as if its request
    /// had come a moment earlier: the next request touches the session again.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the ring does not have the key of the session, or the
    /// session is plain; [`StoreError::Corrupt`] if it was changed; [`StoreError::Busy`] if
    /// servers saved it again and again; otherwise those of the wrapped store.
    pub async fn seal_anew(&self, id: &SessionId) -> Result<SealedAnew, StoreError> {
        for _ in 0..ATTEMPTS {
            let Some(stored) = self.inner.load_session(id).await? else {
                return Ok(SealedAnew::Absent);
            };
            if !self.needs_sealing(&stored.state)? {
                return Ok(SealedAnew::Unchanged);
            }
            let session = self.open(stored)?;
            match self.import_session(&session, Some(session.version)).await {
                Err(StoreError::Conflict(_)) => {}
                Err(StoreError::Absent) => return Ok(SealedAnew::Absent),
                imported => return imported.map(|()| SealedAnew::Sealed),
            }
        }
        Err(StoreError::Busy)
    }
}
