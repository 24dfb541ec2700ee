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
//! [`Composition`] adds a store, a middleware, or grants. [`inspect`] reads what a
//! component imports, exports and needs, without compiling it.

#![forbid(unsafe_code)]

mod composition;
mod outline;

pub use composition::{ComposeError, Composition, Grant, compose};
pub use outline::{Needs, NotAComponent, Outline, inspect, is_async};
