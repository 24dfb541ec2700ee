//! `session3 key rotate`: seals the sessions of a store again.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::Args;
use futures_util::{StreamExt, stream};
use session3::store::encrypted::SealedAnew;
use session3::store::{EncryptedStore, SessionId, StoreError, StoredSession};

use crate::commands::output::{self, print_error};
use crate::commands::progress::Progress;
use crate::commands::store::Store;
use crate::commands::walk::{CONCURRENCY, Walk, patiently};

/// Seal all sessions of a store again, with the key that now seals
///
/// Servers may use the store meanwhile, if they have loaded the key ring. Sessions keep
/// their IDs, versions and times. A rotation that was interrupted is started again, and
/// passes over the sessions that it has sealed. A session that cannot be sealed is named
/// on standard error, and the exit status is 1.
///
/// When it says `sealed 0`, and every server has loaded the key ring before, no session
/// needs the older keys. With --accept-plain, it also seals what is not sealed yet.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 key rotate /var/lib/shop/sessions --key-file /etc/shop/keys
  session3 key rotate sqlite:/tmp/sessions.db --key-file keys --accept-plain"
)]
pub struct Rotate {
    #[command(flatten)]
    store: Store,
}

/// The number of sessions with each outcome.
#[derive(Default)]
struct Counts {
    sealed: u64,
    unchanged: u64,
    failed: u64,
}

impl Rotate {
    /// Seals the sessions. The exit status says whether every session could be sealed.
    pub async fn run(self) -> Result<ExitCode> {
        let encryption = self.store.read_keys()?;
        let encryption = encryption.context("name the key ring with --key-file")?;
        let engine = self.store.open_engine_for_changes().await?;
        let sealed = encryption.seal(engine.clone());
        let (progress, mut counts) = (Progress::bar(), Counts::default());
        let result = seal_all(Walk::new(engine), &sealed, &progress, &mut counts).await;
        drop(progress);
        let summary = counts.describe();
        result.with_context(|| format!("{summary}; start the command again to continue"))?;
        let mut output = output::stdout();
        writeln!(output, "{summary}")?;
        output.flush()?;
        Ok(match counts.failed {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        })
    }
}

async fn seal_all(
    mut walk: Walk,
    store: &Arc<EncryptedStore>,
    progress: &Progress,
    counts: &mut Counts,
) -> Result<()> {
    while let Some(page) = walk.next().await? {
        for (id, why) in page.damaged {
            counts.fail(id, &why, progress);
        }
        let sessions = stream::iter(page.sessions).map(|session| seal(store, session));
        let mut outcomes = sessions.buffer_unordered(CONCURRENCY);
        while let Some((id, outcome)) = outcomes.next().await {
            match outcome {
                Ok(SealedAnew::Sealed) => counts.sealed += 1,
                Ok(SealedAnew::Unchanged) => counts.unchanged += 1,
                // Whatever else became of it, there is nothing to seal any more.
                Ok(_) => {}
                Err(error @ StoreError::Unsupported) => return Err(error.into()),
                Err(error) => counts.fail(id, &error.to_string(), progress),
            }
        }
        progress.set(walk.done);
    }
    Ok(())
}

/// Seals a session, unless the key that seals has sealed it.
async fn seal(
    store: &EncryptedStore,
    session: StoredSession,
) -> (SessionId, Result<SealedAnew, StoreError>) {
    let id = session.id;
    let outcome = match store.needs_sealing(&session.state) {
        Ok(true) => patiently(async || store.seal_anew(&id).await).await,
        Ok(false) => Ok(SealedAnew::Unchanged),
        // To wait for a key is of no use.
        Err(error) => Err(error),
    };
    (id, outcome)
}

impl Counts {
    fn fail(&mut self, id: SessionId, why: &str, progress: &Progress) {
        self.failed += 1;
        progress.suspend(|| print_error(&format!("{id}: not sealed: {why}")));
    }

    fn describe(&self) -> String {
        let Self {
            sealed,
            unchanged,
            failed,
        } = self;
        format!("sealed {sealed}, unchanged {unchanged}, not sealed {failed}")
    }
}
