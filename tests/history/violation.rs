//! What the checker says about a history that no order explains.

use std::fmt;

use crate::operation::{Content, Operation};

/// The history of a session that is not linearizable.
#[derive(Clone)]
pub struct Violation {
    /// The operations in the order of their calls.
    pub(crate) operations: Vec<Operation>,
    /// The session after the longest order that explains its operations.
    pub(crate) session: Option<Content>,
    /// The index of the operation that has to follow this order, but is not explained by it.
    pub(crate) stuck: Option<usize>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(first) = self.operations.first() {
            writeln!(f, "No order explains the history of {}:", first.session)?;
        }
        writeln!(f, "called return")?;
        for (index, operation) in self.operations.iter().enumerate() {
            write!(f, "{operation}")?;
            if self.stuck == Some(index) {
                let session = self.session.map(|content| content.to_string());
                let session = session.unwrap_or("no session".into());
                write!(f, "   <-- every order fails, at best after {session}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
