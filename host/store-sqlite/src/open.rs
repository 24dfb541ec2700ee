//! Opening a store: finding the file, and starting the threads.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::timeout;

use crate::access::Access;
use crate::address::Address;
use crate::database::{open_reader, open_writer, read_access};
use crate::file::DatabaseFile;
use crate::inner::{Inner, ended};
use crate::lease::Queues;
use crate::threads::{Lane, Read, serve_reads, start};
use crate::writer::{Change, Writer};
use crate::{OpenError, Options};

/// How long opening waits. After a crash, SQLite recovers the write-ahead log first.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest number of threads that read.
const MAX_READERS: usize = 4;

/// Opens the database that a URL names, and starts the threads.
pub async fn open(url: &str, mut options: Options) -> Result<Inner, OpenError> {
    let address = Address::parse(url)?;
    options.timeout = address.timeout.unwrap_or(options.timeout);
    options.durability = address.durability.unwrap_or(options.durability);
    let path = address.path.clone();
    match timeout(OPEN_TIMEOUT, open_either(address, options)).await {
        Ok(opened) => opened,
        Err(_) => Err(OpenError::Timeout(path, OPEN_TIMEOUT)),
    }
}

async fn open_either(address: Address, options: Options) -> Result<Inner, OpenError> {
    match options.read_only {
        true => open_to_read(address, options).await,
        false => open_to_write(address, options).await,
    }
}

/// Opens the file without a thread that writes.
async fn open_to_read(address: Address, options: Options) -> Result<Inner, OpenError> {
    let failed = |error| OpenError::Failed(address.path.clone(), error);
    let (path, patience) = (address.path.clone(), options.timeout);
    let open = move || {
        let file = DatabaseFile::find(&path, false).map_err(|error| match error {
            OpenError::NotWritable(path) => OpenError::NotReadable(path),
            error => error,
        })?;
        let access = read_access(&file, patience)?;
        let connection = open_reader(&file, access, patience)?;
        let is_multiprocess_safe = file.is_multiprocess_safe();
        Ok(((file, access, is_multiprocess_safe), connection))
    };
    let opened = start("sqlite-opener", open, |_, _| ()).map_err(failed)?;
    let (file, access, is_multiprocess_safe) = opened.await.map_err(|_| failed(ended()))??;
    let reads = start_readers(&file, access, patience).await?;
    Ok(Inner {
        file,
        options,
        queues: Queues::default(),
        is_multiprocess_safe,
        access,
        reads,
        changes: Lane::new().0,
        is_failing: AtomicBool::new(false),
    })
}

/// Opens the file with a thread that writes, and creates it if the options say so.
async fn open_to_write(address: Address, options: Options) -> Result<Inner, OpenError> {
    let (changes, received) = Lane::<Box<dyn Change>>::new();
    let (create, durability, patience) = (options.create, options.durability, options.timeout);
    let path = address.path.clone();
    let open = move || {
        let file = DatabaseFile::find(&path, create)?;
        let connection = open_writer(&file, create, durability, patience)?;
        let is_multiprocess_safe = file.is_multiprocess_safe();
        Ok(((file, is_multiprocess_safe), connection))
    };
    let work = move |(file, _), connection| {
        let writer = Writer {
            connection,
            file,
            durability,
            // An operation that ends with `Busy` says more than one that is out of time.
            patience: patience.mul_f64(0.75),
        };
        writer.serve(&received);
    };
    let failed = |error| OpenError::Failed(address.path.clone(), error);
    let opened = start("sqlite-writer", open, work).map_err(failed)?;
    let (file, is_multiprocess_safe) = opened.await.map_err(|_| failed(ended()))??;
    let access = Access::Write;
    let reads = start_readers(&file, access, patience).await?;
    Ok(Inner {
        file,
        options,
        queues: Queues::default(),
        is_multiprocess_safe,
        access,
        reads,
        changes,
        is_failing: AtomicBool::new(false),
    })
}

async fn start_readers(
    file: &DatabaseFile,
    access: Access,
    patience: Duration,
) -> Result<Lane<Read>, OpenError> {
    let failed = |error| OpenError::Failed(file.path.clone(), error);
    let (reads, received) = Lane::new();
    let received = Arc::new(Mutex::new(received));
    let count = available_parallelism().map_or(1, usize::from);
    for _ in 0..count.clamp(2, MAX_READERS) {
        let (file, received) = (file.clone(), received.clone());
        let open = move || {
            let connection = open_reader(&file, access, patience)?;
            Ok((file, connection))
        };
        let work = move |file, connection| serve_reads(&connection, &file, &received);
        let opened = start("sqlite-reader", open, work).map_err(failed)?;
        opened.await.map_err(|_| failed(ended()))??;
    }
    Ok(reads)
}
