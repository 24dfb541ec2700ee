//! The answer to a client that sends a request without TLS to a port with TLS.

use std::io::Result;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Stream;

/// It ends with the connection, so that it needs no length.
const ANSWER: &[u8] = b"HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\
    \r\n\
    This port needs TLS: use a URL that begins with https://.\n";
/// How many bytes of the request to read. With unread bytes, the operating system would reset the
/// connection, and the client might not get the answer.
const MAX_REQUEST: u64 = 64 << 10;

/// Answers a request without reading what it asks for, and waits until the client closes the
/// connection.
pub(crate) async fn refuse(stream: &mut Stream) -> Result<()> {
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(MAX_REQUEST);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}
