//! The crate of a store's author, with the store in memory as an example.

pub use session3_store::MemoryStore as MyStore;
