//! What proves it: through the real component in the real host, with real
//! files, real processes and a real browser.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod support;

mod browser;
mod component;
mod contract;
mod cookies;
mod directory;
mod http;
mod processes;
mod program;
mod server;
