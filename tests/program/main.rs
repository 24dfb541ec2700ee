//! Tests of the program over HTTP, and of the operators' commands.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod account;
mod cache;
mod compiled;
mod cookies;
mod guests;
mod hosts;
mod http;
mod log;
mod metrics;
mod middleware;
mod operators;
mod policy;
mod processes;
mod readme;
mod releases;
mod serve;
mod signals;
mod starting;
mod stock;
mod wasi03;
