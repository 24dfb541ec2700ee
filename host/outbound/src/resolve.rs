//! Resolves names to addresses.

use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;

use crate::hosts_file;

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
/// A name with a dot is looked up as it stands. The search list of `/etc/resolv.conf` is not
/// appended, since what answers then would be another host than the one that the rules allow. A
/// name without a dot, such as `db`, is looked up as other programs do it, with the search list:
/// only a rule that names exactly this name allows it.
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
            look_up(&name)
        };
        tokio::task::spawn_blocking(lookup).await?
    }
}

/// Returns the addresses of a name, which is absolute if it has a dot.
fn look_up(name: &str) -> io::Result<Vec<IpAddr>> {
    if !name.contains('.') {
        return ask_system(name);
    }
    // With a dot at its end, the system does not find a name in this file.
    let addresses = hosts_file::addresses(name);
    match addresses.is_empty() {
        true => ask_system(&format!("{name}.")),
        false => Ok(addresses),
    }
}

fn ask_system(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses = (name, 0).to_socket_addrs()?;
    Ok(addresses.map(|address| address.ip()).collect())
}
