//! Opening a store by its URL.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use session3_store::{Maintenance, MemoryStore};
use session3_store_directory::{self as directory, DirectoryStore, Durability};
use thiserror::Error;

use super::place::{Engine, Place};

/// Opens a store on a server. The options of these stores have the same methods.
#[cfg(any(feature = "redis", feature = "postgres", feature = "mysql"))]
macro_rules! open_on_server {
    ($self:ident, $url:ident, $engine:ident::$store:ident) => {{
        $self.has_no_durability()?;
        let mut options = $engine::Options::default()
            .create($self.create)
            .max_state_bytes($self.max_state_bytes)
            .lock_timeout($self.lock_timeout);
        if let Some(password) = $self.password {
            options = options.password(password);
        }
        Ok(Arc::new($engine::$store::open($url, options).await?))
    }};
}

/// How to open a store by its URL.
///
/// ```no_run
/// use session3::store::StoreOptions;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let password = String::new();
/// let options = StoreOptions::default().create(true).password(password);
/// let store = options.open("postgres://web@db1,db2/shop?sslmode=verify-full").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct StoreOptions {
    create: bool,
    read_only: bool,
    durability: Option<Durability>,
    lock_timeout: Duration,
    max_state_bytes: u64,
    password: Option<String>,
}

impl StoreOptions {
    /// Creates the store if it is missing. By default, a missing store is an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Opens a directory or an SQLite file without writing to it, so that it may be a read-only
    /// snapshot. Other stores ignore this.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Sets what survives a power cut, for a directory or an SQLite file. For stores on a
    /// server, the server's settings and the URL decide.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = Some(durability);
        self
    }

    /// Sets how long an operation waits for a lock: 5 seconds by default.
    pub fn lock_timeout(mut self, timeout: Duration) -> Self {
        self.lock_timeout = timeout;
        self
    }

    /// Sets the largest state in bytes of user and data together: 1 MiB by default. `memory:`
    /// ignores this. A store that an `EncryptedStore` wraps needs `EncryptedStore::OVERHEAD`
    /// more.
    pub fn max_state_bytes(mut self, bytes: u64) -> Self {
        self.max_state_bytes = bytes;
        self
    }

    /// Sets the password for the server of the store, in place of the URL's.
    pub fn password(mut self, password: String) -> Self {
        self.password = Some(password);
        self
    }

    /// Opens the store of a URL, or of the path of a directory. [`open`](super::open) lists the
    /// URLs.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open(self, url: impl AsRef<OsStr>) -> Result<Arc<dyn Maintenance>, OpenError> {
        match Place::parse(url.as_ref())? {
            Place::Directory(path) => {
                let options = directory::Options::default()
                    .create(self.create)
                    .read_only(self.read_only)
                    .durability(self.durability.unwrap_or_default())
                    .max_state_bytes(self.max_state_bytes)
                    .lock_timeout(self.lock_timeout);
                Ok(Arc::new(DirectoryStore::open(path, options)?))
            }
            Place::Memory if self.create => Ok(Arc::new(MemoryStore::default())),
            Place::Memory => Err(OpenError::Url(
                "the sessions of memory: exist only within the program that serves them",
            )),
            Place::Engine(engine, url) => self.open_engine(engine, &url).await,
        }
    }

    #[cfg_attr(
        not(any(
            feature = "sqlite",
            feature = "redis",
            feature = "postgres",
            feature = "mysql"
        )),
        expect(unused_variables, reason = "no feature is on")
    )]
    async fn open_engine(
        self,
        engine: Engine,
        url: &str,
    ) -> Result<Arc<dyn Maintenance>, OpenError> {
        match engine {
            #[cfg(feature = "sqlite")]
            Engine::Sqlite => {
                use session3_store_sqlite::{Options, SqliteStore};
                let durability = match self.durability.unwrap_or_default() {
                    Durability::Process => session3_store_sqlite::Durability::Process,
                    Durability::Disk => session3_store_sqlite::Durability::Disk,
                };
                let options = Options::default()
                    .create(self.create)
                    .read_only(self.read_only)
                    .durability(durability)
                    .max_state_bytes(self.max_state_bytes)
                    .lock_timeout(self.lock_timeout);
                Ok(Arc::new(SqliteStore::open(url, options).await?))
            }
            #[cfg(feature = "redis")]
            Engine::Redis => open_on_server!(self, url, session3_store_redis::RedisStore),
            #[cfg(feature = "postgres")]
            Engine::Postgres => open_on_server!(self, url, session3_store_postgres::PostgresStore),
            #[cfg(feature = "mysql")]
            Engine::Mysql => open_on_server!(self, url, session3_store_mysql::MysqlStore),
            #[cfg_attr(
                all(
                    feature = "sqlite",
                    feature = "redis",
                    feature = "postgres",
                    feature = "mysql"
                ),
                expect(unreachable_patterns, reason = "all features are on")
            )]
            _ => Err(OpenError::NotBuiltIn(engine.feature())),
        }
    }

    /// Refuses a durability for a store whose server decides about it.
    #[cfg(any(feature = "redis", feature = "postgres", feature = "mysql"))]
    fn has_no_durability(&self) -> Result<(), OpenError> {
        match self.durability {
            None => Ok(()),
            Some(_) => Err(OpenError::DurabilityOfServer),
        }
    }
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            create: false,
            read_only: false,
            durability: None,
            lock_timeout: Duration::from_secs(5),
            max_state_bytes: 1 << 20,
            password: None,
        }
    }
}

// The password stays out.
impl fmt::Debug for StoreOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StoreOptions")
            .field("create", &self.create)
            .field("read_only", &self.read_only)
            .field("durability", &self.durability)
            .field("lock_timeout", &self.lock_timeout)
            .field("max_state_bytes", &self.max_state_bytes)
            .finish_non_exhaustive()
    }
}

/// Why a store was not opened. Each message is one line without a password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// No store has this scheme.
    #[error(
        "`{0}:` is no kind of store; the kinds are dir:, memory:, sqlite:, redis:, rediss:, \
         valkey:, valkeys:, postgres:, mysql: and mariadb:, and a directory whose name has a colon is dir:PATH"
    )]
    UnknownScheme(String),
    /// The URL is not one of a store, for this reason.
    #[error("the URL of the store: {0}")]
    Url(&'static str),
    /// The store is a feature of this crate that was not built in.
    #[error("this program was built without this kind of store: build it with the feature `{0}`")]
    NotBuiltIn(&'static str),
    /// A durability was set for a store whose server decides about it.
    #[error(
        "the durability of this store is set on its server or in the URL: leave the option out"
    )]
    DurabilityOfServer,
    /// A directory was not opened.
    #[error(transparent)]
    Directory(#[from] directory::OpenError),
    /// An SQLite file was not opened.
    #[cfg(feature = "sqlite")]
    #[error(transparent)]
    Sqlite(#[from] session3_store_sqlite::OpenError),
    /// A store in Redis was not opened.
    #[cfg(feature = "redis")]
    #[error(transparent)]
    Redis(#[from] session3_store_redis::OpenError),
    /// A store in PostgreSQL was not opened.
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] session3_store_postgres::OpenError),
    /// A store in MySQL or MariaDB was not opened.
    #[cfg(feature = "mysql")]
    #[error(transparent)]
    Mysql(#[from] session3_store_mysql::OpenError),
}

impl OpenError {
    /// Returns whether the store does not exist yet, so that it can be created.
    pub fn is_missing(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Self::Redis(error) => {
                matches!(error, session3_store_redis::OpenError::Missing(..))
            }
            #[cfg(feature = "postgres")]
            Self::Postgres(error) => {
                matches!(error, session3_store_postgres::OpenError::Missing(..))
            }
            #[cfg(feature = "mysql")]
            Self::Mysql(error) => {
                matches!(error, session3_store_mysql::OpenError::Missing(..))
            }
            _ => self.missing_path().is_some(),
        }
    }

    /// Returns the path of the directory or file of a store that [does not
    /// exist](Self::is_missing); `None` if the store is on a server.
    pub fn missing_path(&self) -> Option<&Path> {
        match self {
            Self::Directory(directory::OpenError::Missing(path)) => Some(path),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(error) => {
                use session3_store_sqlite::OpenError::{Empty, Missing};
                match error {
                    Missing(path) | Empty(path) => Some(path),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}
