//! `session3 list`: the sessions of a store.

use std::cmp::Reverse;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, value_parser};
use console::Term;
use indicatif::{HumanBytes, HumanCount};
use session3::Administration;
use session3::store::{Maintenance, SessionPage, StoredSession};
use tokio::time::sleep;
use unicode_width::UnicodeWidthStr;

use super::cache::Cache;
use super::input::{self, PAGE};
use super::look::{BAD, HEADING, Look, QUIET, TimeOptions, USER};
use super::output::{self, Output, cut, padded, print_error};
use super::progress::Progress;
use super::store::Store;

/// List the sessions of a store
///
/// The list has one line for each session, in no particular order. Times are in
/// UTC; on a terminal, they are in words unless --utc is given. The size is that of
/// the user name and the data. For a session that cannot be read, there is a line on
/// standard error, and the exit status is 1.
///
/// With --watch, the sessions that were used last are listed again and again, as
/// many as the terminal has lines, until Ctrl-C.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 list /tmp/sessions
  session3 list /tmp/sessions --user alice
  session3 list /tmp/sessions --watch
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
    /// List again and again, and wait for this many seconds in between
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        require_equals = true,
        value_parser = value_parser!(u32).range(1..),
        conflicts_with_all = ["json", "user"]
    )]
    watch: Option<u32>,
    #[command(flatten)]
    times: TimeOptions,
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
    look: Look,
}

impl List {
    /// Prints the list. The exit status says whether every session could be read.
    pub async fn run(self) -> Result<ExitCode> {
        let store = self.store.open_read_only().await?;
        if let Some(seconds) = self.watch {
            return watch(&*store, seconds, &self.times).await;
        }
        let administration = match self.json {
            true => Some(input::administration(store.clone(), &self.cache).await?),
            false => None,
        };
        let mut table = Table::new(Look::new(&self.times), administration);
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

/// Lists the sessions that were used last, again and again.
async fn watch(store: &dyn Maintenance, seconds: u32, times: &TimeOptions) -> Result<ExitCode> {
    loop {
        let mut latest = Latest::new(visible_rows());
        input::for_each_page(store, &Progress::disabled(), async |page| {
            latest.add(page);
            Ok(())
        })
        .await?;
        let mut table = Table::new(Look::new(times), None);
        if io::stdout().is_terminal() {
            // Clears the screen, and begins at its top.
            write!(table.output, "\u{1b}[2J\u{1b}[H")?;
        }
        table.write_rows(&latest.sessions)?;
        writeln!(table.output, "{}", latest.summary())?;
        table.output.flush()?;
        sleep(Duration::from_secs(seconds.into())).await;
    }
}

/// Returns how many sessions fit on the terminal, beside the headings and the summary; without
/// a terminal, as many as on a small one.
fn visible_rows() -> usize {
    const OTHER_LINES: usize = 3;
    let height = Term::stdout()
        .size_checked()
        .map_or(24, |(height, _)| height);
    usize::from(height).saturating_sub(OTHER_LINES).max(1)
}

/// The sessions that were used last.
struct Latest {
    sessions: Vec<StoredSession>,
    limit: usize,
    count: u64,
    damaged: u64,
}

impl Latest {
    fn new(limit: usize) -> Self {
        Self {
            sessions: Vec::new(),
            limit,
            count: 0,
            damaged: 0,
        }
    }

    /// Takes a page of sessions, and keeps those that were used last.
    fn add(&mut self, page: &SessionPage) {
        self.count += page.sessions.len() as u64;
        self.damaged += page.damaged.len() as u64;
        self.sessions.extend(page.sessions.iter().cloned());
        self.sessions
            .sort_by_key(|session| Reverse((session.modified, session.id)));
        self.sessions.truncate(self.limit);
    }

    fn summary(&self) -> String {
        let damaged = match self.damaged {
            0 => String::new(),
            damaged => format!(", and {damaged} damaged ones"),
        };
        format!("{} sessions{damaged}", HumanCount(self.count))
    }
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
    fn new(look: Look, administration: Option<Administration>) -> Self {
        Self {
            output: output::stdout(),
            administration,
            user_width: None,
            look,
        }
    }

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
        let look = &self.look;
        let times = look.time_width();
        if self.user_width.replace(width).is_none() {
            let headings = format!(
                "{:32}  {:width$}  {:>7}  {:times$}  {:times$}  {:>10}",
                "ID", "USER", "VERSION", "MODIFIED", "EXPIRES", "SIZE"
            );
            writeln!(self.output, "{}", look.paint(HEADING, &headings))?;
        }
        for (session, user) in sessions.iter().zip(users) {
            let style = match session.state.user {
                Some(_) => USER,
                None => QUIET,
            };
            let expires = format!("{:times$}", look.time(session.state.expires));
            let expires = match session.state.expires <= look.now() {
                true => look.paint(BAD, &expires),
                false => expires,
            };
            writeln!(
                self.output,
                "{}  {}  {:>7}  {:times$}  {expires}  {:>10}",
                session.id,
                look.paint(style, &padded(&user, width)),
                session.version,
                look.time(session.modified),
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

#[cfg(test)]
mod tests {
    use session3::store::{SessionId, SessionState};

    use super::*;

    #[test]
    fn the_sessions_that_were_used_last_are_kept_over_all_pages() {
        let session = |number: u64| StoredSession {
            id: SessionId::from(u128::from(number)),
            version: 1,
            modified: number,
            state: SessionState::default(),
        };
        let mut latest = Latest::new(2);
        for numbers in [[1, 5], [4, 2]] {
            latest.add(&SessionPage {
                sessions: numbers.map(session).into(),
                damaged: vec![(SessionId::from(9), "torn".into())],
                next: None,
            });
        }
        let modified: Vec<_> = latest
            .sessions
            .iter()
            .map(|session| session.modified)
            .collect();
        assert_eq!(modified, [5, 4]);
        assert_eq!(latest.summary(), "4 sessions, and 2 damaged ones");
    }
}
