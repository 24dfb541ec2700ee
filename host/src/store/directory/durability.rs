//! What survives a power cut.

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
