//! A server that does with each connection what a test says.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// A server that runs until it is dropped.
pub struct RawServer {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl RawServer {
    /// Starts a server on 127.0.0.1, which gives each connection to `handle`.
    pub async fn start<F>(handle: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0", handle).await
    }

    pub async fn start_at<F>(
        address: &str,
        handle: impl Fn(TcpStream) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let accepted = connections.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accepted.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(handle(stream));
            }
        });
        Self {
            address,
            connections,
            task,
        }
    }

    /// Starts a server that answers one request of each connection with these bytes, then
    /// closes the connection.
    pub async fn answering(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::start(move |mut stream| {
            let response = response.clone();
            async move {
                read_head(&mut stream).await?;
                stream.write_all(&response).await
            }
        })
        .await
    }

    /// Starts a server that reads requests and never answers.
    pub async fn silent() -> Self {
        Self::start(|mut stream| async move {
            tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
            Ok(())
        })
        .await
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns the number of connections that there were.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads until the end of a request's headers.
pub async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(String::from_utf8(head).unwrap())
}

/// A listener that accepts nothing, and whose queue of connections is full, so that another
/// connection waits.
pub struct FullListener {
    pub address: SocketAddr,
    _listener: TcpListener,
    _queue: Vec<TcpStream>,
}

impl FullListener {
    pub async fn start(address: &str) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(address.parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut queue = Vec::new();
        let limit = std::time::Duration::from_millis(300);
        while let Ok(stream) = tokio::time::timeout(limit, TcpStream::connect(address)).await {
            queue.push(stream.unwrap());
        }
        Self {
            address,
            _listener: listener,
            _queue: queue,
        }
    }
}
