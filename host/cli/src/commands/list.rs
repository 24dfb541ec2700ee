//! `session3 list`: the sessions of a store.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::HumanBytes;
use session3::Administration;
use session3::store::{DirectoryStore, SessionStore, StoredSession};

use super::input::{self, PAGE};
use super::output::{self, Output, complain};
use super::progress::Progress;

/// Lists the sessions of a store
///
/// One line for each, in no particular order. Times are in UTC; the size is that
/// of user and data. A session that cannot be read is one line on standard
/// error, and makes the exit status 1.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 list /tmp/sessions
  session3 list /tmp/sessions --user alice
  session3 list /tmp/sessions --json | jq -r 'select(.user == null) | .id'"
)]
pub struct List {
    /// The directory of the sessions
    store: PathBuf,
    /// Only the sessions of this user
    #[arg(long)]
    user: Option<String>,
    /// One JSON object per line, as `session3 show --json` has it
    #[arg(long)]
    json: bool,
}

/// What goes to standard output.
struct Table {
    output: Output,
    /// For JSON, which has what is in the sessions too.
    administration: Option<Administration>,
    /// Of the column of users: as wide as a page needs, and never narrower than
    /// before.
    width: Option<usize>,
}

impl List {
    /// Whether all of them could be read.
    pub async fn run(self) -> Result<ExitCode> {
        let store = input::open_to_look(&self.store)?;
        let administration = match self.json {
            true => Some(input::administration(store.clone()).await?),
            false => None,
        };
        let mut table = Table {
            output: output::output(),
            administration,
            width: None,
        };
        let damaged = match &self.user {
            Some(user) => list_of_user(&store, user, &mut table).await?,
            None => list_all(&store, &mut table).await?,
        };
        Ok(if damaged == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// How many could not be read.
async fn list_all(store: &DirectoryStore, table: &mut Table) -> Result<usize> {
    let mut damaged = 0;
    let progress = progress();
    input::walk(store, &progress, async |page| {
        table.write(&page.sessions).await?;
        for (id, how) in &page.damaged {
            progress.suspend(|| complain(&format!("{id}: {how}")));
        }
        damaged += page.damaged.len();
        Ok(())
    })
    .await?;
    Ok(damaged)
}

async fn list_of_user(store: &DirectoryStore, user: &str, table: &mut Table) -> Result<usize> {
    let mut ids = store.sessions_of_user(user).await?;
    ids.sort_unstable();
    let (mut damaged, mut seen) = (0, 0);
    let progress = progress();
    table.write(&[]).await?;
    for ids in ids.chunks(PAGE as usize) {
        let mut sessions = Vec::with_capacity(ids.len());
        for id in ids {
            match store.load_session(id).await {
                Ok(session) => sessions.extend(session),
                Err(error) => {
                    progress.suspend(|| complain(&format!("{id}: {error}")));
                    damaged += 1;
                }
            }
        }
        // It may have changed hands meanwhile.
        sessions.retain(|session| session.state.user.as_deref() == Some(user));
        table.write(&sessions).await?;
        seen += ids.len() as u64;
        progress.count(seen);
    }
    Ok(damaged)
}

/// A list that one sees grow needs no other, nor may one come between the pages
/// of a pager.
fn progress() -> Progress {
    let is_seen = io::stdout().is_terminal();
    let is_file = rustix::fs::fstat(io::stdout())
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    if is_seen || !is_file {
        Progress::none()
    } else {
        Progress::counter()
    }
}

impl Table {
    /// At once, with the headings the first time.
    async fn write(&mut self, sessions: &[StoredSession]) -> Result<()> {
        let Some(administration) = &self.administration else {
            self.write_rows(sessions)?;
            return Ok(self.output.flush()?);
        };
        for session in sessions {
            if let Some(content) = input::content(administration, &session.id).await? {
                writeln!(self.output, "{}", output::json(session, &content)?)?;
            }
        }
        Ok(self.output.flush()?)
    }

    fn write_rows(&mut self, sessions: &[StoredSession]) -> io::Result<()> {
        let users: Vec<_> = sessions.iter().map(user_of).collect();
        let widest = users.iter().map(|user| user.chars().count()).max();
        let width = widest.max(self.width).unwrap_or(0).max("USER".len());
        if self.width.replace(width).is_none() {
            writeln!(
                self.output,
                "{:32}  {:width$}  {:>7}  {:20}  {:20}  {:>10}",
                "ID", "USER", "VERSION", "MODIFIED", "EXPIRES", "SIZE"
            )?;
        }
        for (session, user) in sessions.iter().zip(users) {
            writeln!(
                self.output,
                "{}  {user:width$}  {:>7}  {:.0}  {:.0}  {:>10}",
                session.id,
                session.version,
                output::time(session.modified),
                output::time(session.state.expires),
                HumanBytes(session.state.size() as u64).to_string(),
            )?;
        }
        Ok(())
    }
}

/// The user, as far as a column may go.
fn user_of(session: &StoredSession) -> String {
    const WIDEST: usize = 64;
    let user = output::user(session.state.user.as_deref());
    if user.chars().count() <= WIDEST {
        return user;
    }
    user.chars().take(WIDEST - 1).chain(['…']).collect()
}
