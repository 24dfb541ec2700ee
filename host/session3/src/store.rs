//! The trait of a store, its types, the stores, and [`open`], which opens one by its URL.

mod clock;
mod open;
mod place;

use std::ffi::OsStr;
use std::sync::Arc;

pub use clock::StoreClock;
pub use open::{OpenError, StoreOptions};
pub use session3_store::*;
pub use session3_store_directory as directory;
pub use session3_store_directory::DirectoryStore;
#[cfg(feature = "encryption")]
pub use session3_store_encrypted as encrypted;
#[cfg(feature = "encryption")]
pub use session3_store_encrypted::EncryptedStore;
#[cfg(feature = "mysql")]
pub use session3_store_mysql as mysql;
#[cfg(feature = "mysql")]
pub use session3_store_mysql::MysqlStore;
#[cfg(feature = "postgres")]
pub use session3_store_postgres as postgres;
#[cfg(feature = "postgres")]
pub use session3_store_postgres::PostgresStore;
#[cfg(feature = "redis")]
pub use session3_store_redis as redis;
#[cfg(feature = "redis")]
pub use session3_store_redis::RedisStore;
#[cfg(feature = "sqlite")]
pub use session3_store_sqlite as sqlite;
#[cfg(feature = "sqlite")]
pub use session3_store_sqlite::SqliteStore;

/// Opens a store by its URL, and creates it if it is missing. [`StoreOptions`] has more
/// choices.
///
/// | URL | store | feature of this crate |
/// | --- | --- | --- |
/// | `/var/lib/shop/sessions`, `dir:PATH` | [`directory`] | |
/// | `memory:` | [`MemoryStore`], to try something out | |
/// | `sqlite:PATH` | `sqlite`: one file | `sqlite` |
/// | `redis://`, `rediss://`, `valkey://`, `redis+sentinel://`, `redis+cluster://` | `redis` | `redis` |
/// | `postgres://` | `postgres` | `postgres` |
/// | `mysql://`, `mariadb://` | `mysql` | `mysql` |
///
/// A path that contains a colon before its first slash could be a misspelt URL. Write `dir:`
/// before it. The module of each store has the parameters of its URLs.
///
/// ```
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("sessions");
/// use session3::store;
///
/// let store = store::open(&path).await?;
/// let sessions = session3::SessionsCtx::builder(store).build();
/// # let error = store::open("sqlit:sessions.db").await.err().ok_or("an error")?;
/// # assert!(error.to_string().contains("dir:"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// See [`OpenError`].
pub async fn open(url: impl AsRef<OsStr>) -> Result<Arc<dyn Maintenance>, OpenError> {
    StoreOptions::default().create(true).open(url).await
}
