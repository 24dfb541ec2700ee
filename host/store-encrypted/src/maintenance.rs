//! What operators do with a sealed store.

use async_trait::async_trait;
use session3_store::{
    CheckObserver, CheckReport, Figure, Finding, Maintenance, StoreError, StoredSession, Timestamp,
};

use crate::EncryptedStore;
use crate::sealed::Unopened;

/// The number of sessions that are read at a time.
const PAGE_SIZE: u32 = 256;

#[async_trait]
impl Maintenance for EncryptedStore {
    /// Checks the wrapped store, and then whether each of its sessions can be opened.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        let mut first_half = FirstHalf(observer);
        let mut report = self.inner.check(repair, &mut first_half).await?;
        let mut cursor = None;
        loop {
            let page = self
                .inner
                .iter_sessions(cursor.as_deref(), PAGE_SIZE)
                .await?;
            for session in page.sessions {
                let done = 0.5 + f64::from(session.id.prefix()) / 512.0;
                self.check_seal(session, &mut report, observer);
                observer.progress(done);
            }
            if page.next.is_none() {
                return Ok(report);
            }
            cursor = page.next;
        }
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

impl EncryptedStore {
    /// Reports a session that is plain or cannot be opened. The wrapped store has counted it as
    /// a sound one.
    fn check_seal(
        &self,
        session: StoredSession,
        report: &mut CheckReport,
        observer: &mut dyn CheckObserver,
    ) {
        let id = session.id;
        if self.is_plain(&session.state) {
            observer.found(Finding::Plain(id));
            return;
        }
        let Err(unopened) = self.open(session) else {
            return;
        };
        report.sessions = report.sessions.saturating_sub(1);
        match unopened {
            Unopened::Changed => {
                report.damaged += 1;
                observer.found(Finding::Damaged(id, unopened.text()));
            }
            _ => observer.found(Finding::Unreadable(id.to_string(), unopened.text())),
        }
    }
}

/// Passes on what the check of the wrapped store tells, as the first half of the check.
struct FirstHalf<'a>(&'a mut dyn CheckObserver);

impl CheckObserver for FirstHalf<'_> {
    fn found(&mut self, finding: Finding) {
        self.0.found(finding);
    }

    fn progress(&mut self, done: f64) {
        self.0.progress(done / 2.0);
    }
}
