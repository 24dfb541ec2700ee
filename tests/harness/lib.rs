//! Hosts for the components, with clocks and stores that a test chooses: [`manager`] runs
//! the session manager, [`provider`] stores that are components.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

pub mod manager;
pub mod provider;

/// The Rust code of the README and of a chapter of the book runs as tests of documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../docs/src/embedding.md")]
struct Readme;
