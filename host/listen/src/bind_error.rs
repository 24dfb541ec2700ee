//! Why a server cannot listen on an address.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why a server cannot listen on an [`Address`](crate::Address).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BindError {
    /// The host has no address, or the port is taken on one of them.
    #[error("cannot listen on {host} port {port}: {source}; {}", advice(*port, source))]
    Tcp {
        /// The host of the address.
        host: String,
        /// The port of the address.
        port: u16,
        /// What the operating system answered.
        source: io::Error,
    },
    /// A Unix socket cannot be made at this path.
    #[error("cannot make the socket {}: {}", path.display(), file_fault(source))]
    Unix {
        /// The path of the socket.
        path: PathBuf,
        /// What the operating system answered.
        source: io::Error,
    },
    /// A process listens on the Unix socket with this path.
    #[error(
        "another process listens on the socket {}: stop it, or choose another path", .0.display()
    )]
    InUse(PathBuf),
    /// A file, which is not removed, has this path.
    #[error(
        "{} exists and is not a socket: remove it, or choose another path", .0.display()
    )]
    NotASocket(PathBuf),
    /// Other processes hold the lock of this directory for too long.
    #[error(
        "another process has locked the directory {}, which a new socket needs: try again",
        .0.display()
    )]
    Locked(PathBuf),
    /// systemd passed no socket to this process, or all are in use already.
    #[error(
        "systemd passed no socket that is not in use already: start this program by a .socket unit"
    )]
    NoneActivated,
    /// systemd passed no socket with this name.
    #[error(
        "systemd passed no socket with the name {name}, but {}: set FileDescriptorName= in the \
         .socket unit", list(.passed)
    )]
    NoSuchName {
        /// The name in the address.
        name: String,
        /// The names of the sockets that are not in use.
        passed: Vec<String>,
    },
    /// systemd passed something that accepts no connections.
    #[error(
        "systemd passed {name}, which {why}: use ListenStream= and Accept=no in the .socket unit"
    )]
    NotAListener {
        /// The name of the socket, or its file descriptor.
        name: String,
        /// What it is.
        why: &'static str,
    },
    /// A socket of systemd cannot be used.
    #[error("the socket {name}, which systemd passed, cannot be used: {source}")]
    Activated {
        /// The name of the socket, or its file descriptor.
        name: String,
        /// What the operating system answered.
        source: io::Error,
    },
}

/// Says what to do about a port that cannot be used.
fn advice(port: u16, error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied if (1..1024).contains(&port) => {
            "ports below 1024 are for root, for programs with the capability \
             CAP_NET_BIND_SERVICE, and for the sockets of systemd"
        }
        _ => "choose another address",
    }
}

/// Says why the file of a socket cannot be made.
fn file_fault(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "its directory does not exist: create it, or choose another \
                                    path"
            .into(),
        io::ErrorKind::PermissionDenied => {
            format!("{error}: let this user write its directory, or choose another path")
        }
        _ => error.to_string(),
    }
}

fn list(names: &[String]) -> String {
    match names {
        [] => "none at all".into(),
        names => names.join(", "),
    }
}
