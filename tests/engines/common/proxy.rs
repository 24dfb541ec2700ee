//! A TCP proxy between the store and its server, which loses what the test says.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// A proxy to a port of this machine. Dropping it ends it and its connections.
pub struct Proxy {
    /// The port of the proxy.
    pub port: u16,
    faults: Arc<Faults>,
    task: AbortHandle,
}

struct Faults {
    /// Accepted connections are closed at once.
    refuses: AtomicBool,
    /// Nothing is forwarded, and nothing is closed, as if the network was interrupted.
    silent: watch::Sender<bool>,
    /// The number of replies that are not forwarded; their connections are closed instead.
    cut_replies: AtomicUsize,
    /// Counts up when all connections are to be closed.
    closed: watch::Sender<u64>,
}

impl Proxy {
    /// Starts a proxy to this port.
    pub async fn new(to: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let faults = Arc::new(Faults {
            refuses: AtomicBool::new(false),
            silent: watch::Sender::new(false),
            cut_replies: AtomicUsize::new(0),
            closed: watch::Sender::new(0),
        });
        let task = tokio::spawn(accept(listener, to, faults.clone())).abort_handle();
        Self { port, faults, task }
    }

    /// Closes the connections, and those that follow as soon as they are made.
    pub fn refuse(&self) {
        self.faults.refuses.store(true, Ordering::SeqCst);
        self.close_all();
    }

    /// Closes the connections that follow as soon as they are made, and leaves those that are
    /// open.
    pub fn refuse_next(&self) {
        self.faults.refuses.store(true, Ordering::SeqCst);
    }

    /// Ends what [`refuse`](Self::refuse) and [`refuse_next`](Self::refuse_next) did.
    pub fn accept(&self) {
        self.faults.refuses.store(false, Ordering::SeqCst);
    }

    /// Forwards nothing, or goes on.
    pub fn set_silent(&self, is_silent: bool) {
        self.faults.silent.send_replace(is_silent);
    }

    /// Closes the connections that the next replies arrive on, in place of forwarding them: the
    /// server has done what it was asked to do.
    pub fn cut_replies(&self, count: usize) {
        self.faults.cut_replies.store(count, Ordering::SeqCst);
    }

    /// Returns how many of these replies have not come.
    pub fn uncut_replies(&self) -> usize {
        self.faults.cut_replies.load(Ordering::SeqCst)
    }

    /// Closes all connections.
    pub fn close_all(&self) {
        self.faults.closed.send_modify(|count| *count += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.close_all();
    }
}

async fn accept(listener: TcpListener, to: u16, faults: Arc<Faults>) {
    loop {
        let (client, _) = listener.accept().await.unwrap();
        // From before this looks whether to refuse, so that `refuse` closes what this accepts.
        let closed = faults.closed.subscribe();
        if faults.refuses.load(Ordering::SeqCst) {
            continue;
        }
        let faults = faults.clone();
        tokio::spawn(async move {
            // A server that is away closes the connection.
            if let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await {
                forward(client, server, &faults, closed).await;
            }
        });
    }
}

async fn forward(
    client: TcpStream,
    server: TcpStream,
    faults: &Faults,
    mut closed: watch::Receiver<u64>,
) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        // A connection that was closed forwards nothing more, however late this task runs.
        biased;
        _ = closed.changed() => {}
        _ = copy(from_client, to_server, faults, false) => {}
        _ = copy(from_server, to_client, faults, true) => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    faults: &Faults,
    are_replies: bool,
) -> io::Result<()> {
    let mut silent = faults.silent.subscribe();
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = from.read(&mut bytes).await?;
        let cut = |count: usize| count.checked_sub(1);
        let replies = &faults.cut_replies;
        let is_cut = are_replies
            && replies
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, cut)
                .is_ok();
        if count == 0 || is_cut {
            return Ok(());
        }
        // The sender lives as long as the proxy.
        let _ = silent.wait_for(|is_silent| !is_silent).await;
        to.write_all(&bytes[..count]).await?;
    }
}
