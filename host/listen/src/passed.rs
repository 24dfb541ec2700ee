//! Sockets that systemd opened and passed to this process (`sd_listen_fds(3)`).

use std::env;
use std::io;
use std::sync::LazyLock;

use listenfd::ListenFd;
use parking_lot::Mutex;
use socket2::SockRef;
use tokio::net::{TcpListener, UnixListener};

use crate::BindError;
use crate::listener::Socket;

/// The file descriptor of the first socket.
const FIRST: usize = 3;

/// The sockets that were passed to this process. They can be taken from the environment only
/// once, and several addresses may name some of them.
static PASSED: LazyLock<Mutex<Passed>> = LazyLock::new(|| Mutex::new(Passed::from_env()));

struct Passed {
    sockets: ListenFd,
    /// The name of each socket that was not taken.
    names: Vec<Option<String>>,
}

/// Takes the sockets with a name, or all that were not taken before.
///
/// # Errors
///
/// If there is no such socket, or one of them does not accept connections.
pub(crate) fn take(name: Option<&str>) -> Result<Vec<Socket>, BindError> {
    PASSED.lock().take(name)
}

impl Passed {
    fn from_env() -> Self {
        // It is read first, since `listenfd` removes variables from the environment.
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let sockets = ListenFd::from_env();
        let mut names = names.split(':');
        let name_of = |index| match names.next() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("file descriptor {}", FIRST + index),
        };
        let names = (0..sockets.len()).map(name_of).map(Some).collect();
        Self { sockets, names }
    }

    fn take(&mut self, name: Option<&str>) -> Result<Vec<Socket>, BindError> {
        let left: Vec<String> = self.names.iter().flatten().cloned().collect();
        let mut sockets = Vec::new();
        for index in 0..self.names.len() {
            if let Some(found) = self.names[index].clone()
                && name.is_none_or(|name| name == found)
            {
                sockets.push(self.take_one(index, found)?);
            }
        }
        match (sockets.is_empty(), name) {
            (false, _) => Ok(sockets),
            (true, Some(name)) if !left.is_empty() => Err(BindError::NoSuchName {
                name: name.to_owned(),
                passed: left,
            }),
            (true, _) => Err(BindError::NoneActivated),
        }
    }

    fn take_one(&mut self, index: usize, name: String) -> Result<Socket, BindError> {
        let socket = match self.sockets.take_tcp_listener(index) {
            Ok(Some(socket)) => tcp(socket),
            _ => match self.sockets.take_unix_listener(index) {
                Ok(Some(socket)) => unix(socket),
                _ => Err(Unfit::Kind("is not a stream socket of TCP or Unix")),
            },
        };
        match socket {
            Ok(socket) => {
                self.names[index] = None;
                Ok(socket)
            }
            Err(Unfit::Kind(why)) => Err(BindError::NotAListener { name, why }),
            Err(Unfit::Io(source)) => Err(BindError::Activated { name, source }),
        }
    }
}

/// Why a socket cannot be used.
enum Unfit {
    Kind(&'static str),
    Io(io::Error),
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn tcp(socket: std::net::TcpListener) -> Result<Socket, Unfit> {
    check(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Tcp(TcpListener::from_std(socket)?))
}

fn unix(socket: std::os::unix::net::UnixListener) -> Result<Socket, Unfit> {
    check(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    Ok(Socket::Unix(UnixListener::from_std(socket)?))
}

fn check(socket: SockRef<'_>) -> Result<(), Unfit> {
    match socket.is_listener()? {
        true => Ok(()),
        false => Err(Unfit::Kind("is a connection and does not listen")),
    }
}
