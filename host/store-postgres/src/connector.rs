//! Making connections.

use std::sync::Arc;
use std::time::Duration;

use session3_store::health::Health;
use tokio_postgres::config::TargetSessionAttrs;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{CancelToken, Client, Connection, Error, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::url::Target;
use crate::{OpenError, tls};

/// The task that drives a connection.
pub type Driver = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Makes connections to the first host that accepts writes.
pub struct Connector {
    config: tokio_postgres::Config,
    tls: MakeRustlsConnect,
    /// Whether connections prepare their statements.
    pub prepares: bool,
    /// Counts the connections that are shared by all operations.
    pub health: Arc<Health>,
}

impl Connector {
    /// Prepares connections to a target. A host, and an encrypted connection to it, may take
    /// `timeout` each.
    pub fn new(mut target: Target, timeout: Duration) -> Result<Self, OpenError> {
        let tls = tls::connector(&mut target)?;
        let (place, prepares) = (target.place(), target.prepares);
        let mut config = target.config;
        config
            .application_name("session3")
            .connect_timeout(timeout)
            // Half-open connections end in time, also those that no operation waits for.
            .tcp_user_timeout(timeout)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(2)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        let health = Arc::new(Health::new("PostgreSQL", place));
        Ok(Self {
            config,
            tls,
            prepares,
            health,
        })
    }

    pub async fn connect(&self) -> Result<(Client, Driver), Error> {
        self.config.connect(self.tls.clone()).await
    }

    /// Asks the server to cancel what a connection waits for.
    pub async fn cancel(&self, token: CancelToken) {
        // A statement that cannot be cancelled ends by itself.
        let _ = token.cancel_query(self.tls.clone()).await;
    }
}
