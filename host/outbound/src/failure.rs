//! Finds out what an error of the HTTP client means.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use parking_lot::Mutex;
use tokio_rustls::rustls;

use crate::error::{BoxError, OutboundError};
use crate::target::Target;

/// The error of an attempt to connect on its way through the HTTP client, which gives it back
/// by reference only.
#[derive(Debug)]
pub struct ConnectFailure(Mutex<Option<OutboundError>>);

impl From<OutboundError> for ConnectFailure {
    fn from(error: OutboundError) -> Self {
        Self(Mutex::new(Some(error)))
    }
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection failed")
    }
}

impl Error for ConnectFailure {}

/// What an error means for the request.
enum Meaning {
    Closed,
    TooLarge,
    Tls,
    WriteTimeout,
    Protocol,
}

/// Returns the error of a request that the HTTP client did not send, or that had no response.
pub fn of_request(target: &Target, error: hyper_util::client::legacy::Error) -> OutboundError {
    let failure = causes(&error).find_map(|cause| cause.downcast_ref::<ConnectFailure>());
    if let Some(error) = failure.and_then(|failure| failure.0.lock().take()) {
        return error;
    }
    explain(target, error.into())
}

/// Returns the error of a response that ended early.
pub fn of_response(target: &Target, error: hyper::Error) -> OutboundError {
    explain(target, error.into())
}

/// Returns the error of an attempt to connect over TCP.
pub fn of_connect(target: &Target, error: io::Error) -> OutboundError {
    match error.kind() {
        ErrorKind::ConnectionRefused => OutboundError::ConnectionRefused(target.clone(), error),
        ErrorKind::TimedOut => OutboundError::ConnectTimeout(target.clone()),
        _ => OutboundError::Unreachable(target.clone(), error),
    }
}

/// Returns the error of a handshake of TLS.
pub fn of_tls(target: &Target, error: io::Error) -> OutboundError {
    let target = target.clone();
    match tls_error(&error) {
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            OutboundError::TlsCertificate(target, error)
        }
        Some(_) => OutboundError::TlsProtocol(target, error.into()),
        None => OutboundError::ConnectionClosed(target, error.into()),
    }
}

fn explain(target: &Target, error: BoxError) -> OutboundError {
    let target = target.clone();
    let meaning = causes(&*error).find_map(meaning);
    match meaning.unwrap_or(Meaning::Protocol) {
        Meaning::Closed => OutboundError::ConnectionClosed(target, error),
        Meaning::TooLarge => OutboundError::ResponseHeadersTooLarge(target),
        Meaning::Tls => OutboundError::TlsProtocol(target, error),
        Meaning::WriteTimeout => OutboundError::WriteTimeout(target, error),
        Meaning::Protocol => OutboundError::Protocol(target, error),
    }
}

/// Returns what one of the causes of an error means, or `None` if the next cause says more.
fn meaning(cause: &(dyn Error + 'static)) -> Option<Meaning> {
    if let Some(error) = cause.downcast_ref::<hyper::Error>() {
        return if error.is_parse_too_large() {
            Some(Meaning::TooLarge)
        } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            Some(Meaning::Closed)
        } else {
            None
        };
    }
    let error = cause.downcast_ref::<io::Error>()?;
    if tls_error(error).is_some() {
        return Some(Meaning::Tls);
    }
    match error.kind() {
        ErrorKind::TimedOut => Some(Meaning::WriteTimeout),
        ErrorKind::BrokenPipe
        | ErrorKind::ConnectionAborted
        | ErrorKind::ConnectionReset
        | ErrorKind::NotConnected
        | ErrorKind::UnexpectedEof => Some(Meaning::Closed),
        // `InvalidInput` and `InvalidData` are what a decoder of HTTP reports.
        _ => None,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// Iterates over an error and its causes.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}
