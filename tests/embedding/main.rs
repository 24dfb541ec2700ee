//! Tests of the library: the session manager and the stores as components, embedding, and
//! the security checklist.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod checklist;
mod component;
mod conformance;
mod content;
mod context;
mod cookies;
mod embedding;
mod filesystem;
mod layer;
mod outbound;
mod server;
