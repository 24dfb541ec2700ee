//! Sending a static file: what moves it into the buffer of the client.

use std::future::poll_fn;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use tokio::sync::OwnedSemaphorePermit;

use super::observed::count_failure;
use super::response_body::BodyWriter;
use super::static_files::{CHUNK, FileBody};

/// A file on its way to a client.
pub struct SentFile {
    /// The content of the file.
    pub body: FileBody,
    /// How many bytes the client was promised.
    pub length: u64,
    /// The place of the file among those that are open.
    pub permit: OwnedSemaphorePermit,
}

impl SentFile {
    /// Moves the content into the buffer of the client, and closes the file as soon as the
    /// buffer holds the rest.
    pub async fn send(mut self, writer: BodyWriter) {
        while self.length > 0 {
            poll_fn(|context| writer.poll_room(context)).await;
            if writer.is_abandoned() {
                return;
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        writer.push(Frame::data(self.take(data)));
                    }
                }
                Some(Err(error)) => return cut_off(&format!("it cannot be read: {error}")),
                None => return cut_off("it has become shorter"),
            }
        }
        writer.end(true);
        let Self { body, permit, .. } = self;
        drop(body);
        // Until then, the last part takes memory that is not counted.
        poll_fn(|context| writer.poll_shared(context)).await;
        drop(permit);
    }

    /// Returns what the client gets of a part of the file, which may have grown since.
    fn take(&mut self, data: Bytes) -> Bytes {
        let length = usize::try_from(self.length).map_or(data.len(), |left| left.min(data.len()));
        self.length -= length as u64;
        let data = data.slice(..length);
        match length < CHUNK / 2 {
            // Otherwise a small file would take the memory of a whole chunk.
            true => Bytes::copy_from_slice(&data),
            false => data,
        }
    }
}

fn cut_off(why: &str) {
    tracing::error!("a static file was cut off: {why}");
    count_failure("cut-off");
}
