//! The directory of the store, over WASI's file system.
//!
//! No link is followed in the place of a file, and only regular files are opened.

use session3_record::{Directory, OpenFailure, OpenMode};
use session3_store::StoreError;

use super::file::{OpenFile, store_error};
use crate::bindings::wasi::filesystem::preopens;
use crate::bindings::wasi::filesystem::types::{
    Descriptor, DescriptorFlags, DescriptorType, ErrorCode, OpenFlags, PathFlags,
};

/// The name under which the host must provide the directory.
const DIRECTORY: &str = "/sessions";

/// The directory of the store.
pub struct Root {
    directory: Descriptor,
}

impl Root {
    /// Opens the directory that the host provides.
    pub fn open() -> Result<Self, StoreError> {
        let mut given = preopens::get_directories().into_iter();
        let found = given.find(|(_, name)| name == DIRECTORY);
        let (directory, _) = found.ok_or_else(|| {
            StoreError::Unavailable(format!(
                "there is no directory {DIRECTORY} for the sessions: give one with --dir \
                 DIRECTORY::{DIRECTORY}"
            ))
        })?;
        Ok(Self { directory })
    }

    /// Returns whether a name belongs to something else than a regular file. Hosts report
    /// different errors for opening a link, a directory, a socket or a device.
    fn is_irregular(&self, name: &str) -> bool {
        let found = self.directory.stat_at(PathFlags::empty(), name);
        found.is_ok_and(|found| found.type_ != DescriptorType::RegularFile)
    }
}

impl Directory for Root {
    type File = OpenFile;

    /// Always opens for writing too, so that the host does not wait for the other end of a
    /// FIFO.
    fn open_file(&self, name: &str, mode: OpenMode) -> Result<Option<OpenFile>, OpenFailure> {
        let create = match mode {
            OpenMode::Create => OpenFlags::CREATE | OpenFlags::EXCLUSIVE,
            OpenMode::Read | OpenMode::Write => OpenFlags::empty(),
        };
        let is_new = mode == OpenMode::Create;
        let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
        let opened = self
            .directory
            .open_at(PathFlags::empty(), name, create, flags);
        let descriptor = match opened {
            Ok(descriptor) => descriptor,
            Err(ErrorCode::NoEntry) if !is_new => return Ok(None),
            Err(ErrorCode::Exist) if is_new => return Ok(None),
            Err(_) if self.is_irregular(name) => return Err(OpenFailure::Irregular),
            Err(code) => return Err(open_failure(code)),
        };
        match descriptor.get_type() {
            Ok(DescriptorType::RegularFile) => Ok(Some(OpenFile::new(descriptor))),
            Ok(_) => Err(OpenFailure::Irregular),
            Err(code) => Err(open_failure(code)),
        }
    }

    fn create_directory(&self, name: &str) -> Result<(), StoreError> {
        match self.directory.create_directory_at(name) {
            Ok(()) | Err(ErrorCode::Exist) => Ok(()),
            Err(code) => Err(store_error(code)),
        }
    }

    /// A name that leads to something else than a directory has no entries. Names that are
    /// not UTF-8 are foreign, and are left out.
    fn list(&self, name: &str, visit: &mut dyn FnMut(String)) -> Result<(), StoreError> {
        let opened = self.directory.open_at(
            PathFlags::SYMLINK_FOLLOW,
            name,
            OpenFlags::DIRECTORY,
            DescriptorFlags::READ,
        );
        let directory = match opened {
            Err(ErrorCode::NoEntry | ErrorCode::NotDirectory) => return Ok(()),
            opened => opened.map_err(store_error)?,
        };
        let entries = directory.read_directory().map_err(store_error)?;
        loop {
            match entries.read_directory_entry() {
                Ok(Some(entry)) => visit(entry.name),
                Ok(None) => return Ok(()),
                // The entry was removed meanwhile, or is not UTF-8.
                Err(ErrorCode::NoEntry | ErrorCode::IllegalByteSequence) => {}
                Err(code) => return Err(store_error(code)),
            }
        }
    }

    fn remove_file(&self, name: &str) -> Result<(), StoreError> {
        match self.directory.unlink_file_at(name) {
            Ok(()) | Err(ErrorCode::NoEntry) => Ok(()),
            Err(code) => Err(store_error(code)),
        }
    }

    /// This store flushes nothing, so it never calls this.
    fn sync_file(&self, _file: &OpenFile) -> Result<(), StoreError> {
        Err(StoreError::Unsupported)
    }

    /// This store flushes nothing, so it never calls this.
    fn sync_directory(&self, _name: &str) -> Result<(), StoreError> {
        Err(StoreError::Unsupported)
    }
}

fn open_failure(code: ErrorCode) -> OpenFailure {
    let text = code.name().to_owned();
    match code {
        ErrorCode::NoEntry => OpenFailure::NoDirectory(text),
        _ => OpenFailure::Failed(text),
    }
}
