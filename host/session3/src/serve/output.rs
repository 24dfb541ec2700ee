//! The standard output and standard error of a component, which become lines of the log.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use async_trait::async_trait;
use hyper::body::Bytes;
use parking_lot::Mutex;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::text::escaped;

/// The largest length of a line, in bytes. A longer line is split.
const MAX_LINE: usize = 4096;
/// The largest output of a request to one stream, in bytes. The rest is dropped, so that no
/// request can fill the log.
const MAX_OUTPUT: usize = 64 << 10;
/// What each line counts towards that, in addition to its bytes: what the log adds to a line.
/// So a request can print at most a thousand lines to one stream.
const LINE_COST: usize = 64;
/// The largest size of a single write, in bytes.
const MAX_WRITE: usize = 64 << 10;

/// An output stream of a component.
#[derive(Clone, Copy)]
pub enum Stream {
    /// Standard output, logged with the level `info`.
    Stdout,
    /// Standard error, logged with the level `warn`.
    Stderr,
}

/// The host's end of an output stream of an instance.
#[derive(Clone)]
pub struct Output {
    lines: Arc<Mutex<Lines>>,
}

/// Splits the output of an instance into lines, and logs them.
struct Lines {
    stream: Stream,
    /// The beginning of a line that has not ended yet.
    line: Vec<u8>,
    /// The number of bytes that may still be printed; each line costs [`LINE_COST`] more.
    remaining: usize,
}

impl Output {
    /// Creates the output of a new instance.
    pub fn new(stream: Stream) -> Self {
        let lines = Lines {
            stream,
            line: Vec::new(),
            remaining: MAX_OUTPUT,
        };
        Self {
            lines: Arc::new(Mutex::new(lines)),
        }
    }

    /// Ends the request: logs the line that has not ended, and allows the next request the
    /// whole output.
    pub fn end_request(&self) {
        let mut lines = self.lines.lock();
        if !lines.line.is_empty() {
            lines.end_line();
        }
        lines.remaining = MAX_OUTPUT;
    }
}

impl Lines {
    fn print(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.remaining == 0 {
                return;
            }
            self.remaining -= 1;
            match byte {
                b'\n' => self.end_line(),
                _ => self.line.push(byte),
            }
            if self.line.len() == MAX_LINE || self.is_exhausted_within_a_line() {
                self.end_line();
            }
            if self.remaining == 0 {
                tracing::warn!("a request printed too much to one stream: the rest is dropped");
            }
        }
    }

    fn is_exhausted_within_a_line(&self) -> bool {
        self.remaining == 0 && !self.line.is_empty()
    }

    /// Logs the line, with a prefix and with control characters escaped: the application
    /// cannot forge log lines of the server.
    fn end_line(&mut self) {
        self.remaining = self.remaining.saturating_sub(LINE_COST);
        let line = std::mem::take(&mut self.line);
        let length = line.len();
        let line = escaped(String::from_utf8_lossy(&line).trim_end_matches('\r'));
        let excess = line.len().saturating_sub(length);
        self.remaining = self.remaining.saturating_sub(excess);
        match self.stream {
            Stream::Stdout => tracing::info!("the application says: {line}"),
            Stream::Stderr => tracing::warn!("the application says: {line}"),
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            self.end_line();
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.lines.lock().print(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE)
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.lines.lock().print(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
