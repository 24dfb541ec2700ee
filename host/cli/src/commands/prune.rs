//! `session3 prune`: deletes old sessions, as a job for cron.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use session3::store::{Clock, Maintenance, StoreError, StoredSession, SystemClock};

use super::progress::Progress;
use super::store::Store;
use super::sweeping::NO_AGE_LIMIT;
use super::{input, output};

/// How long a call to the store may take before the progress is updated.
const TIME_SLICE: Duration = Duration::from_millis(500);

/// Delete the sessions that have expired or were not used for a while
///
/// Without --minutes, only the sessions are deleted that have expired by their own
/// timeouts, so that no user is logged out.
///
/// Run this from cron. Servers can use the store meanwhile, and a session that is
/// used meanwhile is kept. Only one sweep of a store runs at a time: this command
/// fails while a server, or another process, is sweeping the store.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 prune /tmp/sessions
  session3 prune /tmp/sessions --minutes 1440
  session3 prune /tmp/sessions --minutes 1440 --dry-run

In a crontab, every hour:
  7 * * * *  session3 prune /tmp/sessions --minutes 1440 >/dev/null"
)]
pub struct Prune {
    #[command(flatten)]
    store: Store,
    /// Delete also the sessions that were not used for more than this many minutes; 0
    /// deletes the sessions of users who are logged in, too
    #[arg(long)]
    minutes: Option<u32>,
    /// Delete nothing, and print how many sessions would be deleted
    #[arg(long)]
    dry_run: bool,
}

/// The number of sessions that a sweep deleted, or would delete, and of those that remain.
#[derive(Default)]
struct Count {
    deleted: u64,
    remaining: u64,
}

impl Prune {
    /// Deletes the old sessions, or counts them, and prints the numbers.
    ///
    /// # Errors
    ///
    /// If another sweep of the store is running, unless this is a dry run.
    pub async fn run(self) -> Result<ExitCode> {
        let progress = Progress::counter();
        let mut output = output::stdout();
        if self.dry_run {
            let store = self.store.open_read_only().await?;
            let Count { deleted, remaining } = self.count(&*store, &progress).await?;
            drop(progress);
            let which = self.which();
            writeln!(
                output,
                "would delete {deleted}{which}, remaining {remaining}"
            )?;
        } else {
            let store = self.store.open_for_changes().await?;
            let Count { deleted, remaining } = self.sweep(&*store, &progress).await?;
            drop(progress);
            let which = self.which();
            writeln!(output, "deleted {deleted}{which}, remaining {remaining}")?;
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// Returns for the result which sessions the numbers are about.
    fn which(&self) -> &'static str {
        match self.minutes {
            None => " that had expired",
            Some(0) => " that had expired or not",
            Some(_) => "",
        }
    }

    /// Returns the age limit of the sweep.
    fn age_limit(&self) -> u32 {
        self.minutes.unwrap_or(NO_AGE_LIMIT)
    }

    /// Sweeps all sessions. If the last sweep stopped half-way, the store continues it
    /// first, which reaches only a part of the sessions; a second sweep then reaches all
    /// of them.
    async fn sweep(&self, store: &dyn Maintenance, progress: &Progress) -> Result<Count> {
        let mut count = Count::default();
        if store.has_unfinished_sweep().await? {
            self.sweep_to_end(store, progress, &mut count).await?;
        }
        count.remaining = 0;
        self.sweep_to_end(store, progress, &mut count).await?;
        Ok(count)
    }

    /// Sweeps from where the last call to the store stopped to the end of the store.
    async fn sweep_to_end(
        &self,
        store: &dyn Maintenance,
        progress: &Progress,
        count: &mut Count,
    ) -> Result<()> {
        loop {
            let swept = store
                .delete_old_sessions(self.age_limit(), Some(TIME_SLICE))
                .await;
            let report = swept.map_err(|error| sweep_error(error, count.deleted))?;
            count.deleted += report.deleted;
            count.remaining += report.remaining;
            progress.count(count.deleted + count.remaining);
            if report.complete {
                return Ok(());
            }
        }
    }

    /// Counts the sessions that a sweep would delete. Damaged sessions remain, as in a
    /// sweep.
    async fn count(&self, store: &dyn Maintenance, progress: &Progress) -> Result<Count> {
        let now = SystemClock.now();
        let mut count = Count::default();
        input::for_each_page(store, progress, async |page| {
            let is_old = |session: &&_| StoredSession::is_old(session, self.age_limit(), now);
            let old = page.sessions.iter().filter(is_old).count() as u64;
            count.deleted += old;
            count.remaining += (page.sessions.len() + page.damaged.len()) as u64 - old;
            Ok(())
        })
        .await?;
        Ok(count)
    }
}

/// Adds to the error of a sweep what it means for the operator. `deleted` is the number of
/// sessions that the command has already deleted.
fn sweep_error(error: StoreError, deleted: u64) -> anyhow::Error {
    match error {
        StoreError::Busy if deleted == 0 => {
            anyhow!("another sweep of this store is under way: try again later")
        }
        StoreError::Busy => {
            anyhow!(
                "another sweep of this store began after this one had deleted {deleted} sessions: \
                 try again later"
            )
        }
        error => error.into(),
    }
}
