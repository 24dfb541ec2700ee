//! An open file of the store.

use session3_record::RecordFile;
use session3_store::{StoreError, Timestamp};

use crate::bindings::wasi::filesystem::types::{Descriptor, ErrorCode};

/// The largest number of bytes that one read asks for.
const MAX_READ: usize = 1 << 20;

/// A file in the store's directory.
pub struct OpenFile {
    descriptor: Descriptor,
}

impl OpenFile {
    pub(super) fn new(descriptor: Descriptor) -> Self {
        Self { descriptor }
    }

    /// Returns the time of the last write by the file system's clock, if it has one, in
    /// milliseconds since 1970.
    pub fn modified(&self) -> Result<Option<Timestamp>, StoreError> {
        let stat = self.descriptor.stat().map_err(store_error)?;
        let modified = stat.data_modification_timestamp;
        Ok(modified.map(|at| at.seconds.saturating_mul(1000)))
    }

    /// Writes all of `bytes` at `offset`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        let mut done = 0;
        while done < bytes.len() {
            let rest = &bytes[done..];
            let written = self
                .descriptor
                .write(rest, offset + done as u64)
                .map_err(store_error)?;
            match usize::try_from(written) {
                Ok(written) if written > 0 => done += written,
                _ => return Err(store_error(ErrorCode::Io)),
            }
        }
        Ok(())
    }

    /// Removes all bytes.
    pub fn truncate(&self) -> Result<(), StoreError> {
        self.descriptor.set_size(0).map_err(store_error)
    }

    /// Makes the file's data durable.
    pub fn sync(&self) -> Result<(), StoreError> {
        self.descriptor.sync_data().map_err(store_error)
    }
}

impl RecordFile for OpenFile {
    fn size(&self) -> Result<u64, StoreError> {
        Ok(self.descriptor.stat().map_err(store_error)?.size)
    }

    fn read_at(&self, offset: u64, length: usize) -> Result<Vec<u8>, StoreError> {
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let rest = (length - bytes.len()).min(MAX_READ) as u64;
            let (read, is_at_end) = self
                .descriptor
                .read(rest, offset + bytes.len() as u64)
                .map_err(store_error)?;
            bytes.extend_from_slice(&read);
            if is_at_end || read.is_empty() {
                break;
            }
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Converts an error of the host.
pub fn store_error(code: ErrorCode) -> StoreError {
    StoreError::Unavailable(code.name().into())
}
