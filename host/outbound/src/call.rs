//! A request that is under way: what its two bodies share.

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::error::{BoxError, OutboundError};
use crate::target::Target;

/// A request that is under way, until both of its bodies have ended or were dropped.
pub struct Call {
    pub target: Target,
    upload: Mutex<Upload>,
    _permit: OwnedSemaphorePermit,
}

/// How the body of the request gets on.
struct Upload {
    latest: Instant,
    error: Option<BoxError>,
}

impl Call {
    pub fn new(target: Target, permit: OwnedSemaphorePermit) -> Self {
        let upload = Upload {
            latest: Instant::now(),
            error: None,
        };
        Self {
            target,
            upload: upload.into(),
            _permit: permit,
        }
    }

    /// Notes that the connection took a part of the request's body.
    pub fn advance(&self) {
        self.upload.lock().latest = Instant::now();
    }

    /// Returns when the connection took the latest part of the request's body.
    pub fn latest(&self) -> Instant {
        self.upload.lock().latest
    }

    /// Notes that the body of the request failed.
    pub fn fail(&self, error: BoxError) {
        self.upload.lock().error = Some(error);
    }

    /// Returns the error of the request's body, if it failed. That is why the connection failed,
    /// which reports another error.
    pub fn cause(&self, otherwise: impl FnOnce() -> OutboundError) -> OutboundError {
        match self.upload.lock().error.take() {
            Some(error) => OutboundError::RequestBody(self.target.clone(), error),
            None => otherwise(),
        }
    }
}
