//! The body of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use thiserror::Error;

use crate::call::Call;
use crate::error::BoxError;

/// The body of a request. It notes its progress and its failure in its [`Call`], and has the
/// length that the header `Content-Length` says.
pub struct SentBody {
    body: UnsyncBoxBody<Bytes, BoxError>,
    /// The number of bytes that are missing, if there is a `Content-Length`.
    missing: Option<u64>,
    call: Arc<Call>,
}

/// Tells the HTTP client to give up the request. The call has the error.
#[derive(Debug, Error)]
#[error("the body of the request failed")]
pub struct SentBodyFailed;

/// Why the body of a request failed, if it is not an error of the body itself.
#[derive(Debug, Error)]
#[error("the body of the request does not have the length of its Content-Length")]
struct WrongLength;

impl SentBody {
    /// Wraps a body. The length is that of `Content-Length`.
    pub fn new<B>(body: B, length: Option<u64>, call: Arc<Call>) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self {
            body: body.map_err(Into::into).boxed_unsync(),
            missing: length,
            call,
        }
    }

    fn count(&mut self, frame: &Frame<Bytes>) -> Result<(), BoxError> {
        let (Some(missing), Some(data)) = (&mut self.missing, frame.data_ref()) else {
            return Ok(());
        };
        *missing = missing.checked_sub(data.len() as u64).ok_or(WrongLength)?;
        Ok(())
    }

    fn check_end(&self) -> Result<(), BoxError> {
        match self.missing {
            Some(1..) => Err(WrongLength.into()),
            _ => Ok(()),
        }
    }

    fn failed(&self, error: BoxError) -> Poll<Option<Result<Frame<Bytes>, SentBodyFailed>>> {
        self.call.fail(error);
        Poll::Ready(Some(Err(SentBodyFailed)))
    }
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = SentBodyFailed;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, SentBodyFailed>>> {
        let this = self.get_mut();
        let checked = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Ok(frame)) => this.count(&frame).map(|()| Some(frame)),
            Some(Err(error)) => Err(error),
            None => this.check_end().map(|()| None),
        };
        match checked {
            Ok(frame) => {
                this.call.advance();
                Poll::Ready(frame.map(Ok))
            }
            Err(error) => this.failed(error),
        }
    }

    fn is_end_stream(&self) -> bool {
        // The end of a body that is too short must be polled, so that it fails.
        self.body.is_end_stream() && self.check_end().is_ok()
    }

    fn size_hint(&self) -> SizeHint {
        match self.missing {
            Some(missing) => SizeHint::with_exact(missing),
            None => self.body.size_hint(),
        }
    }
}
