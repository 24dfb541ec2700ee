//! Whether a server can serve requests that need a session, for load balancers.

use std::sync::Arc;
use std::time::Duration;

use session3::store::{Maintenance, SessionId, StoreError};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long the store may take to answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The session that is looked up. There is no such session: IDs are random.
const ABSENT: SessionId = SessionId::from_bits(0);

/// What decides whether a server is ready.
#[derive(Clone)]
pub struct Readiness {
    store: Option<Arc<dyn Maintenance>>,
    is_stopped: watch::Receiver<bool>,
}

impl Readiness {
    /// Creates the readiness of a server that keeps its sessions in a store, unless it keeps
    /// them by itself.
    pub fn new(store: Option<Arc<dyn Maintenance>>, is_stopped: watch::Receiver<bool>) -> Self {
        Self { store, is_stopped }
    }

    /// Looks up a session, and whether one could be created. Returns why the server is not ready,
    /// as a line.
    pub async fn check(&self) -> Result<(), String> {
        if *self.is_stopped.borrow() {
            return Err("the server ends".into());
        }
        let Some(store) = &self.store else {
            return Ok(());
        };
        let look_up = async {
            store.load_session(&ABSENT).await?;
            store.check_writable().await
        };
        match timeout(LIMIT, look_up).await {
            Ok(Err(error @ StoreError::Unavailable(_))) => Err(error.to_string()),
            // Another answer comes from a store that was reached.
            Ok(_) => Ok(()),
            Err(_) => Err(format!("the store did not answer within {LIMIT:?}")),
        }
    }
}
