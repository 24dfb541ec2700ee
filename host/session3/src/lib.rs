//! Sessions for web applications that run as WebAssembly components.
//!
//! This serves an application that imports `session3:sessions/manager`, and keeps its
//! users' sessions in a directory:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use session3::store::{DirectoryStore, directory::Options};
//! use session3::{ServeOptions, Server, SessionsCtx};
//!
//! # #[tokio::main]
//! # async fn main() -> wasmtime::Result<()> {
//! let store = DirectoryStore::open("sessions", Options::default().create(true))?;
//! let sessions = SessionsCtx::builder(Arc::new(store))
//!     .on_event(|event| println!("{event:?}"))
//!     .build();
//!
//! let application = std::fs::read("application.wasm")?;
//! let component = session3::compose(&application, session3::components::MANAGER)?;
//! let server = Server::new(&component, sessions, ServeOptions::default())?;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! server.serve(listener.try_into()?, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! - A Rust program without an application component uses [`SessionManager`], or, for a
//!   service of tower or axum, `layer::SessionLayer`.
//! - An embedder with a linker of its own uses [`add_to_linker`], which has an example.
//! - [`store::open`] opens a store by its URL; [`store::SessionStore`] is the trait for other
//!   stores; [`store::directory`] is the store in a directory.
//! - [`listen`] has the sockets of a server, TLS and trusted proxies, and [`outbound`] the rules
//!   for requests of the application to other servers.
//! - [`policy`] writes an operator's policy into the manager, [`Administration`] shows and ends
//!   all sessions, and [`metrics`] has sinks for events and durations.
//!
//! The example also needs the crates `wasmtime` and `tokio`, the latter with the features
//! `macros`, `net` and `rt-multi-thread`.
//!
//! # Features
//!
//! - `tower`: the module `layer`, with `SessionLayer` for services of tower.
//! - `axum`: the session of that layer as an extractor of axum's handlers. It implies `tower`.
//! - `encryption`: `store::EncryptedStore`, which seals what any other store keeps.
//! - `sqlite`, `redis`, `postgres`, `mysql`: stores on other engines, for [`store::open`].

// One function of `compiled` is the exception.
#![deny(unsafe_code)]

pub mod admin;
pub mod bindings;
mod cache;
pub mod compiled;
mod ctx;
mod engine;
mod error;
mod instances;
#[cfg(feature = "tower")]
pub mod layer;
mod linker;
mod log_limit;
pub mod manager;
pub mod metrics;
pub mod policy;
mod serve;
mod session;
pub mod store;
pub mod text;
mod value;

/// The components of session3, as bytes.
pub use session3_components as components;
/// What a [`Server`] listens on, and what it knows of its clients.
pub use session3_listen as listen;
/// What sends an application's requests to other servers.
pub use session3_outbound as outbound;

pub use admin::Administration;
pub use bindings::session3::sessions::events::{EndReason, Event, RejectReason};
pub use ctx::{SessionsCtx, SessionsCtxBuilder, SessionsCtxView, SessionsView};
pub use engine::{Pool, engine};
pub use error::SessionError;
pub use linker::{HeldLock, add_to_linker};
pub use manager::{SessionManager, SessionManagerBuilder};
pub use serve::{ACCESS_LOG, ServeOptions, Server};
pub use session::Session;
pub use session3_compose::{
    ComposeError, Composition, Grant, NotAComponent, Part, Warning, compose,
};
