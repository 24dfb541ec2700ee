//! Connections of hostile clients, byte by byte.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use session3_test_support::dice::Dice;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};

/// How long a client waits for a connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time that a connection stays open.
pub const MAX_TIME: Duration = Duration::from_secs(120);
/// The smallest buffer of a client that does not want to read.
const SMALL: u32 = 4096;

/// The server.
pub struct Target {
    address: SocketAddr,
}

impl Target {
    /// Returns the server at this address.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Opens a connection.
    pub async fn connect(&self) -> io::Result<TcpStream> {
        self.open(TcpSocket::new_v4()?).await
    }

    /// Opens a connection whose buffer for reading is as small as possible.
    pub async fn connect_small(&self) -> io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(SMALL)?;
        self.open(socket).await
    }

    /// Opens a connection from another address than the honest visitors, so that there are
    /// enough ports for connections that were closed.
    async fn open(&self, socket: TcpSocket) -> io::Result<TcpStream> {
        let mut random = Dice::new(u64::from(std::process::id()) ^ port_seed());
        let host = 2 + random.below(16) as u8;
        socket.bind((Ipv4Addr::new(127, 0, 0, host), 0).into())?;
        timeout(PATIENCE, socket.connect(self.address)).await?
    }

    /// Opens a connection and sends this.
    pub async fn send(&self, text: impl AsRef<[u8]>) -> io::Result<TcpStream> {
        let mut stream = self.connect().await?;
        stream.write_all(text.as_ref()).await?;
        Ok(stream)
    }
}

/// Returns a different number each time.
fn port_seed() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Relaxed)
}

/// Reads and drops everything until the server closes the connection.
pub async fn read_to_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    let reading = async {
        while stream.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    timeout(MAX_TIME, reading).await?
}

/// Keeps the connection for this time without reading.
pub async fn hold(stream: TcpStream, time: Duration) -> io::Result<()> {
    sleep(time).await;
    drop(stream);
    Ok(())
}

/// Sends a byte each second until the server closes the connection.
pub async fn send_slowly(stream: TcpStream, bytes: impl Iterator<Item = u8>) -> io::Result<()> {
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = [0; 4096];
    let reading = async {
        while reader.read(&mut buffer).await? > 0 {}
        Ok(())
    };
    let writing = async {
        for byte in bytes {
            writer.write_all(&[byte]).await?;
            sleep(Duration::from_secs(1)).await;
        }
        // All was sent: the answer ends this.
        std::future::pending().await
    };
    let both = async {
        tokio::select! {
            ended = reading => ended,
            ended = writing => ended,
        }
    };
    timeout(MAX_TIME, both)
        .await
        .map_err(|_| ErrorKind::TimedOut)?
}
