//! The options that name a key ring, reading it, and sealing a store with it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use rustix::process::geteuid;
use session3::store::encrypted::Keyring;
use session3::store::{EncryptedStore, Maintenance, StoreOptions};
use session3::text::escaped;
use zeroize::Zeroizing;

use super::{input, key_command};

/// The largest state of a session, in bytes of user and data together.
const MAX_STATE_BYTES: u64 = 1 << 20;

/// The key ring of a store.
#[derive(Args)]
pub struct Keys {
    /// Seal the sessions of the store with the key ring in this file, which
    /// `session3 key new` makes
    #[arg(long, value_name = "FILE", env = "SESSION3_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// Seal the sessions of the store with the key ring that this command of the shell
    /// prints within 10 seconds
    #[arg(long, value_name = "COMMAND", conflicts_with = "key_file")]
    key_command: Option<String>,
    /// Accept sessions that are not sealed, too, while a store moves from plain to sealed
    #[arg(long)]
    accept_plain: bool,
}

/// Where a key ring is.
#[derive(Clone)]
pub enum Source {
    File(PathBuf),
    Command(String),
}

/// How the sessions of a store are sealed.
pub struct Encryption {
    source: Source,
    keyring: Keyring,
    accepts_plain: bool,
}

/// The keys of a server, which can be replaced while it runs.
pub struct KeysInUse {
    source: Source,
    store: Arc<EncryptedStore>,
}

impl Keys {
    /// Returns where the key ring is, if the options name one.
    pub fn source(&self) -> Option<Source> {
        Source::new(self.key_file.as_deref(), self.key_command.as_deref())
    }

    /// Returns whether sessions are accepted that are not sealed.
    pub fn accepts_plain(&self) -> bool {
        self.accept_plain
    }

    /// Reads the key ring, if the options name one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or other users can read it.
    pub fn read(&self) -> Result<Option<Encryption>> {
        Encryption::read(self.source().as_ref(), self.accept_plain)
    }
}

impl Source {
    /// Returns the source that one of two options names.
    pub fn new(file: Option<&Path>, command: Option<&str>) -> Option<Self> {
        let file = file.map(|file| Self::File(file.into()));
        file.or_else(|| command.map(|command| Self::Command(command.into())))
    }

    /// Reads the key ring. The error says where it is.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or other users can read it.
    pub fn read(&self) -> Result<Keyring> {
        match self {
            Self::File(file) => read_file(file),
            // The command may contain a secret itself.
            Self::Command(command) => key_command::run(command)
                .and_then(|printed| parse(&printed))
                .context("--key-command"),
        }
    }
}

impl Encryption {
    /// Reads the key ring of a source, if there is one.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or plain sessions are accepted although nothing is sealed.
    pub fn read(source: Option<&Source>, accepts_plain: bool) -> Result<Option<Self>> {
        let Some(source) = source else {
            ensure!(
                !accepts_plain,
                "--accept-plain has no effect without a key ring: name one with --key-file"
            );
            return Ok(None);
        };
        Ok(Some(Self {
            source: source.clone(),
            keyring: source.read()?,
            accepts_plain,
        }))
    }

    /// Seals the sessions of a store.
    pub fn seal(self, store: Arc<dyn Maintenance>) -> Arc<EncryptedStore> {
        let sealed = EncryptedStore::new(store, self.keyring)
            .max_state_bytes(MAX_STATE_BYTES)
            .accept_plain(self.accepts_plain);
        Arc::new(sealed)
    }
}

/// Seals the sessions of a store, if there is a key ring.
pub fn seal(store: Arc<dyn Maintenance>, encryption: Option<Encryption>) -> Arc<dyn Maintenance> {
    match encryption {
        Some(encryption) => encryption.seal(store),
        None => store,
    }
}

/// Seals the sessions of a store for as long as a server runs, if there is a key ring.
pub fn seal_for_server(
    store: Arc<dyn Maintenance>,
    encryption: Option<Encryption>,
) -> (Arc<dyn Maintenance>, Option<KeysInUse>) {
    let Some(encryption) = encryption else {
        return (store, None);
    };
    let source = encryption.source.clone();
    let store = encryption.seal(store);
    let keys = KeysInUse {
        source,
        store: store.clone(),
    };
    (store, Some(keys))
}

/// Lets a store accept what a seal adds to the largest state.
pub fn with_room_for_seals(options: StoreOptions) -> StoreOptions {
    options.max_state_bytes(MAX_STATE_BYTES + EncryptedStore::OVERHEAD)
}

impl KeysInUse {
    /// Reads the key ring again. If that fails, the server continues with the previous one, and
    /// the log says so. Returns whether it succeeded.
    pub async fn reload(&self) -> bool {
        let source = self.source.clone();
        let read = tokio::task::spawn_blocking(move || source.read()).await;
        match read.map_err(|error| anyhow!("{error}")).flatten() {
            Ok(keyring) => {
                let id = keyring.sealing_key().id();
                tracing::info!("the key ring was loaded anew, and the key {id} seals");
                self.store.set_keyring(keyring);
                true
            }
            Err(error) => {
                let error = escaped(&format!("{error:#}"));
                tracing::error!(
                    "the key ring was not loaded anew, the server continues with the previous \
                     one: {error}"
                );
                false
            }
        }
    }
}

/// Reads the file of a key ring.
///
/// # Errors
///
/// If it cannot be read, is not a key ring, or can be read by others. The error begins with the
/// name of the file.
pub fn read_file(file: &Path) -> Result<Keyring> {
    let read = || {
        let (bytes, metadata) = input::read_with_metadata(file)?;
        let bytes = Zeroizing::new(bytes);
        check_access(&metadata)?;
        parse(&bytes)
    };
    read().with_context(|| format!("the key file {}", file.display()))
}

/// Refuses a file that others can read or exchange. The group of a file of root's may read it:
/// that is how systemd and Kubernetes hand over secrets.
fn check_access(metadata: &Metadata) -> Result<()> {
    let (user, owner) = (geteuid(), metadata.uid());
    if !user.is_root() && owner != 0 && owner != user.as_raw() {
        bail!("belongs to another user, with the ID {owner}: it has to be this user's, or root's");
    }
    let may = |permission| metadata.mode() & permission != 0;
    let who = if may(0o007) {
        "other users"
    } else if may(0o030) || (may(0o040) && owner != 0) {
        "the users of its group"
    } else {
        return Ok(());
    };
    bail!("can be used by {who}, who could then read all sessions: run chmod 600 on it")
}

fn parse(bytes: &[u8]) -> Result<Keyring> {
    let text = str::from_utf8(bytes).ok().context("is not in UTF-8")?;
    // Only the text is kept: it includes the cause, which `{error:#}` would print again.
    text.parse().map_err(|error| anyhow!("{error}"))
}
