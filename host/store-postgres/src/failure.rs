//! What an error of tokio-postgres says about the statement that it answers.

use std::error::Error as _;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity, SqlState};

use session3_store::url::one_line;

/// How a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The statement changed nothing, and may succeed if it is sent again.
    Repeatable(String),
    /// The statement changed nothing, because the server accepts no writes.
    ReadOnly,
    /// The statement changed nothing, and would fail again.
    Refused(String),
    /// Stored bytes are damaged.
    Damaged(String),
    /// No answer came. The statement may have taken effect, or may do so later.
    Lost(String),
}

impl Failure {
    pub fn new(error: &Error) -> Self {
        let text = describe(error);
        let Some(database) = error.as_db_error() else {
            return Self::Lost(text);
        };
        // With these severities, the server also ends the connection, and may have done so
        // after the commit.
        if database.parsed_severity() != Some(Severity::Error) {
            return Self::Lost(text);
        }
        match database.code() {
            code if is_repeatable(code) => Self::Repeatable(text),
            code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Self::ReadOnly,
            code if *code == SqlState::DATA_CORRUPTED => Self::Damaged(text),
            code if *code == SqlState::T_R_STATEMENT_COMPLETION_UNKNOWN => Self::Lost(text),
            code if code.code().starts_with("08") => Self::Lost(text),
            _ => Self::Refused(text),
        }
    }
}

/// Returns whether a concurrent transaction made the statement fail, which happens if the
/// server's default isolation level is above READ COMMITTED.
fn is_repeatable(code: &SqlState) -> bool {
    [
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
}

/// Returns what an error says, as one line. The details that the server adds are left out,
/// since they contain values of rows.
pub fn describe(error: &Error) -> String {
    if let Some(database) = error.as_db_error() {
        return describe_answer(database);
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    one_line(&text)
}

fn describe_answer(error: &DbError) -> String {
    let message = one_line(error.message());
    format!("{message} ({})", error.code().code())
}
