//! Tests of the program over HTTP, and of the operators' commands.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod account;
mod book;
mod cache;
mod clients;
mod commands;
mod compiled;
mod configuration;
mod cookies;
mod deploy;
mod dev;
mod engines;
mod frozen;
mod guests;
mod guests_c;
mod guests_python;
mod guests_javascript;
mod hosts;
mod http;
mod https;
mod limits;
mod listening;
mod log;
mod messages;
mod metrics;
mod middleware;
mod mistakes;
mod moving;
mod observed;
mod operators;
mod outbound;
mod place;
mod policy;
mod processes;
mod protocol;
mod readme;
mod releases;
mod reuse;
mod serve;
mod signals;
mod stalled;
mod starting;
mod static_files;
mod stock;
mod wasi03;
