//! `session3 delete`: ends sessions.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use session3::store::{SessionId, SessionStore};

use super::input;
use super::output::{self, complain};

/// Ends sessions for good
///
/// Says of each whether there was one; that there was none is fine. When one of
/// the IDs is none, nothing is deleted.
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
    /// The directory of the sessions
    store: PathBuf,
    /// The sessions: 32 hexadecimal digits each
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
}

impl Delete {
    /// Whether all of them are gone.
    pub async fn run(self) -> Result<ExitCode> {
        let ids = self.ids.iter().map(|id| input::session_id(id));
        let ids = ids.collect::<Result<Vec<SessionId>>>()?;
        let store = input::open(&self.store)?;
        // All of them go, whether or not anybody reads what this says.
        let mut deleted = Vec::with_capacity(ids.len());
        for id in ids {
            deleted.push((id, store.delete_session(&id).await));
        }
        let mut status = ExitCode::SUCCESS;
        let mut output = output::output();
        for (id, deleted) in deleted {
            match deleted {
                Ok(true) => writeln!(output, "{id}: deleted")?,
                Ok(false) => writeln!(output, "{id}: there was no such session")?,
                Err(error) => {
                    complain(&format!("{id}: {error}"));
                    status = ExitCode::FAILURE;
                }
            }
        }
        output.flush()?;
        Ok(status)
    }
}
