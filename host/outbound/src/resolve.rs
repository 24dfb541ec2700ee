//! Resolves names to addresses.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

/// Resolves names to addresses. The default is [`SystemResolver`].
///
/// A name is resolved once for each connection. The addresses are checked, and the connection
/// is made to one of them.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Returns the addresses of a name, which is in lower case and has no dot at its end.
    ///
    /// # Errors
    ///
    /// Fails if the name does not exist, or if no name server answers.
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks the system, which reads `/etc/hosts` and asks the name servers of `/etc/resolv.conf`.
///
/// The system's function blocks a thread, also after the time limit. At most 32 threads do so
/// at once. While name servers do not answer, more requests wait until their time limit, and
/// the rest of the process still has threads.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

/// The number of names that are resolved at once.
const MAX_LOOKUPS: usize = 32;

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
        }
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let permit = self.lookups.clone().acquire_owned().await;
        let name = name.to_owned();
        let lookup = move || {
            // The thread has the permit, even if its result is no longer waited for.
            let _permit = permit;
            let addresses = (name.as_str(), 0).to_socket_addrs()?;
            Ok(addresses.map(|address| address.ip()).collect())
        };
        tokio::task::spawn_blocking(lookup).await?
    }
}
