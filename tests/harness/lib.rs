//! Hosts for the components, with clocks and stores that a test chooses: [`manager`] runs
//! the session manager, [`provider`] stores that are components.

#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "a failing test panics, its helpers too")]

pub mod manager;
pub mod provider;

/// The README's Rust code runs as a test of documentation.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
