//! The body of a response that has none, such as that to HEAD, although the application writes
//! one.

use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Bytes, Frame};
use wasmtime_wasi_http::Error;

/// A body without content. What the application writes is dropped, so that the application
/// does not notice.
pub struct WithoutContent {
    body: Option<UnsyncBoxBody<Bytes, Error>>,
}

impl WithoutContent {
    /// Wraps the body whose content is dropped.
    pub fn new(body: UnsyncBoxBody<Bytes, Error>) -> Self {
        Self { body: Some(body) }
    }

    fn drop_content(&mut self) {
        if let Some(mut body) = self.body.take() {
            tokio::spawn(async move { while let Some(Ok(_)) = body.frame().await {} });
        }
    }
}

impl Body for WithoutContent {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.drop_content();
        Poll::Ready(None)
    }
}

impl Drop for WithoutContent {
    /// hyper may drop the body without reading it.
    fn drop(&mut self) {
        self.drop_content();
    }
}
