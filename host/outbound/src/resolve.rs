//! Resolves names to addresses.

use std::io;
use std::net::IpAddr;

use async_trait::async_trait;

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
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        let addresses = tokio::net::lookup_host((name, 0)).await?;
        Ok(addresses.map(|address| address.ip()).collect())
    }
}
