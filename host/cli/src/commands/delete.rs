//! `session3 delete`: deletes sessions.

use std::io::Write;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use session3::store::SessionId;

use super::input;
use super::output::{self, print_error};
use super::store::Store;

/// Delete sessions for good
///
/// Prints for each ID whether there was such a session. A session that did not
/// exist is no failure. If any ID is malformed, no session is deleted.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 delete /tmp/sessions da889bdfb78779ff54edd939e7c4b7dc
  session3 list /tmp/sessions --user alice --json | jq -r .id |
    xargs -r session3 delete /tmp/sessions"
)]
pub struct Delete {
    #[command(flatten)]
    store: Store,
    /// The IDs of the sessions, of 32 lower-case hexadecimal digits each
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

impl Delete {
    /// Deletes the sessions. The exit status says whether none of them exists any more.
    pub async fn run(self) -> Result<ExitCode> {
        let ids = self.ids.iter().map(|id| input::session_id(id));
        let ids = ids.collect::<Result<Vec<SessionId>>>()?;
        let store = self.store.open_for_changes().await?;
        // Nothing is printed before all sessions are deleted: a closed standard output
        // must not end the command half-way.
        let mut results = Vec::with_capacity(ids.len());
        for id in ids {
            results.push((id, store.delete_session(&id).await));
        }
        let mut status = ExitCode::SUCCESS;
        let mut output = output::stdout();
        for (id, result) in results {
            match result {
                Ok(true) => writeln!(output, "{id}: deleted")?,
                Ok(false) => writeln!(output, "{id}: there was no such session")?,
                Err(error) => {
                    print_error(&format!("{id}: {error}"));
                    status = ExitCode::FAILURE;
                }
            }
        }
        output.flush()?;
        Ok(status)
    }
}
