//! Sessions for web applications that run as WebAssembly components.
//!
//! This serves an application that imports `session3:sessions/manager`, and
//! keeps its users' sessions in a directory:
//!
//! ```no_run
//! use session3::store::{DirectoryStore, directory::Options};
//! use session3::{ServeOptions, Server, SessionsCtx};
//!
//! # #[tokio::main]
//! # async fn main() -> wasmtime::Result<()> {
//! let store = DirectoryStore::open("sessions", Options::default().create(true))?;
//! let sessions = SessionsCtx::new(std::sync::Arc::new(store))
//!     .on_event(|event| println!("{event:?}"));
//!
//! let application = std::fs::read("application.wasm")?;
//! let component = session3::compose(&application, session3::components::MANAGER)?;
//! let server = Server::new(&component, sessions, ServeOptions::default())?;
//!
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! server.serve(listener, std::future::pending()).await;
//! # Ok(())
//! # }
//! ```
//!
//! A Rust program without an application component uses [`SessionManager`], or
//! with tower's services the layer of the feature `tower`.
//! An embedder with a linker of its own uses [`add_to_linker`], which has an
//! example too. [`store::SessionStore`] is the trait for other stores, and
//! [`store::directory`] documents the files, byte by byte.

#![forbid(unsafe_code)]

pub mod admin;
pub mod bindings;
pub mod components;
mod compose;
mod engine;
mod inspect;
#[cfg(feature = "tower")]
pub mod layer;
mod linker;
pub mod manager;
pub mod metrics;
mod mutex;
pub mod policy;
mod serve;
pub mod store;
pub mod text;

pub use admin::Administration;
pub use compose::{ComposeError, Composition, Grant, compose};
pub use engine::{Pool, engine};
pub use inspect::NotAComponent;
pub use linker::{EndReason, Event, RejectReason, SessionsCtx, SessionsView, add_to_linker};
pub use manager::{Session, SessionError, SessionManager};
pub use serve::{ServeOptions, Server};

/// The README's Rust runs as a test.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
