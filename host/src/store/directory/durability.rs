//! What survives a power cut.
//!
//! Under [`Durability::Disk`], each save has a flush of its own: those of several
//! threads do not wait for each other, since the kernel and the disk bring them
//! together already. Measured on two cores, saves a second, each thread with a
//! session of its own, beside a bare `pwrite` and `fdatasync` of a file of its own:
//!
//! | | 1 thread | 4 threads | 16 threads |
//! | --- | --- | --- | --- |
//! | a virtual disk, ext4 without a journal | 5,400 | 13,000 | 22,000 |
//! | bare | 10,100 | 22,500 | 51,000 |
//! | an image of ext4 with a journal | 3,500 | 7,600 | 23,600 |
//! | bare | 5,300 | 10,500 | 31,800 |
//!
//! What is missing is the time of the processors, which 16 threads keep busy, and
//! not time that is spent waiting: sharing flushes would save none of it.

/// What survives a power cut. What was acknowledged survives a kill of the
/// process either way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// Nothing is flushed: a power cut may take back the last seconds, log-outs
    /// included. A session that was saved more than once in these may also be
    /// damaged, or in the state before the one that it had until then.
    #[default]
    Process,
    /// Data and directory entries are on the medium before a call returns.
    Disk,
}
