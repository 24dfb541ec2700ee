//! An honest client: it keeps its connection and its cookie, as a browser does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1;
use hyper::header::{COOKIE, HOST, SET_COOKIE};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use socket2::SockRef;
use tokio::net::TcpSocket;
use tokio::time::{Instant, Sleep, sleep_until};

/// How much of a response a client holds before it reads on, in bytes.
const MAX_HELD: usize = 16 << 10;
/// The largest segment that a client receives, in bytes, as over Ethernet. Over the loopback
/// interface it would be 64 KiB, so that a slow client would take as much at a time.
const SEGMENT: u32 = 1460;
/// How much is under way to a client with a slow link, in bytes: as much as 64 kB/s with a round
/// trip of a quarter of a second. Otherwise the system of the client would take as much as it
/// takes in some seconds, and then nothing for as long.
const SLOW_LINK: u32 = 16 << 10;

type RequestBody = UnsyncBoxBody<Bytes, Infallible>;

/// A client.
pub struct Client {
    server: SocketAddr,
    /// The size of the buffer for what comes, if it is not that of the system.
    buffer: Option<u32>,
    connection: Option<http1::SendRequest<RequestBody>>,
    /// The cookie, as `name=value`; empty for none.
    cookie: String,
    /// How many requests were sent a second time, since their connection was closed before an
    /// answer came.
    pub repeated: u64,
}

impl Client {
    /// Creates a client without a connection.
    pub fn new(server: SocketAddr) -> Self {
        Self {
            server,
            buffer: None,
            connection: None,
            cookie: String::new(),
            repeated: 0,
        }
    }

    /// Creates a client that receives little at a time, as over a slow link.
    pub fn with_slow_link(server: SocketAddr) -> Self {
        Self {
            buffer: Some(SLOW_LINK),
            ..Self::new(server)
        }
    }

    /// Returns whether the client has a cookie.
    pub fn has_cookie(&self) -> bool {
        !self.cookie.is_empty()
    }

    /// Closes the connection.
    pub fn close(&mut self) {
        self.connection = None;
    }

    /// Gets a page. If the server has closed a connection that was kept, the request is sent
    /// again over a new one.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub async fn get(&mut self, path: &str) -> Result<Response<Incoming>, String> {
        let is_kept = self.connection.is_some();
        let empty = || Empty::new().boxed_unsync();
        match self.send("GET", path, empty()).await {
            Err(_) if is_kept => {
                self.repeated += 1;
                self.send("GET", path, empty()).await
            }
            answered => answered,
        }
    }

    /// Posts a body over a new connection.
    ///
    /// # Errors
    ///
    /// What went wrong.
    pub async fn post(&mut self, path: &str, body: Upload) -> Result<Response<Incoming>, String> {
        self.close();
        self.send("POST", path, body.boxed_unsync()).await
    }

    async fn send(
        &mut self,
        method: &str,
        path: &str,
        body: RequestBody,
    ) -> Result<Response<Incoming>, String> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.server.to_string());
        if self.has_cookie() {
            request = request.header(COOKIE, &self.cookie);
        }
        let sent = async {
            connection.ready().await?;
            connection.send_request(request.body(body).unwrap()).await
        };
        let response = sent.await.map_err(|error| format!("no answer: {error}"))?;
        self.connection = Some(connection);
        if let Some(cookie) = response.headers().get(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            self.cookie = cookie.split(';').next().unwrap().to_owned();
        }
        Ok(response)
    }

    async fn connect(&self) -> Result<http1::SendRequest<RequestBody>, String> {
        let failed = |error: &dyn std::fmt::Display| format!("no connection: {error}");
        let opening = async {
            let socket = TcpSocket::new_v4()?;
            SockRef::from(&socket).set_tcp_mss(SEGMENT)?;
            if let Some(buffer) = self.buffer {
                socket.set_recv_buffer_size(buffer)?;
            }
            socket.connect(self.server).await
        };
        let stream = opening.await.map_err(|error| failed(&error))?;
        let _ = stream.set_nodelay(true);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_HELD)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| failed(&error))?;
        // What fails in the connection, the request learns.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The body of a request, which is sent at a constant rate.
pub struct Upload {
    left: usize,
    piece: usize,
    interval: Duration,
    has_length: bool,
    timer: Pin<Box<Sleep>>,
}

impl Upload {
    /// Creates a body that is sent in pieces of some bytes, one at each interval, with a
    /// Content-Length or in chunks.
    pub fn new(length: usize, piece: usize, interval: Duration, has_length: bool) -> Self {
        Self {
            left: length,
            piece,
            interval,
            has_length,
            timer: Box::pin(sleep_until(Instant::now())),
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        ready!(self.timer.as_mut().poll(context));
        let next = self.timer.deadline() + self.interval;
        self.timer.as_mut().reset(next);
        let size = self.piece.min(self.left);
        self.left -= size;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; size])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        match self.has_length {
            true => SizeHint::with_exact(self.left as u64),
            false => SizeHint::default(),
        }
    }
}
