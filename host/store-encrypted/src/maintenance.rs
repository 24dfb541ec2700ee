//! What operators do with a sealed store.

use async_trait::async_trait;
use session3_store::{
    CheckObserver, CheckReport, Figure, Finding, Maintenance, StoreError, StoredSession, Timestamp,
};

use crate::EncryptedStore;
use crate::sealed::Unopened;

#[async_trait]
impl Maintenance for EncryptedStore {
    /// Checks the wrapped store, and whether each session that it reads can be opened.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        let mut seals = Seals {
            store: self,
            observer,
            read: 0,
            unopened: 0,
            damaged: 0,
        };
        let mut report = self.inner.check(repair, &mut seals).await?;
        seals.report_unread(report.sessions);
        report.sessions = report.sessions.saturating_sub(seals.unopened);
        report.damaged += seals.damaged;
        Ok(report)
    }

    async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.now().await
    }

    async fn check_writable(&self) -> Result<(), StoreError> {
        self.inner.check_writable().await
    }

    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        self.inner.warnings().await
    }

    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        self.inner.has_unfinished_sweep().await
    }

    async fn figures(&self) -> Result<Vec<Figure>, StoreError> {
        self.inner.figures().await
    }
}

/// Passes on what the check of the wrapped store tells, and opens each session that it reads.
struct Seals<'a> {
    store: &'a EncryptedStore,
    observer: &'a mut dyn CheckObserver,
    /// The number of sessions that the wrapped store has told.
    read: u64,
    /// The number of sessions that cannot be opened. The wrapped store counts them as sound ones.
    unopened: u64,
    /// The number of those that were changed.
    damaged: u64,
}

impl Seals<'_> {
    /// Reports if the wrapped store has told fewer sessions than it counted.
    fn report_unread(&mut self, counted: u64) {
        if self.read < counted {
            let unread = counted - self.read;
            let why = format!("the store did not pass on {unread} sessions, so they are unchecked");
            self.observer
                .found(Finding::Unreadable("seals".into(), why));
        }
    }
}

impl CheckObserver for Seals<'_> {
    fn found(&mut self, finding: Finding) {
        self.observer.found(finding);
    }

    fn read(&mut self, session: StoredSession) {
        self.read += 1;
        let id = session.id;
        if self.store.is_plain(&session.state) {
            self.observer.found(Finding::Plain(id));
        }
        match self.store.open(session) {
            Ok(session) => return self.observer.read(session),
            Err(Unopened::Plain) => return,
            Err(Unopened::Changed) => {
                self.damaged += 1;
                let why = Unopened::Changed.text();
                self.observer.found(Finding::Damaged(id, why));
            }
            Err(unopened) => {
                let finding = Finding::Unreadable(id.to_string(), unopened.text());
                self.observer.found(finding);
            }
        }
        self.unopened += 1;
    }

    fn progress(&mut self, done: f64) {
        self.observer.progress(done);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use session3_store::MemoryStore;

    use super::*;
    use crate::{Keyring, SystemRandom};

    #[test]
    fn sessions_that_the_wrapped_store_keeps_to_itself_are_a_finding() {
        let ring = Keyring::generate(&SystemRandom, "now");
        let store = EncryptedStore::new(Arc::new(MemoryStore::default()), ring);
        let mut findings = Vec::new();
        let mut seals = Seals {
            store: &store,
            observer: &mut |finding| findings.push(finding),
            read: 3,
            unopened: 0,
            damaged: 0,
        };
        seals.report_unread(3);
        seals.report_unread(5);
        let why = "the store did not pass on 2 sessions, so they are unchecked";
        let expected = Finding::Unreadable("seals".into(), why.into());
        assert_eq!(findings, [expected]);
    }
}
