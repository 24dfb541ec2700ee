//! A store: here it is the one in memory.

pub use session3_store::MemoryStore as MyStore;
