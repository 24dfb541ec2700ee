//! `session3 key`: the keys that seal the sessions of a store.

mod file;
mod rotate;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use session3::store::encrypted::{Key as SealingKey, KeyId, Keyring, KeyringError, SystemRandom};
use session3::store::{Clock, SystemClock};

use super::{keys, output};
use file::{create, replace};

/// Make, list and rotate the keys that seal the sessions of a store
///
/// A key ring is a file with one key that seals and any number that only open. With
/// --key-file, servers and commands seal the sessions of a store, so that its engine
/// holds nothing that can be read. Without the key, the sessions are lost.
///
/// To rotate the keys of one server:
///
/// 1. session3 key new FILE
/// 2. Reload the server with SIGHUP. From now on, the new key seals.
/// 3. session3 key rotate STORE --key-file FILE, until it says: sealed 0
/// 4. session3 key remove FILE ID, with the ID of the older key, and reload again.
///
/// If several servers use the store, every one of them has to know the new key before
/// one seals with it: give `key new` the option --standby, copy the file to all servers
/// and reload them, and continue with `key use` in place of step 1.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 key new /etc/shop/keys
  session3 key list /etc/shop/keys
  session3 key rotate /var/lib/shop/sessions --key-file /etc/shop/keys"
)]
pub struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    New(New),
    List(List),
    Use(Use),
    Rotate(rotate::Rotate),
    Remove(Remove),
}

/// Make a key, and the key ring if it is missing
///
/// The new key seals as soon as servers have loaded the key ring; the others open what
/// they have sealed.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 key new /etc/shop/keys
  session3 key new /etc/shop/keys --standby"
)]
struct New {
    /// The file of the key ring
    file: PathBuf,
    /// Let the new key only open, until `session3 key use` chooses it
    #[arg(long)]
    standby: bool,
}

/// List the keys of a key ring, but not their secrets
#[derive(Args)]
#[command(after_help = "\
Example:
  session3 key list /etc/shop/keys")]
struct List {
    /// The file of the key ring
    file: PathBuf,
}

/// Choose the key that seals
///
/// Servers seal with it as soon as they have loaded the key ring. Without ID, it is the
/// newest key.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 key use /etc/shop/keys
  session3 key use /etc/shop/keys 1dfff191"
)]
struct Use {
    /// The file of the key ring
    file: PathBuf,
    /// The ID of the key
    id: Option<KeyId>,
}

/// Remove a key, so that what it has sealed can never be opened again
///
/// Run `session3 key rotate` before, until it says: sealed 0.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Example:
  session3 key remove /etc/shop/keys 1dfff191"
)]
struct Remove {
    /// The file of the key ring
    file: PathBuf,
    /// The ID of the key
    id: KeyId,
}

impl Key {
    /// Runs the command for keys.
    pub async fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::New(new) => new.run(),
            Command::List(list) => list.run(),
            Command::Use(choice) => choice.run(),
            Command::Rotate(rotate) => rotate.run().await,
            Command::Remove(remove) => remove.run(),
        }
    }
}

impl New {
    fn run(self) -> Result<ExitCode> {
        let now = format!("{:.0}", output::time(SystemClock.now()));
        let key = SealingKey::generate(&SystemRandom, &now);
        let id = key.id();
        if !self.file.exists() {
            create(&self.file, &Keyring::new(key))?;
            return say(&format!("the key {id} seals; keep a copy of the file"));
        }
        change(&self.file, |keyring| {
            keyring.add(key)?;
            match self.standby {
                true => Ok(()),
                false => keyring.seal_with(id),
            }
        })?;
        match self.standby {
            true => say(&format!(
                "the key {id} opens, until session3 key use chooses it"
            )),
            false => say(&format!(
                "the key {id} seals, once the servers are reloaded"
            )),
        }
    }
}

impl List {
    fn run(self) -> Result<ExitCode> {
        let keyring = keys::read_file(&self.file)?;
        let sealing = keyring.sealing_key().id();
        let mut output = output::stdout();
        for key in keyring.keys() {
            let role = if key.id() == sealing {
                "seals"
            } else {
                "opens"
            };
            let created = output::printable(key.created());
            writeln!(output, "{}  {created}  {role}", key.id())?;
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Use {
    fn run(self) -> Result<ExitCode> {
        let id = change(&self.file, |keyring| {
            let newest = keyring.keys().next_back().map(SealingKey::id);
            let id = self.id.or(newest);
            let id = id.unwrap_or(keyring.sealing_key().id());
            keyring.seal_with(id)?;
            Ok(id)
        })?;
        say(&format!(
            "the key {id} seals, once the servers are reloaded"
        ))
    }
}

impl Remove {
    fn run(self) -> Result<ExitCode> {
        change(&self.file, |keyring| keyring.remove(self.id))?;
        say(&format!("the key {} is removed", self.id))
    }
}

/// Changes the file of a key ring, and returns what the change returned.
fn change<T>(
    file: &Path,
    change: impl FnOnce(&mut Keyring) -> Result<T, KeyringError>,
) -> Result<T> {
    let mut keyring = keys::read_file(file)?;
    let changed = change(&mut keyring).with_context(|| file.display().to_string())?;
    replace(file, &keyring)?;
    Ok(changed)
}

fn say(text: &str) -> Result<ExitCode> {
    let mut output = output::stdout();
    writeln!(output, "{text}")?;
    output.flush()?;
    Ok(ExitCode::SUCCESS)
}
