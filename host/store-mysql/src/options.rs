//! How to open a store, and why that fails.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use session3_store::Clock;
use thiserror::Error;

pub use crate::url::UrlError;

/// How to open a [`MysqlStore`](crate::MysqlStore).
///
/// ```
/// use std::time::Duration;
///
/// use session3_store_mysql::Options;
///
/// let options = Options::default()
///     .create(true)
///     .timeout(Duration::from_millis(500))
///     .lock_timeout(Duration::from_secs(2));
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) password: Option<String>,
    pub(crate) lock_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_state_bytes: u64,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl Options {
    /// Creates the tables if they are missing. By default, missing tables are an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets the password, in place of the URL's. Without either, the store takes the
    /// environment variable `MYSQL_PWD`.
    pub fn password(mut self, password: String) -> Self {
        self.password = Some(password);
        self
    }

    /// Sets how long [`lock_session`](session3_store::SessionStore::lock_session) waits for
    /// the end of another lease: 5 seconds by default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how long each operation may take: 2 seconds by default. The parameter `timeout`
    /// of the URL takes precedence. Opening a store and creating its tables may take 10
    /// seconds at least.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the largest state, in bytes of user and data together: 1 MiB by default, and at
    /// most 16,777,215. The server's setting `max_allowed_packet` must have room for it.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes;
        self
    }

    /// Sets a clock in place of the server's, for tests. It decides about modification times
    /// and expiry. Leases follow the server's clock nevertheless.
    pub fn clock(mut self, clock: impl Clock + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            create: false,
            password: None,
            lock_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            max_state_bytes: 1 << 20,
            clock: None,
        }
    }
}

/// Why a store was not opened. Each message is one line without the password. The first field
/// of most variants is the place: the host and the database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of a MySQL store.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The options allow states of this many bytes, for which the column has no room.
    #[error("states of up to {0} bytes do not fit into a table of MySQL; allow at most 16777215")]
    StateLimit(u64),
    /// The certificates of the authorities cannot be read.
    #[error(
        "the file {} of the parameter `tls-ca` cannot be used: {}; name a file with certificates \
         in PEM",
        .0.display(),
        .1
    )]
    Authority(PathBuf, #[source] io::Error),
    /// TLS cannot be set up.
    #[error("TLS for MySQL cannot be set up: {0}")]
    Tls(String),
    /// The server could not be reached, or answered nothing in time.
    #[error("MySQL at {0} cannot be reached: {1}; start it, or correct the URL")]
    Unreachable(String, String),
    /// The server does not accept the user or the password.
    #[error("MySQL at {0} refuses the user: {1}; correct the user or the password")]
    Refused(String, String),
    /// The server accepts no writes.
    #[error("MySQL at {0} is read-only; name the primary server")]
    ReadOnly(String),
    /// The server is set up so that a crash may undo acknowledged changes. The second field is
    /// the setting and its value.
    #[error(
        "MySQL at {0} runs with {1}, so that a crash can undo acknowledged changes; set it to 1, \
         or accept that with the parameter `durability=off`"
    )]
    Unsafe(String, String),
    /// The server accepts packets of this many bytes, and the states need this many.
    #[error(
        "MySQL at {0} runs with max_allowed_packet={1}, and the states need {2}; raise it, or \
         allow smaller states"
    )]
    PacketLimit(String, u64, u64),
    /// There are no tables, and the options do not allow to create them.
    #[error("MySQL at {0} has no table `{1}`; create it by opening the store with `create`")]
    Missing(String, String),
    /// There is a table of this name that session3 did not create.
    #[error(
        "MySQL at {0} has a table `{1}` that is not a store's; name another one with the \
         parameter `table`"
    )]
    Foreign(String, String),
    /// A table has another storage engine than InnoDB, in which writes are not transactions.
    /// The third field is the engine.
    #[error(
        "the table `{1}` of MySQL at {0} has the storage engine {2}, and sessions need InnoDB; \
         convert it with ALTER TABLE `{1}` ENGINE=InnoDB"
    )]
    Engine(String, String, String),
    /// A newer session3 created the tables. The number is the version of their schema.
    #[error(
        "the table `{1}` of MySQL at {0} has the schema version {2}, and this program knows 1; use \
         a newer program"
    )]
    Newer(String, String, u32),
    /// The server failed.
    #[error("MySQL at {0} failed: {1}")]
    Failed(String, String),
}
