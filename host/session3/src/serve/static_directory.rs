//! A directory of static files, as tower-http reads it.
//!
//! The paths are resolved by cap-std, below the open directory: neither `..` nor a symbolic link
//! leads out of it, whatever another process changes meanwhile.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, SeekFrom};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tokio::task::spawn_blocking;
use tower_http::services::fs::{Backend, File};

/// An open directory. Clones share it.
#[derive(Clone)]
pub struct StaticDirectory(Arc<Dir>);

impl StaticDirectory {
    /// Opens a directory.
    ///
    /// # Errors
    ///
    /// If it is missing, is no directory, or cannot be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let directory = Dir::open_ambient_dir(path, ambient_authority())?;
        // Opening a directory does not check whether it can be read.
        directory.entries()?;
        Ok(Self(Arc::new(directory)))
    }

    /// Opens a regular file, or a directory of such files.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is nothing that a client may have: no file, a special
    /// file, one that the server may not read, or one outside of the directory.
    fn open_entry(&self, path: &Path) -> io::Result<fs::File> {
        let mut options = OpenOptions::new();
        // Without this flag, opening a FIFO waits for its writer.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        options.read(true).custom_flags(flags.bits().cast_signed());
        let opened = self.0.open_with(path, &options);
        let file = opened.map_err(hide_denied)?.into_std();
        let metadata = file.metadata()?;
        match metadata.is_file() || metadata.is_dir() {
            true => Ok(file),
            false => Err(ErrorKind::NotFound.into()),
        }
    }

    fn open_file(&self, path: &Path) -> io::Result<fs::File> {
        let file = self.open_entry(path)?;
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(ErrorKind::NotFound.into()),
        }
    }
}

/// Returns an error as `NotFound`, unless the server lacks what it needs to open any file. The
/// kinds of the errors for paths that cannot be opened differ between systems.
fn hide_denied(error: io::Error) -> io::Error {
    use rustix::io::Errno;
    let is_shortage = [Errno::MFILE, Errno::NFILE, Errno::NOMEM, Errno::IO]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()));
    match is_shortage {
        true => error,
        false => ErrorKind::NotFound.into(),
    }
}

type Work<T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send>>;

/// Runs work on a file system, which may be slow, in a thread for that.
fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Work<T> {
    Box::pin(async { spawn_blocking(work).await.map_err(io::Error::other)? })
}

impl Backend for StaticDirectory {
    type File = OpenFile;
    type Metadata = Metadata;
    type OpenFuture = Work<OpenFile>;
    type MetadataFuture = Work<Metadata>;

    fn open(&self, path: PathBuf) -> Work<OpenFile> {
        let directory = self.clone();
        run_blocking(move || {
            let file = directory.open_file(&path)?;
            Ok(OpenFile(tokio::fs::File::from_std(file)))
        })
    }

    fn metadata(&self, path: PathBuf) -> Work<Metadata> {
        let directory = self.clone();
        run_blocking(move || directory.open_entry(&path)?.metadata())
    }
}

/// An open file.
pub struct OpenFile(tokio::fs::File);

impl File for OpenFile {
    type Metadata = Metadata;
    type MetadataFuture<'a> = Pin<Box<dyn Future<Output = io::Result<Metadata>> + Send + 'a>>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

impl AsyncRead for OpenFile {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncSeek for OpenFile {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(context)
    }
}
