//! `session3 list`: the sessions of a store.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use indicatif::HumanBytes;
use session3::Administration;
use session3::store::{Maintenance, StoredSession};
use unicode_width::UnicodeWidthStr;

use super::cache::Cache;
use super::input::{self, PAGE};
use super::output::{self, Output, cut, padded, print_error};
use super::progress::Progress;
use super::store::Store;

/// List the sessions of a store
///
/// The list has one line for each session, in no particular order. Times are in
/// UTC; the size is that of the user name and the data. For a session that cannot
/// be read, there is a line on standard error, and the exit status is 1.
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
    #[command(flatten)]
    store: Store,
    /// List only the sessions of this user
    #[arg(long)]
    user: Option<String>,
    /// Print each session as a JSON object in one line, as `session3 show --json` does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: Cache,
}

/// The list on standard output.
struct Table {
    output: Output,
    /// For JSON, which includes the content of the sessions; `None` for the table.
    administration: Option<Administration>,
    /// The width of the column USER; `None` before the headings are written. Every page can
    /// widen the column, and none narrows it.
    user_width: Option<usize>,
}

impl List {
    /// Prints the list. The exit status says whether every session could be read.
    pub async fn run(self) -> Result<ExitCode> {
        let store = self.store.open_read_only().await?;
        let administration = match self.json {
            true => Some(input::administration(store.clone(), &self.cache).await?),
            false => None,
        };
        let mut table = Table {
            output: output::stdout(),
            administration,
            user_width: None,
        };
        let damaged = match &self.user {
            Some(user) => list_of_user(&*store, user, &mut table).await?,
            None => list_all(&*store, &mut table).await?,
        };
        Ok(if damaged == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// Lists all sessions, and returns how many could not be read.
async fn list_all(store: &dyn Maintenance, table: &mut Table) -> Result<usize> {
    let mut damaged = 0;
    let progress = progress();
    input::for_each_page(store, &progress, async |page| {
        table.write(&page.sessions).await?;
        for (id, reason) in &page.damaged {
            progress.suspend(|| print_error(&format!("{id}: {reason}")));
        }
        damaged += page.damaged.len();
        Ok(())
    })
    .await?;
    Ok(damaged)
}

/// Lists the sessions of a user, and returns how many could not be read.
async fn list_of_user(store: &dyn Maintenance, user: &str, table: &mut Table) -> Result<usize> {
    let mut ids = store.sessions_of_user(user).await?;
    ids.sort_unstable();
    let (mut damaged, mut visited) = (0, 0);
    let progress = progress();
    // An empty list has its headings too.
    table.write(&[]).await?;
    for ids in ids.chunks(PAGE as usize) {
        let mut sessions = Vec::with_capacity(ids.len());
        for id in ids {
            match store.load_session(id).await {
                Ok(session) => sessions.extend(session),
                Err(error) => {
                    progress.suspend(|| print_error(&format!("{id}: {error}")));
                    damaged += 1;
                }
            }
        }
        // The user of a session may have changed since the index was read.
        sessions.retain(|session| session.state.user.as_deref() == Some(user));
        table.write(&sessions).await?;
        visited += ids.len() as u64;
        progress.count(visited);
    }
    Ok(damaged)
}

/// Returns the progress of a list: shown only if standard output is a file. On a terminal,
/// the growing list itself shows the progress; with a pipe to a pager, progress on standard
/// error would disturb the pages.
fn progress() -> Progress {
    let is_terminal = io::stdout().is_terminal();
    let is_file = rustix::fs::fstat(io::stdout())
        .is_ok_and(|stat| rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file());
    if is_terminal || !is_file {
        Progress::disabled()
    } else {
        Progress::counter()
    }
}

impl Table {
    /// Writes a page of sessions, and flushes it. The first page of a table has headings.
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

    /// Writes the sessions as rows of the table, after its headings if they are missing.
    fn write_rows(&mut self, sessions: &[StoredSession]) -> io::Result<()> {
        let users: Vec<_> = sessions.iter().map(user_cell).collect();
        let widest = users.iter().map(|user| user.width()).max();
        let width = widest.max(self.user_width).unwrap_or(0).max("USER".len());
        if self.user_width.replace(width).is_none() {
            writeln!(
                self.output,
                "{:32}  {:width$}  {:>7}  {:20}  {:20}  {:>10}",
                "ID", "USER", "VERSION", "MODIFIED", "EXPIRES", "SIZE"
            )?;
        }
        for (session, user) in sessions.iter().zip(users) {
            writeln!(
                self.output,
                "{}  {}  {:>7}  {:.0}  {:.0}  {:>10}",
                session.id,
                padded(&user, width),
                session.version,
                output::time(session.modified),
                output::time(session.state.expires),
                HumanBytes(session.state.size() as u64).to_string(),
            )?;
        }
        Ok(())
    }
}

/// Returns the user of a session for the table, cut to the largest width of the column.
fn user_cell(session: &StoredSession) -> String {
    const MAX_WIDTH: usize = 64;
    cut(
        output::optional_text(session.state.user.as_deref()),
        MAX_WIDTH,
    )
}
