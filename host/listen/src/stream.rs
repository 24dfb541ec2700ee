//! The bytes of a connection: of TCP or a Unix socket, with or without TLS.

use std::io::{IoSlice, Result};
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, recv};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// The stream of a [`Connection`](crate::Connection).
#[derive(Debug)]
pub struct Stream(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<Stream>>),
}

impl Stream {
    /// Returns whether the stream is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self.0, Inner::Tls(_))
    }

    /// Sends small parts of a response at once (`TCP_NODELAY`), without waiting until the
    /// client acknowledges the previous part. It has no effect on a Unix socket, which never
    /// waits.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn set_nodelay(&self, nodelay: bool) -> Result<()> {
        match &self.0 {
            Inner::Tcp(stream) => stream.set_nodelay(nodelay),
            Inner::Unix(_) => Ok(()),
            Inner::Tls(stream) => stream.get_ref().0.set_nodelay(nodelay),
        }
    }

    /// Limits how much of the responses the operating system takes before it has sent it, in
    /// bytes (`TCP_NOTSENT_LOWAT`). It has no effect on a Unix socket, whose client is on this
    /// machine, nor on systems other than Linux.
    ///
    /// # Errors
    ///
    /// If the operating system refuses.
    pub fn limit_unsent(&self, bytes: u32) -> Result<()> {
        match &self.0 {
            Inner::Tcp(stream) => limit_unsent(stream, bytes),
            Inner::Unix(_) => Ok(()),
            Inner::Tls(stream) => stream.get_ref().0.limit_unsent(bytes),
        }
    }

    /// Waits for the first byte, and returns it without taking it from the stream, or `None` if
    /// the client has closed the stream. A stream with TLS returns an encrypted byte.
    pub(crate) async fn peek(&self) -> Result<Option<u8>> {
        match &self.0 {
            Inner::Tcp(stream) => {
                let peek = || peek(stream);
                stream.async_io(Interest::READABLE, peek).await
            }
            Inner::Unix(stream) => {
                let peek = || peek(stream);
                stream.async_io(Interest::READABLE, peek).await
            }
            Inner::Tls(stream) => Box::pin(stream.get_ref().0.peek()).await,
        }
    }
}

fn limit_unsent(stream: &TcpStream, bytes: u32) -> Result<()> {
    match cfg!(target_os = "linux") {
        #[cfg(target_os = "linux")]
        true => SockRef::from(stream).set_tcp_notsent_lowat(bytes),
        _ => Ok(()),
    }
}

fn peek(socket: &impl AsFd) -> Result<Option<u8>> {
    let mut byte = [0];
    let (received, _) = recv(socket, &mut byte, RecvFlags::PEEK)?;
    Ok((received > 0).then_some(byte[0]))
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self(Inner::Tcp(stream))
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Self {
        Self(Inner::Unix(stream))
    }
}

impl From<TlsStream<Stream>> for Stream {
    fn from(stream: TlsStream<Stream>) -> Self {
        Self(Inner::Tls(Box::new(stream)))
    }
}

/// Calls a method of the inner stream.
macro_rules! delegate {
    ($self:ident, $stream:ident => $call:expr) => {
        match &mut $self.get_mut().0 {
            Inner::Tcp(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Inner::Unix(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Inner::Tls(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        delegate!(self, stream => stream.poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<Result<usize>> {
        delegate!(self, stream => stream.poll_write(context, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        delegate!(self, stream => stream.poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(context))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.0 {
            Inner::Tcp(stream) => stream.is_write_vectored(),
            Inner::Unix(stream) => stream.is_write_vectored(),
            Inner::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        delegate!(self, stream => stream.poll_write_vectored(context, parts))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn options_reach_the_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let stream = TcpStream::connect(address).await.expect("a connection");
        let stream = Stream::from(stream);
        stream.set_nodelay(true).expect("a socket of TCP");
        stream.limit_unsent(12_345).expect("a socket of TCP");
        let Inner::Tcp(socket) = &stream.0 else {
            panic!("another kind of stream");
        };
        let socket = SockRef::from(socket);
        assert!(socket.tcp_nodelay().expect("an option"));
        assert_eq!(socket.tcp_notsent_lowat().expect("an option"), 12_345);
        assert!(stream.is_write_vectored() && !stream.is_tls());
    }
}
