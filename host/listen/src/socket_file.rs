//! Listeners of Unix sockets in the file system.

use std::fs::{self, File, Metadata, Permissions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{sleep, timeout};

use crate::BindError;

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
/// How long a process that listens may take to accept a connection. Only one whose backlog is
/// full takes any time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// How often and how long to try to lock a directory.
const LOCK_ATTEMPTS: u32 = 100;
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// The file of a listener, which is removed when this is dropped, unless another file has
/// replaced it.
///
/// Drop it before the listener: until the listener is closed, the file system gives its inode
/// number to no other file.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = |found: Metadata| (found.dev(), found.ino()) == (self.device, self.inode);
        if fs::symlink_metadata(&self.path).is_ok_and(is_ours) {
            // The next server replaces a socket that could not be removed.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on a Unix socket, whose file never has more permissions than those of `mode`. The
/// socket of a process that has ended is replaced.
///
/// # Errors
///
/// If another process listens on the socket, if another file has its path, or if the file
/// cannot be made.
pub(crate) async fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), BindError> {
    // Two servers that start at the same time must not both find a stale socket: the slower one
    // would remove the new socket of the faster one.
    let _locked = lock_directory(path).await?;
    remove_stale(path).await?;
    let socket = bind_only(path, mode).map_err(failed(path))?;
    let file = socket_file(path, mode).map_err(failed(path))?;
    let listener = listen(socket).map_err(failed(path))?;
    Ok((listener, file))
}

fn failed(path: &Path) -> impl Fn(io::Error) -> BindError {
    move |source| BindError::Unix {
        path: path.to_owned(),
        source,
    }
}

/// Locks the directory of a file until the result is dropped.
async fn lock_directory(path: &Path) -> Result<File, BindError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let opened = File::open(directory).map_err(failed(path))?;
    for _ in 0..LOCK_ATTEMPTS {
        match opened.try_lock() {
            Ok(()) => return Ok(opened),
            Err(TryLockError::WouldBlock) => sleep(LOCK_INTERVAL).await,
            Err(TryLockError::Error(error)) => return Err(failed(path)(error)),
        }
    }
    Err(BindError::Locked(directory.to_owned()))
}

/// Removes the socket of a process that has ended.
async fn remove_stale(path: &Path) -> Result<(), BindError> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => return Err(BindError::NotASocket(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path)(error)),
    }
    match timeout(CONNECT_TIMEOUT, UnixStream::connect(path)).await {
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed(path))
        }
        // The process does not accept connections at the moment, and its backlog is full.
        Ok(Err(error)) if error.kind() == ErrorKind::WouldBlock => {
            Err(BindError::InUse(path.to_owned()))
        }
        Ok(Err(error)) => Err(failed(path)(error)),
        Ok(Ok(_)) | Err(_) => Err(BindError::InUse(path.to_owned())),
    }
}

/// Makes the socket and its file, without listening.
fn bind_only(path: &Path, mode: u32) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Linux gives the file the permissions of the socket, less those of the umask.
    #[cfg(target_os = "linux")]
    rustix::fs::fchmod(&socket, rustix::fs::Mode::from_raw_mode(mode))?;
    socket.bind(&SockAddr::unix(path)?)?;
    Ok(socket)
}

/// Gives the file of a socket the permissions that the umask took. Other systems than Linux
/// only set them here, before the socket listens, so that there can be no connection yet.
fn socket_file(path: &Path, mode: u32) -> io::Result<SocketFile> {
    let found = fs::symlink_metadata(path)?;
    if !found.file_type().is_socket() {
        return Err(io::Error::other("another process has replaced it"));
    }
    let file = SocketFile {
        path: std::path::absolute(path)?,
        device: found.dev(),
        inode: found.ino(),
    };
    if found.mode() & 0o777 != mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok(file)
}

fn listen(socket: Socket) -> io::Result<UnixListener> {
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    UnixListener::from_std(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_its_mode_from_the_beginning() {
        let directory = tempfile::tempdir().expect("a directory");
        for mode in [0o600, 0o660, 0o222, 0o777] {
            let path = directory.path().join(format!("{mode:o}"));
            let _socket = bind_only(&path, mode).expect("a socket");
            let first = fs::metadata(&path).expect("a file").mode() & 0o777;
            if cfg!(target_os = "linux") {
                assert_eq!(first & !mode, 0, "{first:o} has more than {mode:o}");
            }
            let _file = socket_file(&path, mode).expect("a file");
            assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o777, mode);
        }
    }
}
