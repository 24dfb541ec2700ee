//! What a component prints, as lines of the log.

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

/// Bytes of one line; a longer one is broken.
const LINE: usize = 4096;
/// Bytes that one request may print; the rest is dropped, so that no request
/// fills the log.
const LIMIT: usize = 64 << 10;
/// How much a component may write at a time.
const PERMIT: usize = 64 << 10;

/// Which of the two.
#[derive(Clone, Copy)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// One of an instance's output streams.
#[derive(Clone)]
pub struct Output {
    lines: Arc<Mutex<Lines>>,
}

struct Lines {
    stream: Stream,
    /// What has no end of line yet.
    line: Vec<u8>,
    /// Bytes that may still be printed.
    left: usize,
}

impl Output {
    /// The log, for an instance that begins.
    pub fn new(stream: Stream) -> Self {
        let lines = Lines {
            stream,
            line: Vec::new(),
            left: LIMIT,
        };
        Self {
            lines: Arc::new(Mutex::new(lines)),
        }
    }
}

impl Lines {
    fn print(&mut self, bytes: &[u8]) {
        let had_some = self.left > 0;
        let bytes = bytes.get(..self.left).unwrap_or(bytes);
        self.left -= bytes.len();
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                _ => self.line.push(byte),
            }
            if self.line.len() == LINE {
                self.end_line();
            }
        }
        if had_some && self.left == 0 {
            self.end_line();
            tracing::warn!("a request printed too much: the rest is dropped");
        }
    }

    /// Nothing that it prints looks like a line of the server's own.
    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = escaped(String::from_utf8_lossy(&line).trim_end_matches('\r'));
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
        Ok(PERMIT)
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
