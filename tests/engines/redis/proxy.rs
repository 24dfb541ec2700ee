//! A TCP proxy that disturbs the connections to a server.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// What the proxy does with its connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Forwards everything.
    Pass,
    /// Forwards everything after a delay.
    Delay(Duration),
    /// Forwards nothing, and keeps connections open.
    HalfOpen,
    /// Closes connections, and accepts none.
    Refuse,
}

/// When to cut the connection of the next request that contains some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The server does not get the request.
    BeforeRequest,
    /// The server carries out the request, but its answer is lost.
    BeforeAnswer,
}

pub struct Proxy {
    pub port: u16,
    shared: Arc<Shared>,
    task: AbortHandle,
}

struct Shared {
    mode: watch::Sender<Mode>,
    cut: Mutex<Option<(Cut, Vec<u8>)>>,
}

impl Proxy {
    /// Starts a proxy for the server with this port.
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared {
            mode: watch::Sender::new(Mode::Pass),
            cut: Mutex::new(None),
        });
        let accepting = shared.clone();
        let task = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, server, accepting.clone()));
            }
        });
        Self {
            port,
            shared,
            task: task.abort_handle(),
        }
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Cuts the connection of the next request that contains these bytes.
    pub fn cut_next(&self, cut: Cut, bytes: &[u8]) {
        *self.shared.cut.lock() = Some((cut, bytes.to_vec()));
    }

    /// Returns whether the connection that was to be cut has been cut.
    pub fn has_cut(&self) -> bool {
        self.shared.cut.lock().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
        self.set(Mode::Refuse);
    }
}

impl Shared {
    /// Takes the cut if the request is the one that it waits for.
    fn take_cut(&self, request: &[u8]) -> Option<Cut> {
        let mut cut = self.cut.lock();
        let contains = |bytes: &Vec<u8>| request.windows(bytes.len()).any(|part| part == bytes);
        cut.take_if(|(_, bytes)| contains(bytes))
            .map(|(cut, _)| cut)
    }

    /// Waits until connections are to be closed.
    async fn refusal(&self) {
        let mut modes = self.mode.subscribe();
        let _ = modes.wait_for(|mode| *mode == Mode::Refuse).await;
    }

    /// Waits until bytes may pass. Returns false if the connection is to be closed.
    async fn pass(&self) -> bool {
        let mut modes = self.mode.subscribe();
        let mode = modes.wait_for(|mode| *mode != Mode::HalfOpen).await;
        let mode = mode.unwrap().clone();
        if let Mode::Delay(delay) = mode {
            tokio::time::sleep(delay).await;
        }
        mode != Mode::Refuse
    }
}

async fn serve(mut client: TcpStream, port: u16, shared: Arc<Shared>) {
    if !shared.pass().await {
        return;
    }
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else {
        return;
    };
    let (mut requests, mut answers) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let mut loses_answer = false;
    loop {
        tokio::select! {
            read = client.read(&mut requests) => {
                let Ok(count @ 1..) = read else { return };
                match shared.take_cut(&requests[..count]) {
                    Some(Cut::BeforeRequest) => return,
                    Some(Cut::BeforeAnswer) => loses_answer = true,
                    None => {}
                }
                if !shared.pass().await || server.write_all(&requests[..count]).await.is_err() {
                    return;
                }
            }
            read = server.read(&mut answers) => {
                let Ok(count @ 1..) = read else { return };
                if loses_answer || !shared.pass().await {
                    return;
                }
                if client.write_all(&answers[..count]).await.is_err() {
                    return;
                }
            }
            () = shared.refusal() => return,
        }
    }
}
