//! How to open a store, and why that fails.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use session3_store::Clock;
use thiserror::Error;

pub use crate::url::UrlError;

/// How to open a [`PostgresStore`](crate::PostgresStore).
///
/// ```
/// use std::time::Duration;
///
/// use session3_store_postgres::Options;
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
    /// environment variable `PGPASSWORD`, then the first line of the password file that fits.
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

    /// Sets the largest state, in bytes of user and data together: 1 MiB by default.
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
/// of most variants is the place: the hosts and the database.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL is not one of a PostgreSQL store.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The password file exists but cannot be used.
    #[error("the password file {} cannot be used: {}", .0.display(), .1)]
    PasswordFile(PathBuf, String),
    /// The certificates of the authorities cannot be read.
    #[error(
        "the file {} of the parameter `tls-ca` cannot be used: {}; name a file with certificates \
         in PEM",
        .0.display(),
        .1
    )]
    Authority(PathBuf, #[source] io::Error),
    /// TLS cannot be set up.
    #[error("TLS for PostgreSQL cannot be set up: {0}")]
    Tls(String),
    /// The server could not be reached, or answered nothing in time.
    #[error("PostgreSQL at {0} cannot be reached: {1}; start it, or correct the URL")]
    Unreachable(String, String),
    /// The server does not accept the user or the password.
    #[error("PostgreSQL at {0} refuses the user: {1}; correct the user or the password")]
    Refused(String, String),
    /// No host accepts writes.
    #[error("PostgreSQL at {0} is read-only; name the primary server, too")]
    ReadOnly(String),
    /// The server is older than PostgreSQL 14. The number is its setting `server_version_num`.
    #[error("PostgreSQL at {0} has the version number {1}; sessions need 140000 or later")]
    TooOld(String, i32),
    /// The server runs with `fsync=off`, so that a crash may destroy every session.
    #[error(
        "PostgreSQL at {0} runs with fsync=off, so that a crash can destroy all sessions; turn it \
         on, or accept that with the parameter `durability=off`"
    )]
    Unsafe(String),
    /// There are no tables, and the options do not allow to create them.
    #[error("PostgreSQL at {0} has no table `{1}`; create it by opening the store with `create`")]
    Missing(String, String),
    /// There is a table of this name that session3 did not create.
    #[error(
        "PostgreSQL at {0} has a table `{1}` that is not a store's; name another one with the \
         parameter `table`"
    )]
    Foreign(String, String),
    /// A newer session3 created the tables. The number is the version of their schema.
    #[error(
        "the table `{1}` of PostgreSQL at {0} has the schema version {2}, and this program knows 1; use a newer program"
    )]
    Newer(String, String, i32),
    /// The server failed.
    #[error("PostgreSQL at {0} failed: {1}")]
    Failed(String, String),
}
