//! What operators do with a store.

use async_trait::async_trait;
use redis::Value;
use session3_store::{CheckObserver, CheckReport, Figure, Maintenance, StoreError, Timestamp};

use crate::keys::Tag;
use crate::{RedisStore, check, figures, warnings};

#[async_trait]
impl Maintenance for RedisStore {
    /// Also reports sessions that the server evicted as damaged, and keys that begin like those
    /// of the store but do not belong to it as foreign.
    ///
    /// This looks through all keys of the server with `SCAN`. A repair corrects each entry by a
    /// script, which looks again whether the entry is wrong. While a Cluster moves slots, a
    /// check may overlook sessions that an index lacks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the server cannot be reached or refuses a command.
    async fn check(
        &self,
        repair: bool,
        observer: &mut dyn CheckObserver,
    ) -> Result<CheckReport, StoreError> {
        check::check(&self.bulk, repair, observer).await
    }

    async fn now(&self) -> Result<Option<Timestamp>, StoreError> {
        let answer = self.bulk.read(Tag::Store, redis::cmd("TIME")).await?;
        let parsed: Result<(u64, u64), _> = redis::from_redis_value(answer);
        let (seconds, micros) =
            parsed.map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Some(seconds.saturating_mul(1000) + micros / 1000))
    }

    /// Warns of a server whose restart or crash loses sessions, and of one that deletes keys
    /// when its memory is full. The server may refuse `CONFIG GET`; then the warnings are based
    /// on `INFO` alone.
    async fn warnings(&self) -> Result<Vec<String>, StoreError> {
        warnings::warnings(&self.bulk).await
    }

    async fn has_unfinished_sweep(&self) -> Result<bool, StoreError> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.bulk.keys.sweep_position());
        let exists = self.bulk.read(Tag::Store, command).await?;
        Ok(exists == Value::Int(1))
    }

    /// Returns the memory and the evictions of the whole server, the size of the index by user,
    /// and the memory that a session takes on average. In a Cluster, these are sums.
    async fn figures(&self) -> Result<Vec<Figure>, StoreError> {
        figures::figures(&self.bulk).await
    }
}
