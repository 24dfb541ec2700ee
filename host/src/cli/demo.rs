//! `session3 demo`: the interactive web test application.

use std::env;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use session3::components::{DEMO, MANAGER};
use session3::store::directory::Options;
use session3::store::{DirectoryStore, SessionStore};
use session3::{ServeOptions, Server, SessionsCtx, compose, engine};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Serves an interactive web application to play with and to test against
///
/// It keeps its sessions in DIRECTORY, which is made where it is missing. Press
/// Ctrl-C to quit: the sessions are there again the next time.
#[derive(Args)]
#[command(after_help = "Example:\n  session3 demo /tmp/sessions --port 8081")]
pub struct Demo {
    /// Where the sessions are kept
    directory: PathBuf,
    /// The address or host name to listen on
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Uses the safe cookie, __Host-session with Secure, for use behind a TLS
    /// proxy
    #[arg(long)]
    secure_cookies: bool,
}

impl Demo {
    /// Serves until Ctrl-C or SIGTERM.
    pub async fn run(self) -> Result<()> {
        let stop = stop_signal()?;
        let listener = self.listen().await?;
        let server = self.server()?;
        self.greet(listener.local_addr()?);
        server.serve(listener, stop).await;
        Ok(())
    }

    async fn listen(&self) -> Result<TcpListener> {
        let (host, port) = (self.host.as_str(), self.port);
        TcpListener::bind((host, port)).await.with_context(|| {
            format!("cannot listen on {host} port {port}: choose others with --host and --port")
        })
    }

    fn server(&self) -> Result<Server> {
        let store = DirectoryStore::open(&self.directory, Options::default().create(true))?;
        if !store.is_multiprocess_safe() {
            tracing::warn!(
                "locks on this file system do not bind other machines: use the directory from \
                 this one only"
            );
        }
        let component = compose(DEMO, MANAGER)?;
        let engine = engine(cache_directory().as_deref()).map_err(one_line)?;
        let sessions = SessionsCtx::new(Arc::new(store));
        let options = ServeOptions::default().secure(self.secure_cookies);
        Server::new(&engine, &component, sessions, options).map_err(one_line)
    }

    fn greet(&self, address: SocketAddr) {
        if self.secure_cookies {
            println!("The cookie is __Host-session, Secure: open this through a TLS proxy.");
        } else {
            println!("The cookie is session3, without Secure, since this is plain HTTP.");
        }
        println!("Open http://{address}/ and press Ctrl-C to quit.");
    }
}

/// Done at Ctrl-C or SIGTERM.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Where compiled code is kept; without a home, nowhere.
fn cache_directory() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("session3"))
}

fn one_line(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
