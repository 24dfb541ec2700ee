//! What survives a power cut.
//!
//! Under [`Durability::Disk`], every save flushes on its own. Threads do not wait for each
//! other, because the kernel and the disk combine concurrent flushes already. Measured on
//! two cores in saves per second, where each thread has its own session, beside a bare
//! `pwrite` and `fdatasync` of an own file:
//!
//! | | 1 thread | 4 threads | 16 threads |
//! | --- | --- | --- | --- |
//! | a virtual disk, ext4 without a journal | 5,400 | 13,000 | 22,000 |
//! | bare | 10,100 | 22,500 | 51,000 |
//! | an image of ext4 with a journal | 3,500 | 7,600 | 23,600 |
//! | bare | 5,300 | 10,500 | 31,800 |
//!
//! The difference is processor time, not waiting: sharing flushes would save none of it.

/// What survives a power cut. Acknowledged changes survive a kill of the process in both
/// modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is flushed. A power cut may undo the last seconds, log-outs included. A
    /// session that was saved more than once in that time may also be damaged, or have an
    /// even older state.
    #[default]
    Process,
    /// Data and directory entries are durable before a call returns.
    Disk,
}
