//! The argument that names a store, and opening it.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use session3::store::directory::Durability;
use session3::store::{Maintenance, OpenError, StoreOptions};

use super::input;
use super::keys::{self, Encryption, Keys, KeysInUse};

/// The store of an operator's command.
#[derive(Args)]
pub struct Store {
    /// The store: a directory, or a URL
    #[arg(value_name = "STORE")]
    url: OsString,
    #[command(flatten)]
    password: Password,
    #[command(flatten)]
    keys: Keys,
}

/// The password for the server of a store.
#[derive(Args)]
pub struct Password {
    /// Read the password for the server of the store from the first line of this file
    #[arg(long, value_name = "FILE", env = "SESSION3_STORE_PASSWORD_FILE")]
    password_file: Option<PathBuf>,
}

impl Store {
    /// Returns the name of the store for a person. A password in a URL is left out.
    pub fn name(&self) -> String {
        without_password(&self.url.to_string_lossy())
    }

    /// Opens an existing store for changes. The changes of an operator are durable, whatever
    /// the servers of the store use.
    pub async fn open_for_changes(&self) -> Result<Arc<dyn Maintenance>> {
        let encryption = self.keys.read()?;
        Ok(keys::seal(
            self.open_engine_for_changes().await?,
            encryption,
        ))
    }

    /// Opens an existing store for a command that runs for long. Also returns the keys that seal
    /// its sessions, if there are any.
    pub async fn open_for_server(
        &self,
        is_read_only: bool,
    ) -> Result<(Arc<dyn Maintenance>, Option<KeysInUse>)> {
        let encryption = self.keys.read()?;
        let engine = match is_read_only {
            true => self.open_engine_read_only().await?,
            false => self.open_engine_for_changes().await?,
        };
        Ok(keys::seal_for_server(engine, encryption))
    }

    /// Opens an existing store for changes, without opening the seals of its sessions.
    pub async fn open_engine_for_changes(&self) -> Result<Arc<dyn Maintenance>> {
        let options = keys::with_room_for_seals(StoreOptions::default());
        let options = with_password(options, self.password.read()?);
        open_durably(&self.url, options).await
    }

    /// Returns whether sessions are accepted that are not sealed, although there is a key ring.
    pub fn accepts_plain(&self) -> bool {
        self.keys.accepts_plain()
    }

    /// Returns the key ring of the store, if the options name one.
    pub fn read_keys(&self) -> Result<Option<Encryption>> {
        self.keys.read()
    }

    /// Opens an existing store without writing to it, so that it may be a read-only snapshot.
    pub async fn open_read_only(&self) -> Result<Arc<dyn Maintenance>> {
        let encryption = self.keys.read()?;
        Ok(keys::seal(self.open_engine_read_only().await?, encryption))
    }

    async fn open_engine_read_only(&self) -> Result<Arc<dyn Maintenance>> {
        open_read_only(&self.url, self.password.read()?).await
    }
}

impl Password {
    /// Returns the password, if there is a file.
    pub fn read(&self) -> Result<Option<String>> {
        read_password(self.password_file.as_deref())
    }
}

/// Returns the first line of a file with a password, if a file is given.
pub fn read_password(file: Option<&Path>) -> Result<Option<String>> {
    let Some(path) = file else {
        return Ok(None);
    };
    let read = || {
        let text = String::from_utf8(input::read(path)?)
            .ok()
            .context("is not in UTF-8")?;
        let line = text.lines().next();
        anyhow::Ok(
            line.context("is empty: write the password into it")?
                .to_owned(),
        )
    };
    let password = read().with_context(|| format!("the password file {}", path.display()));
    password.map(Some)
}

/// Opens a store for changes, which are durable if that is a choice.
pub async fn open_durably(url: &OsStr, options: StoreOptions) -> Result<Arc<dyn Maintenance>> {
    match options.clone().durability(Durability::Disk).open(url).await {
        Err(OpenError::DurabilityOfServer) => open(url, options).await,
        opened => opened.map_err(describe),
    }
}

/// Opens a store without writing to it, if it exists.
pub async fn open_if_exists(
    url: &OsStr,
    password: Option<String>,
) -> Result<Option<Arc<dyn Maintenance>>> {
    let options = with_password(StoreOptions::default().read_only(true), password);
    match options.open(url).await {
        Err(error) if error.is_missing() => Ok(None),
        opened => opened.map(Some).map_err(describe),
    }
}

/// Checks that a store can be read, or, if it does not exist, that this process may create it.
///
/// # Errors
///
/// If it cannot be read or created.
pub async fn check(url: &OsStr, password: Option<String>) -> Result<()> {
    let options = with_password(StoreOptions::default().read_only(true), password);
    match options.open(url).await {
        // A server that can be reached creates its tables.
        Err(error) if error.is_missing() => error.missing_path().map_or(Ok(()), check_creation),
        opened => opened.map(drop).map_err(describe),
    }
}

/// Checks that this process may write the nearest directory above a path that exists.
fn check_creation(path: &Path) -> Result<()> {
    let path = std::path::absolute(path)?;
    let existing = path.ancestors().find(|directory| directory.is_dir());
    let directory = existing.unwrap_or(Path::new("/"));
    let writable = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, directory, writable, AtFlags::EACCESS).with_context(|| {
        format!(
            "{}: cannot be created, because {} cannot be written",
            path.display(),
            directory.display()
        )
    })
}

/// Opens an existing store without writing to it.
pub async fn open_read_only(url: &OsStr, password: Option<String>) -> Result<Arc<dyn Maintenance>> {
    let options = StoreOptions::default().read_only(true);
    open(url, with_password(options, password)).await
}

/// Opens a store.
pub async fn open(url: &OsStr, options: StoreOptions) -> Result<Arc<dyn Maintenance>> {
    options.open(url).await.map_err(describe)
}

/// Adds the password, if there is one.
pub fn with_password(options: StoreOptions, password: Option<String>) -> StoreOptions {
    match password {
        Some(password) => options.password(password),
        None => options,
    }
}

/// Says what an operator can do about an error. Only the text is kept: it includes the cause,
/// which `{error:#}` would print again.
fn describe(error: OpenError) -> anyhow::Error {
    let text = error.to_string();
    match text.rsplit_once("; ") {
        // The advice is for programs.
        Some((problem, _)) if error.is_missing() => {
            anyhow!("{problem}; name one that has sessions")
        }
        _ => anyhow!("{text}"),
    }
}

/// Returns a URL without the password that it may contain, and without its parameters, which may
/// be a part of one.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    let place = place.split('?').next().unwrap_or_default();
    format!("{scheme}://{place}")
}

/// Warns of a URL with a password. Other users of the machine can read the command line.
pub fn warn_of_password(url: &OsStr) {
    let url = url.to_string_lossy();
    let Some((_, rest)) = url.split_once("://") else {
        return;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let login = authority.rsplit_once('@').map(|(login, _)| login);
    if login.is_some_and(|login| login.contains(':')) {
        tracing::warn!(
            "other users of this machine can see the password in the URL of the store: use \
             --password-file"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_store_has_no_password() {
        for (url, name) in [
            ("/tmp/sessions", "/tmp/sessions"),
            ("sqlite:/tmp/a?b", "sqlite:/tmp/a?b"),
            ("redis://host/0?prefix=a", "redis://host/0"),
            ("postgres://user:word@host/shop", "postgres://host/shop"),
            ("postgres://user:w@rd?/@host/shop", "postgres://host/shop"),
        ] {
            assert_eq!(without_password(url), name);
        }
    }
}
