//! How to open a store, and why that fails.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session3_store::Clock;
use thiserror::Error;

use crate::connect::ConnectError;

/// How to open a [`RedisStore`](crate::RedisStore). Parameters of the URL take precedence.
///
/// ```
/// use std::time::Duration;
///
/// use session3_store_redis::Options;
///
/// let options = Options::default()
///     .create(true)
///     .password("from a file")
///     .timeout(Duration::from_secs(1));
/// assert!(!format!("{options:?}").contains("from a file"));
/// ```
#[derive(Clone)]
pub struct Options {
    pub(crate) create: bool,
    pub(crate) password: Option<String>,
    pub(crate) lock_timeout: Duration,
    pub(crate) timeout: Duration,
    pub(crate) max_state_bytes: u64,
    pub(crate) resp2: bool,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl Options {
    /// Creates the store if the server has none with this prefix. By default, a missing store
    /// is an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets the password, in place of the one in the URL.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// Sets how long `lock_session` waits for the lease of another request: 5 seconds by
    /// default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets how long each operation waits for the server: 2 seconds by default. A walk or a
    /// sweep consists of several operations.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the largest state, in bytes of user and data together: 1 MiB by default.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes;
        self
    }

    /// Speaks RESP2 instead of RESP3, for proxies that do not know the newer protocol.
    pub fn resp2(mut self, resp2: bool) -> Self {
        self.resp2 = resp2;
        self
    }

    /// Sets the clock of `modified` and of sweeps in place of the server's, for tests. Leases
    /// still end by the server's clock.
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
            resp2: false,
            clock: None,
        }
    }
}

// The password stays out.
impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("create", &self.create)
            .field("lock_timeout", &self.lock_timeout)
            .field("timeout", &self.timeout)
            .field("max_state_bytes", &self.max_state_bytes)
            .field("resp2", &self.resp2)
            .finish_non_exhaustive()
    }
}

/// Why a store was not opened. No text contains the password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The URL cannot be read, for this reason.
    #[error("the URL of the store: {0}")]
    Url(String),
    /// The file of certificates, with this name, cannot be read.
    #[error("tls-ca {0}: {1}; name a file with certificates in PEM")]
    Certificates(String, String),
    /// The server cannot be reached, or refuses this client.
    #[error("{0}: {1}")]
    Connect(String, #[source] Arc<ConnectError>),
    /// The server answered a command with an error.
    #[error("{0}")]
    Server(String),
    /// The server is too old, or has this version.
    #[error("{0}: the server has version {1}; use Redis 6.2 or later, or Valkey")]
    TooOld(String, String),
    /// The server deletes sessions when its memory is full, with this policy.
    #[error(
        "{0}: maxmemory-policy is {1}, which deletes sessions in silence; set it to noeviction"
    )]
    Evicts(String, String),
    /// The server is a node of a Cluster, but the URL names a single server; or vice versa.
    #[error("{0}: {1}")]
    WrongKind(String, &'static str),
    /// There is no store with this prefix, and the options do not allow to create it.
    #[error("{0}: there is no store with the prefix {1}; open it with `create`")]
    Missing(String, String),
    /// A newer release wrote the store, with this version of the schema.
    #[error("{0}: the store has version {1} of the schema, which is newer; update this program")]
    Newer(String, u64),
    /// Another application uses the prefix.
    #[error("{0}: the key {1} belongs to another application; choose another `prefix`")]
    NotOurs(String, String),
}
