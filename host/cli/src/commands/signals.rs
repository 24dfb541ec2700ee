//! The signals that a server obeys.

use std::process::exit;

use anyhow::Result;
use session3::listen::{TlsConfig, notify};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};

use super::keys::KeysInUse;
use super::{listening, metrics};

/// The signals that end the program: Ctrl-C and SIGTERM.
///
/// Until the server serves, the first of them ends the program at once. From then on, the
/// first one stops the server, which finishes the requests that are running, and a second one
/// ends the program at once. The log says which signal it was.
pub struct StopSignals {
    begin_serving: oneshot::Sender<()>,
    is_stopped: watch::Receiver<bool>,
}

impl StopSignals {
    /// Begins to wait for the signals.
    ///
    /// # Errors
    ///
    /// If the system does not let the program handle them.
    pub fn install() -> Result<Self> {
        let mut signals = Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        };
        let (begin_serving, serving) = oneshot::channel();
        let (stop, is_stopped) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                // A signal that came after `begin_serving` has to find the server serving.
                biased;
                _ = serving => {}
                stop = signals.next() => exit(stop.status()),
            }
            let first = signals.next().await.name();
            tracing::info!("{first}: the server finishes the requests that are running, and ends");
            stop.send_replace(true);
            let second = signals.next().await;
            tracing::info!("{}: the server ends at once", second.name());
            exit(second.status());
        });
        Ok(Self {
            begin_serving,
            is_stopped,
        })
    }

    /// Makes the next signal stop the server. The result becomes `true` then.
    pub fn begin_serving(self) -> watch::Receiver<bool> {
        // This fails only if a signal is ending the program.
        let _ = self.begin_serving.send(());
        self.is_stopped
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    async fn next(&mut self) -> StopSignal {
        tokio::select! {
            _ = self.interrupt.recv() => StopSignal::Interrupt,
            _ = self.terminate.recv() => StopSignal::Terminate,
        }
    }
}

/// A signal that ends the program.
#[derive(Clone, Copy)]
enum StopSignal {
    Interrupt,
    Terminate,
}

impl StopSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        }
    }

    /// Returns the exit status that shells give to a program that the signal has killed.
    fn status(self) -> i32 {
        let kind = match self {
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
        };
        128 + kind.as_raw_value()
    }
}

/// Reads the certificate and the key ring again at each of these signals. A server that has
/// neither has nothing to load again, and ignores the signal with a line in the log.
pub async fn reload_on(mut hangup: Signal, tls: Option<TlsConfig>, keys: Option<KeysInUse>) {
    while hangup.recv().await.is_some() {
        notify::reloading();
        if tls.is_none() && keys.is_none() {
            tracing::info!("SIGHUP was ignored: the demo has no file that could be loaded again");
        } else {
            metrics::note_reload(reload(tls.as_ref(), keys.as_ref()).await);
        }
        notify::ready();
    }
}

/// Reads the certificate and the key ring again, where there are any. Returns whether that
/// succeeded.
pub async fn reload(tls: Option<&TlsConfig>, keys: Option<&KeysInUse>) -> bool {
    let has_certificate = match tls {
        Some(tls) => listening::reload(tls).await,
        None => true,
    };
    let has_keys = match keys {
        Some(keys) => keys.reload().await,
        None => true,
    };
    has_certificate && has_keys
}
