//! What a server gives to each application that it serves.

use std::sync::Arc;

use session3_outbound::{Options, Outbound, Rules};
use wasmtime::Result;

use super::ServeOptions;
use super::observed::ServeMetrics;
use crate::ctx::SessionsCtx;

/// What a server gives to each application that it serves, one after another.
pub struct Host {
    /// The store of the sessions, and the sinks for what happens to them.
    pub sessions: SessionsCtx,
    /// The options of the server.
    pub options: ServeOptions,
    /// What sends the application's requests to other servers.
    pub outbound: Outbound,
    /// The metrics of the server.
    pub metrics: Arc<ServeMetrics>,
}

impl Host {
    /// Creates the host of a server with these options.
    ///
    /// # Errors
    ///
    /// If the certificate authorities of the system cannot be read.
    pub fn new(sessions: SessionsCtx, options: ServeOptions) -> Result<Self> {
        let outbound = match &options.outbound {
            Some(outbound) => outbound.clone(),
            None => Outbound::new(Rules::default(), Options::default())?,
        };
        Ok(Self {
            sessions,
            options,
            outbound,
            metrics: ServeMetrics::new(),
        })
    }
}
