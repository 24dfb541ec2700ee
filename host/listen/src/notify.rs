//! Messages to systemd, or to another service manager that sets `NOTIFY_SOCKET`
//! (`sd_notify(3)`). Without that variable, no function does anything. A message that cannot be
//! sent is logged, since no program should end for that reason. The variable has the path of a
//! socket, or the name of an abstract one after an `@`.
//!
//! | setting of the unit | what it needs |
//! | --- | --- |
//! | `Type=notify` | [`ready`] |
//! | `Type=notify-reload` | [`reloading`], then [`ready`] |
//! | `WatchdogSec=` | [`watchdog`] in a task of the runtime that serves |

use std::env;
use std::future::pending;
use std::io;
use std::os::unix::ffi::OsStrExt;

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Reports that the server is ready, after its start or after a reload.
pub fn ready() {
    send(&[NotifyState::Ready]);
}

/// Reports that the server reads its configuration again. Call [`ready`] afterwards, whether
/// that succeeded or not: the server continues to serve in both cases.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => send(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!("the clock cannot be read: {error}"),
    }
}

/// Reports that the server stops.
pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

/// Reports what the server is doing, as one line that `systemctl status` shows. Control
/// characters become spaces.
pub fn status(text: &str) {
    let line = text.replace(char::is_control, " ");
    send(&[NotifyState::Status(&line)]);
}

/// Reports at half of the interval of the watchdog that the server is alive, and never returns.
///
/// Spawn it in the runtime that serves, so that the reports end when the runtime does not run
/// tasks any more, and the service manager restarts the server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// tokio::spawn(session3_listen::notify::watchdog());
/// # }
/// ```
pub async fn watchdog() {
    let timeout = sd_notify::watchdog_enabled().map(|timeout| timeout / 2);
    let Some(period) = timeout.filter(|period| !period.is_zero()) else {
        return pending().await;
    };
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        send(&[NotifyState::Watchdog]);
    }
}

fn send(states: &[NotifyState<'_>]) {
    let name = env::var_os("NOTIFY_SOCKET").unwrap_or_default();
    let sent = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => send_to_abstract(name, states),
        None => sd_notify::notify(states),
    };
    if let Err(error) = sent {
        tracing::warn!("the service manager cannot be notified: {error}");
    }
}

/// Sends a message to an abstract socket, which the library does not do.
#[cfg(target_os = "linux")]
fn send_to_abstract(name: &[u8], states: &[NotifyState<'_>]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    let address = SocketAddr::from_abstract_name(name)?;
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// Other systems have no abstract sockets.
#[cfg(not(target_os = "linux"))]
fn send_to_abstract(_: &[u8], _: &[NotifyState<'_>]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
