//! Nothing: the dependencies of this package are its purpose, as `Cargo.toml` says.

#![forbid(unsafe_code)]
