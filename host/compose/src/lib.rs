//! Composes a web application with the session manager into one component.
//!
//! ```no_run
//! let application = std::fs::read("application.wasm")?;
//! let manager = std::fs::read("manager.wasm")?;
//! let component = session3_compose::compose(&application, &manager)?;
//! std::fs::write("composed.wasm", component)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The manager is `session3_components::MANAGER`, which `session3 component manager` writes to
//! a file. The result still imports `session3:sessions/store` and `events` from its host,
//! unless [`Composition::store_component`] provides them. An application that imports `store`,
//! `events` or `admin` without the [`Grant`] for it, or that was built for another version of
//! the contract, is refused. [`Composition`] also adds the middleware.
//!
//! [`inspect`] reads the imports and exports of a component, and the memories, tables and
//! instances that it needs, without compiling it.

#![forbid(unsafe_code)]

mod composition;
mod outline;
mod part;
mod warning;

pub use composition::{ComposeError, Composition, Grant, compose};
pub use outline::{Needs, NotAComponent, Outline, inspect, is_async};
pub use part::Part;
pub use warning::Warning;
