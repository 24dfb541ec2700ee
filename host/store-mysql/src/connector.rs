//! Making connections.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mysql_async::prelude::Queryable as _;
use mysql_async::{Conn, DriverError, Error, Opts, OptsBuilder};
use session3_store::health::Health;
use tokio::time::timeout;

use crate::failure::describe;
use crate::url::{Host, Target, TlsMode};
use crate::{OpenError, tls};

/// The number of prepared statements that a connection keeps, which is more than there are.
const STATEMENTS: usize = 32;

/// How long a connection is silent before the system asks the server whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Makes connections to the server.
pub struct Connector {
    plain: Opts,
    encrypted: Option<Opts>,
    /// Whether a server without TLS is accepted.
    may_be_plain: bool,
    /// Whether the server had no TLS when it was last asked, so that it is not asked again.
    is_plain: AtomicBool,
    /// Makes each connection behave in the same way, whatever the server's defaults are.
    settings: String,
    timeout: Duration,
    pub health: Arc<Health>,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum Unconnected {
    TimedOut(Duration),
    /// The server accepts no writes.
    ReadOnly,
    Failed(Error),
}

impl fmt::Display for Unconnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut(timeout) => write!(f, "no connection within {timeout:?}"),
            Self::ReadOnly => f.write_str("the server is read-only"),
            Self::Failed(error) => f.write_str(&describe(error)),
        }
    }
}

impl From<Error> for Unconnected {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl Connector {
    /// Prepares connections to a target, each of which may take `timeout`. `password` takes
    /// precedence over that of the target.
    pub fn new(
        target: &Target,
        password: Option<String>,
        timeout: Duration,
    ) -> Result<Self, OpenError> {
        let in_url = || target.password.as_ref().map(|password| password.0.clone());
        let in_environment = || env::var("MYSQL_PWD").ok();
        let password = password.or_else(in_url).or_else(in_environment);
        let builder = OptsBuilder::default()
            .user(target.user.clone())
            .pass(password)
            .db_name(Some(target.database.clone()))
            .prefer_socket(false)
            .tcp_keepalive(Some(KEEPALIVE))
            .stmt_cache_size(Some(STATEMENTS))
            // Without this, an update that writes what is stored already counts no row.
            .client_found_rows(true);
        let (builder, is_local) = match &target.host {
            Host::Tcp(host, port) => (builder.ip_or_hostname(host).tcp_port(*port), false),
            Host::Unix(path) => (builder.socket(Some(path)), true),
        };
        let ssl = tls::ssl_options(target)?.filter(|_| !is_local);
        let encrypted = ssl.map(|ssl| Opts::from(builder.clone().ssl_opts(Some(ssl))));
        Ok(Self {
            plain: builder.into(),
            encrypted,
            may_be_plain: target.tls == TlsMode::Prefer,
            is_plain: AtomicBool::new(false),
            settings: settings(timeout),
            timeout,
            health: Arc::new(Health::new("MySQL", target.place())),
        })
    }

    /// Connects to the server, and checks that it accepts writes.
    pub async fn connect(&self) -> Result<Conn, Unconnected> {
        let connected = timeout(self.timeout, self.attempt()).await;
        let connected = connected.unwrap_or(Err(Unconnected::TimedOut(self.timeout)));
        if connected.is_err() {
            // The server may have TLS when it is back.
            self.is_plain.store(false, Ordering::Relaxed);
        }
        connected
    }

    async fn attempt(&self) -> Result<Conn, Unconnected> {
        let mut connection = self.log_in().await?;
        connection.query_drop(ISOLATION).await?;
        connection.query_drop(&self.settings).await?;
        let read_only: Option<String> = connection.query_first("SELECT @@global.read_only").await?;
        match read_only.as_deref() {
            Some("0" | "OFF") => Ok(connection),
            _ => Err(Unconnected::ReadOnly),
        }
    }

    async fn log_in(&self) -> Result<Conn, Error> {
        let opts = match &self.encrypted {
            Some(encrypted) if !self.is_plain.load(Ordering::Relaxed) => encrypted,
            _ => &self.plain,
        };
        match Conn::new(opts.clone()).await {
            Err(Error::Driver(DriverError::NoClientSslFlagFromServer)) if self.may_be_plain => {
                self.is_plain.store(true, Ordering::Relaxed);
                Conn::new(self.plain.clone()).await
            }
            connected => connected,
        }
    }

    /// Returns how long a connection may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Ends a connection of this user and the statement that it runs.
    pub async fn kill(&self, connection: u32) {
        if let Ok(mut connected) = self.connect().await {
            // A connection that has ended already fails here.
            let _ = connected.query_drop(format!("KILL {connection}")).await;
            let _ = connected.disconnect().await;
        }
    }
}

/// The isolation level has different variables in MariaDB 10.11 and MySQL 8, so that this is a
/// statement of its own. With READ COMMITTED, a statement that finds no row locks none.
const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Returns the statement that sets the variables of a connection. Text is neither converted
/// nor compared by a collation, a value that does not fit is an error, and a statement waits
/// for a lock no longer than an operation may take, but for a second at least.
fn settings(timeout: Duration) -> String {
    let seconds = timeout.as_secs().max(1);
    format!(
        "SET NAMES binary, sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', \
         autocommit = 1, sql_safe_updates = 0, time_zone = '+00:00', \
         innodb_lock_wait_timeout = {seconds}, lock_wait_timeout = {seconds}"
    )
}
