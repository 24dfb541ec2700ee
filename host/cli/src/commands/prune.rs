//! `session3 prune`: deletes what is old, now and then.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, anyhow};
use clap::Args;
use session3::store::{
    Clock, DirectoryStore, SessionStore, StoreError, StoredSession, SystemClock,
};

use super::progress::Progress;
use super::{input, output};

/// At a time, so that one sees the progress.
const SLICE: Duration = Duration::from_millis(200);

/// Deletes the sessions that expired or were not used for a while
///
/// This is the job for cron. It holds up nobody, and leaves a session that is
/// used meanwhile. One at a time: while another sweep of the store is under way,
/// also one by a server, it fails.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 prune /tmp/sessions --minutes 1440
  session3 prune /tmp/sessions --minutes 1440 --dry-run

In a crontab, every hour:
  7 * * * *  session3 prune /tmp/sessions --minutes 1440 >/dev/null"
)]
pub struct Prune {
    /// The directory of the sessions
    store: PathBuf,
    /// Those that were not used for more than this many minutes
    #[arg(long)]
    minutes: u32,
    /// Deletes nothing, and says how many would go
    #[arg(long)]
    dry_run: bool,
}

/// What went, or would go.
#[derive(Default)]
struct Count {
    deleted: u64,
    remaining: u64,
}

impl Prune {
    /// An error when another sweep is under way.
    pub async fn run(self) -> Result<ExitCode> {
        let progress = Progress::counter();
        let mut output = output::output();
        if self.dry_run {
            let store = input::open_to_look(&self.store)?;
            let Count { deleted, remaining } = self.count(&store, &progress).await?;
            drop(progress);
            writeln!(output, "would delete {deleted}, remaining {remaining}")?;
        } else {
            let store = input::open(&self.store)?;
            let Count { deleted, remaining } = self.sweep(&store, &progress).await?;
            drop(progress);
            writeln!(output, "deleted {deleted}, remaining {remaining}")?;
        }
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }

    /// All sessions. Where a sweep stopped, the rest of that comes first.
    async fn sweep(&self, store: &DirectoryStore, progress: &Progress) -> Result<Count> {
        let mut count = Count::default();
        if store.has_unfinished_sweep().await? {
            self.sweep_on(store, progress, &mut count).await?;
        }
        count.remaining = 0;
        self.sweep_on(store, progress, &mut count).await?;
        Ok(count)
    }

    /// To the end of the store.
    async fn sweep_on(
        &self,
        store: &DirectoryStore,
        progress: &Progress,
        count: &mut Count,
    ) -> Result<()> {
        loop {
            let swept = store.delete_old_sessions(self.minutes, Some(SLICE)).await;
            let report = swept.map_err(|error| explain(error, count.deleted))?;
            count.deleted += report.deleted;
            count.remaining += report.remaining;
            progress.count(count.deleted + count.remaining);
            if report.complete {
                return Ok(());
            }
        }
    }

    /// What cannot be read, a sweep leaves.
    async fn count(&self, store: &DirectoryStore, progress: &Progress) -> Result<Count> {
        let now = SystemClock.now();
        let mut count = Count::default();
        input::walk(store, progress, async |page| {
            let is_old = |session: &&_| StoredSession::is_old(session, self.minutes, now);
            let old = page.sessions.iter().filter(is_old).count() as u64;
            count.deleted += old;
            count.remaining += (page.sessions.len() + page.damaged.len()) as u64 - old;
            Ok(())
        })
        .await?;
        Ok(count)
    }
}

fn explain(error: StoreError, deleted: u64) -> anyhow::Error {
    match error {
        StoreError::Busy if deleted == 0 => {
            anyhow!("another sweep of this store is under way: try again later")
        }
        StoreError::Busy => {
            anyhow!("deleted {deleted}, then another sweep of this store began: it goes on there")
        }
        error => error.into(),
    }
}
