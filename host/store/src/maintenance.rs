//! What operators do with a store, beside reading and ending its sessions.

use async_trait::async_trait;

use crate::{SessionId, SessionStore, StoreError, StoredSession, Timestamp};

/// A problem that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A session whose record cannot be read, and the reason. It is kept.
    Damaged(SessionId, String),
    /// Something in the place of the store that does not belong to it. It is kept.
    Foreign(String),
    /// A session that is not sealed, in a store whose sessions are sealed. It is kept.
    Plain(SessionId),
    /// A create that never finished, or a delete that was interrupted. A sweep removes what
    /// is left of it.
    Leftover(SessionId),
    /// An entry of the index by user that no session needs, from a change that was
    /// interrupted.
    Surplus(String),
    /// A session of a user that the index lacks, after a power cut or a restored backup.
    Missing(SessionId),
    /// Something that could not be checked, and the reason.
    Unreadable(String, String),
    /// Something that the owner of the store cannot use, and the reason: it belongs to
    /// another user, or its mode forbids its owner to read it. A server fails there, even if
    /// this process, as root, can read it.
    Inaccessible(String, String),
}

/// The counts of a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// The number of sessions that can be read.
    pub sessions: u64,
    /// The number of sessions that are damaged.
    pub damaged: u64,
    /// The number of records that this process has no permission to read. Each is also
    /// [`Finding::Unreadable`].
    pub denied: u64,
    /// The number of records that are [`Finding::Inaccessible`].
    pub inaccessible: u64,
}

/// What a check tells while it runs. A closure that takes a [`Finding`] is one.
pub trait CheckObserver: Send {
    /// Takes a problem.
    fn found(&mut self, finding: Finding);

    /// Takes a session that can be read. A check calls this for each of them, so that a store
    /// that wraps the checked one need not read the session a second time.
    fn read(&mut self, _session: StoredSession) {}

    /// Takes how much of the check is done, from 0 to 1.
    fn progress(&mut self, _done: f64) {}
}

impl<F: FnMut(Finding) + Send> CheckObserver for F {
    fn found(&mut self, finding: Finding) {
        self(finding);
    }
}

/// What the engine of a store says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// What is counted, such as `dead rows`.
    pub name: &'static str,
    /// How much of it there is.
    pub value: u64,
    /// What the value counts.
    pub unit: Unit,
}

/// What a [`Figure`] counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Things of the kind that the name says.
    Count,
    /// Bytes of memory or of a disk.
    Bytes,
}

/// What operators do with a store, beside reading and ending its sessions.
///
/// The provided methods suit a store that has no index beside its records and no engine of
/// its own.
///
/// ```
/// use session3_store::{Finding, Maintenance, MemoryStore, StoreError};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), StoreError> {
/// let store = MemoryStore::default();
/// let report = store.check(false, &mut |finding| println!("{finding:?}")).await?;
/// assert_eq!((report.sessions, report.damaged), (0, 0));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait Maintenance: SessionStore {
    /// Reads all sessions and all entries of the index by user, and tells `observer` each session
    /// that can be read, and each problem. With `repair`, corrects the index. Sessions are never
    /// changed.
    ///
    /// Other processes may use the store meanwhile. What they change is no problem.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store cannot be read at all.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        let _ = repair;
        let mut report = CheckReport::default();
        let mut cursor = None;
        loop {
            let page = self.iter_sessions(cursor.as_deref(), PAGE_SIZE).await?;
            report.sessions += page.sessions.len() as u64;
            report.damaged += page.damaged.len() as u64;
            for session in page.sessions {
                observer.read(session);
            }
            for (id, why) in page.damaged {
                observer.found(Finding::Damaged(id, why));
            }
            if page.next.is_none() {
                return Ok(report);
            }
            cursor = page.next;
        }
    }

    /// Returns the time by the clock of the store's server; `None` if the store has the clock of
    /// this machine.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the server does not say it.
    async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(None)
    }

    /// Checks that sessions can be created, as far as that can be known without creating one.
    /// A server is not ready before.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if they cannot be created.
    async fn check_writable(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Returns what an operator should change about the place of the store, as a sentence each:
    /// other users can write there, or the engine may lose sessions.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store does not say it.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// Returns whether the last sweep stopped at its time limit. The next one continues
    /// there, so it looks at a part of the sessions only.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the store does not say it.
    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Returns what the engine says about the store: how much room it takes, and what else
    /// an operator needs to know about it.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the engine does not say it.
    async fn figures(&self) -> Result<Vec<Figure>, StoreError> {
        Ok(Vec::new())
    }
}

/// The number of sessions that are read at a time.
const PAGE_SIZE: u32 = 256;
