//! What an error of mysql_async says about the statement that it answers.

use mysql_async::{DriverError, Error, ServerError};

use session3_store::url::one_line;

/// How a statement failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is a row with this primary key already. The message of the server is left out,
    /// since it contains the key.
    Duplicate,
    /// The statement changed nothing, and may succeed if it is sent again.
    Repeatable(String),
    /// The statement changed nothing, because the server accepts no writes.
    ReadOnly(String),
    /// The statement changed nothing, and would fail again.
    Refused(String),
    /// No answer came. The statement may have taken effect, or may do so later.
    Lost(String),
}

/// The numbers of errors that the server sends. The names are those of its documentation.
mod code {
    pub const ER_SERVER_SHUTDOWN: u16 = 1053;
    pub const ER_DUP_ENTRY: u16 = 1062;
    pub const ER_UNKNOWN_COM_ERROR: u16 = 1047;
    pub const ER_LOCK_WAIT_TIMEOUT: u16 = 1205;
    pub const ER_LOCK_DEADLOCK: u16 = 1213;
    pub const ER_OPTION_PREVENTS_STATEMENT: u16 = 1290;
    pub const ER_NEED_REPREPARE: u16 = 1615;
    pub const ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION: u16 = 1792;
    pub const ER_READ_ONLY_MODE: u16 = 1836;
    pub const ER_CONNECTION_KILLED: u16 = 1927;
    pub const ER_SESSION_WAS_KILLED: u16 = 3169;
    pub const ER_CLIENT_INTERACTION_TIMEOUT: u16 = 4031;
}

impl Failure {
    pub fn new(error: &Error) -> Self {
        let text = describe(error);
        match error {
            Error::Server(error) => Self::from_server(error, text),
            // These are found before anything is sent.
            Error::Driver(
                DriverError::PacketTooLarge
                | DriverError::Params(_)
                | DriverError::MixedParams
                | DriverError::StmtParamsMismatch { .. },
            ) => Self::Refused(text),
            _ => Self::Lost(text),
        }
    }

    fn from_server(error: &ServerError, text: String) -> Self {
        match error.code {
            code::ER_DUP_ENTRY => Self::Duplicate,
            code::ER_LOCK_WAIT_TIMEOUT | code::ER_LOCK_DEADLOCK | code::ER_NEED_REPREPARE => {
                Self::Repeatable(text)
            }
            code::ER_OPTION_PREVENTS_STATEMENT
            | code::ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
            | code::ER_READ_ONLY_MODE => Self::ReadOnly(text),
            // A node of a Galera cluster that is not a part of it answers the last one.
            code::ER_SERVER_SHUTDOWN
            | code::ER_CONNECTION_KILLED
            | code::ER_SESSION_WAS_KILLED
            | code::ER_CLIENT_INTERACTION_TIMEOUT
            | code::ER_UNKNOWN_COM_ERROR => Self::Lost(text),
            _ => Self::Refused(text),
        }
    }
}

/// Returns what an error says, as one line.
pub fn describe(error: &Error) -> String {
    match error {
        Error::Server(error) => format!("{} ({})", one_line(&error.message), error.code),
        Error::Io(error) => one_line(&error.to_string()),
        Error::Driver(error) => one_line(&error.to_string()),
        Error::Other(error) => one_line(&error.to_string()),
        Error::Url(error) => one_line(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: u16) -> Failure {
        Failure::new(&Error::Server(ServerError {
            code,
            message: "the\nmessage".into(),
            state: "HY000".into(),
        }))
    }

    #[test]
    fn the_number_of_an_error_says_what_became_of_the_statement() {
        let text = |code| format!("the message ({code})");
        assert_eq!(failure(1062), Failure::Duplicate);
        assert_eq!(failure(1213), Failure::Repeatable(text(1213)));
        assert_eq!(failure(1290), Failure::ReadOnly(text(1290)));
        assert_eq!(failure(1927), Failure::Lost(text(1927)));
        assert_eq!(failure(1146), Failure::Refused(text(1146)));
        let closed = Error::Driver(DriverError::ConnectionClosed);
        assert!(matches!(Failure::new(&closed), Failure::Lost(_)));
    }
}
