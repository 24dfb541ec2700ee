//! Requests to real servers on the loopback interface. Only names are resolved by fakes.

#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

mod bodies;
mod connections;
mod destinations;
mod http2;
mod http_server;
mod limits;
mod messages;
mod names;
mod raw_server;
mod requests;
mod stalls;
mod tls;
