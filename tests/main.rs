//! What proves it: through the real component in the real host, with real
//! files, real processes and a real browser.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod support;

mod account;
mod browser;
mod checklist;
mod component;
mod contract;
mod cookies;
mod directory;
mod embedding;
mod faults;
mod filesystem;
mod fuzzing;
mod guests;
mod hosts;
mod http;
mod metrics;
mod middleware;
mod operators;
mod policy;
mod powercut;
mod processes;
mod program;
mod readme;
mod serve;
mod server;
mod stock;
mod wasi03;
