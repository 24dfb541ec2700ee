//! `session3 copy`: takes the sessions of a store over into another one.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use session3::store::{Maintenance, SessionId, StoreError, StoreOptions, StoredSession};

use super::keys::{self, Encryption, Source};
use super::output::{self, print_error};
use super::progress::Progress;
use super::store::{self, read_password};
use super::walk::{CONCURRENCY, Walk, patiently};

/// Copy the sessions of a store to another store
///
/// Sessions keep their IDs, versions and times, so that no user is logged out when a
/// site moves from one store to another:
///
/// 1. While servers use FROM, copy the sessions. This can take long.
/// 2. Stop the servers, and copy again with --final. That copies what has changed,
///    and deletes from TO what FROM no longer has, so that no session returns that
///    was logged out meanwhile.
/// 3. Start the servers with TO.
///
/// A copy that was interrupted is started again, and passes over the sessions that
/// it has copied. A session that cannot be copied is named on standard error, and the
/// exit status is 1. TO is created if it is missing.
///
/// Sealed sessions are copied as they are, unless --from-key-file opens them.
/// --to-key-file seals them.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 copy /tmp/sessions sqlite:/tmp/sessions.db
  session3 copy /tmp/sessions sqlite:/tmp/sessions.db --final --dry-run
  session3 copy /tmp/sessions sqlite:/tmp/sessions.db --final"
)]
pub struct Copy {
    /// The store to copy from: a directory, or a URL
    from: OsString,
    /// The store to copy to: a directory, or a URL
    to: OsString,
    /// Also delete from TO the sessions that FROM does not have; no server may use
    /// either store
    #[arg(long = "final")]
    is_final: bool,
    /// Change nothing, and print how many sessions would be copied and deleted
    #[arg(long)]
    dry_run: bool,
    /// Read the password for the server of FROM from the first line of this file
    #[arg(long, value_name = "FILE")]
    from_password_file: Option<PathBuf>,
    /// Read the password for the server of TO from the first line of this file
    #[arg(long, value_name = "FILE")]
    to_password_file: Option<PathBuf>,
    /// Open the sessions of FROM with the key ring in this file
    #[arg(long, value_name = "FILE")]
    from_key_file: Option<PathBuf>,
    /// Open the sessions of FROM with the key ring that this command of the shell prints
    #[arg(long, value_name = "COMMAND", conflicts_with = "from_key_file")]
    from_key_command: Option<String>,
    /// Accept sessions of FROM and TO that are not sealed, too, if there is a key ring
    #[arg(long)]
    accept_plain: bool,
    /// Seal the sessions of TO with the key ring in this file
    #[arg(long, value_name = "FILE")]
    to_key_file: Option<PathBuf>,
    /// Seal the sessions of TO with the key ring that this command of the shell prints
    #[arg(long, value_name = "COMMAND", conflicts_with = "to_key_file")]
    to_key_command: Option<String>,
}

/// The stores, and whether the sessions of one are only compared with those of the other.
struct Stores {
    from: Arc<dyn Maintenance>,
    /// `None` in a dry run for a store that does not exist yet.
    to: Option<Arc<dyn Maintenance>>,
    dry_run: bool,
}

/// What became of a session.
#[derive(Debug)]
enum Outcome {
    Copied,
    Updated,
    Unchanged,
    Deleted,
    /// The session was not copied, for this reason.
    Failed(SessionId, String),
}

/// The number of sessions with each outcome.
#[derive(Default)]
struct Counts {
    copied: u64,
    updated: u64,
    unchanged: u64,
    deleted: u64,
    failed: u64,
}

impl Copy {
    /// Copies the sessions. The exit status says whether every session could be copied.
    pub async fn run(self) -> Result<ExitCode> {
        let stores = self.open().await?;
        let progress = Progress::bar();
        let mut counts = Counts::default();
        let copied = self.copy(&stores, &progress, &mut counts).await;
        drop(progress);
        let is_complete = copied.with_context(|| {
            format!(
                "{}; start the command again to continue",
                counts.describe(self.dry_run)
            )
        });
        is_complete?;
        let mut output = output::stdout();
        writeln!(output, "{}", counts.describe(self.dry_run))?;
        output.flush()?;
        Ok(match counts.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }

    async fn open(&self) -> Result<Stores> {
        ensure!(
            self.to != "memory:",
            "sessions in memory: end with this program: copy to another store"
        );
        store::warn_of_password(&self.from);
        store::warn_of_password(&self.to);
        let (from_keys, to_keys) = self.read_keys()?;
        let password = read_password(self.from_password_file.as_deref())?;
        let from = store::open_read_only(&self.from, password).await?;
        let password = read_password(self.to_password_file.as_deref())?;
        let to = match self.dry_run {
            true => store::open_if_exists(&self.to, password).await?,
            false => {
                // Also for sessions that are copied as they are sealed.
                let options = keys::with_room_for_seals(StoreOptions::default().create(true));
                let options = store::with_password(options, password);
                Some(store::open_durably(&self.to, options).await?)
            }
        };
        Ok(Stores {
            from: keys::seal(from, from_keys),
            to: to.map(|to| keys::seal(to, to_keys)),
            dry_run: self.dry_run,
        })
    }

    /// Reads the key rings of FROM and TO.
    fn read_keys(&self) -> Result<(Option<Encryption>, Option<Encryption>)> {
        let from = Source::new(
            self.from_key_file.as_deref(),
            self.from_key_command.as_deref(),
        );
        let to = Source::new(self.to_key_file.as_deref(), self.to_key_command.as_deref());
        ensure!(
            !self.accept_plain || from.is_some() || to.is_some(),
            "--accept-plain has no effect without --from-key-file or --to-key-file"
        );
        let read = |source: Option<&Source>| {
            Encryption::read(source, self.accept_plain && source.is_some())
        };
        Ok((read(from.as_ref())?, read(to.as_ref())?))
    }

    async fn copy(&self, stores: &Stores, progress: &Progress, counts: &mut Counts) -> Result<()> {
        let half = |part: f64| if self.is_final { part / 2.0 } else { part };
        let mut is_empty = true;
        let mut walk = Walk::new(stores.from.clone());
        while let Some(page) = walk.next().await.context("FROM")? {
            is_empty &= page.sessions.is_empty() && page.damaged.is_empty();
            for (id, why) in page.damaged {
                counts.add(Outcome::Failed(id, why), progress);
            }
            let sessions = stream::iter(page.sessions).map(|session| stores.copy(session));
            let mut outcomes = sessions.buffer_unordered(CONCURRENCY);
            while let Some(outcome) = outcomes.try_next().await? {
                counts.add(outcome, progress);
            }
            progress.set(half(walk.done));
        }
        let Some(to) = stores.to.as_ref().filter(|_| self.is_final) else {
            return Ok(());
        };
        let mut walk = Walk::new(to.clone());
        while let Some(page) = walk.next().await.context("TO")? {
            let sessions = page.sessions.into_iter().map(|session| session.id);
            let damaged = page.damaged.into_iter().map(|(id, _)| id);
            let ids: Vec<_> = sessions.chain(damaged).collect();
            ensure!(
                ids.is_empty() || !is_empty,
                "TO has sessions and FROM has none: nothing is deleted, because FROM and TO may \
                 be exchanged; to empty a store, use session3 delete"
            );
            let ids = stream::iter(ids).map(|id| stores.delete_if_gone(to, id));
            let mut outcomes = ids.buffer_unordered(CONCURRENCY);
            while let Some(outcome) = outcomes.try_next().await? {
                outcome
                    .into_iter()
                    .for_each(|outcome| counts.add(outcome, progress));
            }
            progress.set(0.5 + half(walk.done));
        }
        Ok(())
    }
}

impl Stores {
    /// Copies a session, unless the other store has it already.
    async fn copy(&self, session: StoredSession) -> Result<Outcome> {
        let outcome = patiently(async || self.try_copy(&session).await).await;
        match outcome {
            Ok(outcome) => Ok(outcome),
            Err(error @ (StoreError::TooLarge(_) | StoreError::Corrupt(_) | StoreError::Busy)) => {
                Ok(Outcome::Failed(session.id, error.to_string()))
            }
            Err(StoreError::Unsupported) => Err(anyhow!("TO cannot take sessions over")),
            Err(error) => Err(anyhow!("{}: {error}", session.id)),
        }
    }

    async fn try_copy(&self, session: &StoredSession) -> Result<Outcome, StoreError> {
        let Some(to) = &self.to else {
            return Ok(Outcome::Copied);
        };
        if !self.dry_run {
            match to.import_session(session, None).await {
                Err(StoreError::Exists) => {}
                imported => return imported.map(|()| Outcome::Copied),
            }
        }
        let Some(found) = to.load_session(&session.id).await? else {
            return match self.dry_run {
                true => Ok(Outcome::Copied),
                // It was there a moment ago.
                false => Err(StoreError::Absent),
            };
        };
        if found == *session {
            return Ok(Outcome::Unchanged);
        }
        if (found.version, found.modified) > (session.version, session.modified) {
            let why = format!(
                "FROM has version {} and TO the later version {}: servers may use TO already",
                session.version, found.version
            );
            return Ok(Outcome::Failed(session.id, why));
        }
        if !self.dry_run {
            to.import_session(session, Some(found.version)).await?;
        }
        Ok(Outcome::Updated)
    }

    /// Deletes a session from the store that was copied to, if the other one does not have it.
    async fn delete_if_gone(
        &self,
        to: &Arc<dyn Maintenance>,
        id: SessionId,
    ) -> Result<Option<Outcome>> {
        let outcome = patiently(async || match self.from.has_session(&id).await {
            // A damaged session is there, and was named before.
            Ok(true) | Err(StoreError::Corrupt(_)) => Ok(None),
            Ok(false) if self.dry_run => Ok(Some(Outcome::Deleted)),
            Ok(false) => {
                to.delete_session(&id).await?;
                Ok(Some(Outcome::Deleted))
            }
            Err(error) => Err(error),
        });
        outcome.await.map_err(|error| anyhow!("{id}: {error}"))
    }
}

impl Counts {
    /// Counts a session. One that was not copied is named.
    fn add(&mut self, outcome: Outcome, progress: &Progress) {
        match outcome {
            Outcome::Copied => self.copied += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
            Outcome::Deleted => self.deleted += 1,
            Outcome::Failed(id, why) => {
                self.failed += 1;
                progress.suspend(|| print_error(&format!("{id}: not copied: {why}")));
            }
        }
    }

    fn describe(&self, dry_run: bool) -> String {
        let Self {
            copied,
            updated,
            unchanged,
            deleted,
            failed,
        } = self;
        let would = if dry_run { "would be: " } else { "" };
        format!(
            "{would}copied {copied}, updated {updated}, unchanged {unchanged}, deleted {deleted}, \
             not copied {failed}"
        )
    }
}
