//! Sending a static file: what moves it into the buffer of the client.

use std::future::poll_fn;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Frame};
use tokio::sync::OwnedSemaphorePermit;

use super::failure::cut_off;
use super::file_access::FileAccess;
use super::response_body::BodyWriter;
use super::static_files::{CHUNK, FileBody};

/// A file on its way to a client.
pub struct SentFile {
    file: OpenFile,
    /// How many bytes the client was promised, and has not got yet.
    length: u64,
}

struct OpenFile {
    content: FileBody,
    /// The place of the file among those that are open.
    _permit: OwnedSemaphorePermit,
}

impl SentFile {
    /// Begins to send the content of a file to a client that was promised `length` bytes.
    pub fn new(content: FileBody, length: u64, permit: OwnedSemaphorePermit) -> Self {
        let file = OpenFile {
            content,
            _permit: permit,
        };
        Self { file, length }
    }

    /// Moves the content into the buffer of the client, and closes the file as soon as the
    /// buffer holds the rest.
    pub async fn send(self, writer: BodyWriter, access: &FileAccess) {
        let Self {
            mut file,
            mut length,
        } = self;
        while length > 0 {
            poll_fn(|context| writer.poll_room(context)).await;
            if writer.is_abandoned() {
                return;
            }
            let reading = async move {
                let frame = file.content.frame().await;
                (file, frame)
            };
            let Some((read, frame)) = access.work(reading).await else {
                return cut_off("a static file", "it was not read in time");
            };
            file = read;
            match frame {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        let data = wanted(data, length);
                        length -= data.len() as u64;
                        writer.push(Frame::data(data));
                    }
                }
                Some(Err(error)) => {
                    return cut_off("a static file", &format!("it cannot be read: {error}"));
                }
                None => return cut_off("a static file", "it has become shorter"),
            }
        }
        writer.end(true);
        let OpenFile { content, _permit } = file;
        drop(content);
        // Until then, the last part takes memory that is not counted.
        poll_fn(|context| writer.poll_shared(context)).await;
    }
}

/// Returns what the client gets of a part of the file, which may have grown since, if it still
/// gets `length` bytes.
fn wanted(data: Bytes, length: u64) -> Bytes {
    let length = usize::try_from(length).map_or(data.len(), |left| left.min(data.len()));
    let data = data.slice(..length);
    match length < CHUNK / 2 {
        // Otherwise a small file would take the memory of a whole chunk.
        true => Bytes::copy_from_slice(&data),
        false => data,
    }
}
