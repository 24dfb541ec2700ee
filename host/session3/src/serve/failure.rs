//! Why a request gets no response from the application, and what its client gets in its place.

use std::io;
use std::sync::LazyLock;

use hyper::StatusCode;

use super::observed::count_failure;
use super::request_body::Fault;
use super::time_limit::Late;
use crate::log_limit::LogLimit;
use crate::text::escaped;

/// Limits the lines about requests that were refused because there are too many.
static REFUSALS: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(10));
/// Limits the lines about requests that failed and responses that were cut off.
static FAILURES: LazyLock<LogLimit> = LazyLock::new(|| LogLimit::new(100));

/// What a line says of how many lines were left out.
const LEFT_OUT: &str = "failures of requests";

/// Why a request got no response from the component.
pub enum Failure {
    /// The component exceeded the time limit.
    TimedOut,
    /// Too many requests are running and waiting, or too many of them have slow clients.
    Overloaded,
    /// The body of the request is not complete.
    Body(Fault),
    /// The request does not name one host.
    NoHost,
    /// The request has too many headers.
    TooManyHeaders,
    /// A static file could not be opened.
    File(io::Error),
    /// Whether there is such a static file was not known in time.
    SlowFile,
    /// The component failed, with this message.
    Guest(String),
}

impl Failure {
    /// Logs the failure and counts it. Returns the status of the response, and its text.
    pub fn report(&self) -> (StatusCode, &'static str) {
        count_failure(self.reason());
        self.log();
        self.answer()
    }

    /// Returns the reason as a label of the metrics.
    fn reason(&self) -> &'static str {
        match self {
            Self::TimedOut => "timed-out",
            Self::Overloaded => "overloaded",
            Self::Body(Fault::TooLong) => "body-too-long",
            Self::Body(Fault::TooSlow) => "body-too-slow",
            Self::Body(Fault::Broken) => "body-broken",
            Self::NoHost => "no-host",
            Self::TooManyHeaders => "too-many-headers",
            Self::File(_) => "file-failed",
            Self::SlowFile => "file-timed-out",
            Self::Guest(_) => "application-failed",
        }
    }

    /// Logs a failure that is not the client's.
    fn log(&self) {
        match self {
            Self::Overloaded => {
                if REFUSALS.allows_line(LEFT_OUT) {
                    tracing::warn!(
                        "a request was refused: too many requests are running and waiting"
                    );
                }
            }
            Self::TimedOut => log_failure("a request failed: it exceeded the time limit"),
            Self::File(error) => {
                log_failure(&format!("a static file could not be opened: {error}"));
            }
            Self::SlowFile => log_failure(
                "a static file was not found in time: its file system is slow, or too many \
                 requests for files are under way",
            ),
            Self::Guest(error) => log_failure(&format!("a request failed: {}", escaped(error))),
            Self::Body(_) | Self::NoHost | Self::TooManyHeaders => {}
        }
    }

    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "The request took too long.\n"),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many requests are under way: try again.\n",
            ),
            Self::Body(Fault::TooLong) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "The request's body is too long.\n",
            ),
            Self::Body(Fault::TooSlow) => (
                StatusCode::REQUEST_TIMEOUT,
                "The request's body came too slowly.\n",
            ),
            Self::Body(Fault::Broken) => (
                StatusCode::BAD_REQUEST,
                "The request's body is not complete.\n",
            ),
            Self::NoHost => (
                StatusCode::BAD_REQUEST,
                "The request does not name one host.\n",
            ),
            Self::TooManyHeaders => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "The request has too many headers.\n",
            ),
            Self::File(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The file could not be read.\n",
            ),
            Self::SlowFile => (
                StatusCode::SERVICE_UNAVAILABLE,
                "The files of this server are slow: try again.\n",
            ),
            Self::Guest(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "The application failed.\n",
            ),
        }
    }
}

impl From<wasmtime::Error> for Failure {
    /// Keeps the root cause and drops the backtrace, so that the log has one line.
    fn from(error: wasmtime::Error) -> Self {
        Self::Guest(error.root_cause().to_string())
    }
}

impl From<Late> for Failure {
    fn from(late: Late) -> Self {
        match late {
            Late::TooLong => Self::TimedOut,
            Late::SlowClient => Self::Overloaded,
        }
    }
}

/// Logs and counts that `what`, such as a response, was cut off after its head.
pub fn cut_off(what: &str, why: &str) {
    count_failure("cut-off");
    log_failure(&format!("{what} was cut off: {why}"));
}

fn log_failure(text: &str) {
    if FAILURES.allows_line(LEFT_OUT) {
        tracing::error!("{text}");
    }
}
