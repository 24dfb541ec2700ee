//! `session3 show`: the content of one session.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use session3::store::{Clock, StoredSession, SystemClock, Timestamp};
use session3_dashboard::words::distance;

use super::cache::Cache;
use super::output::Content;
use super::store::Store;
use super::{input, output};

/// Show the content of one session
///
/// The secrets of its cookie and its forms, which open the session, are left out.
/// If there is no such session, the exit status is 1.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 show /tmp/sessions da889bdfb78779ff54edd939e7c4b7dc
  session3 show /tmp/sessions da889bdfb78779ff54edd939e7c4b7dc --json"
)]
pub struct Show {
    #[command(flatten)]
    store: Store,
    /// The ID of the session, of 32 lower-case hexadecimal digits
    id: String,
    /// Print a JSON object with id, user, version, modified, expires, size, created,
    /// authenticated, remembered, remote_address, user_agent and attributes; if the
    /// content cannot be read, problem takes the place of the last six
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cache: Cache,
}

impl Show {
    /// Prints the session.
    ///
    /// # Errors
    ///
    /// If there is no such session, or its record is damaged.
    pub async fn run(self) -> Result<ExitCode> {
        let id = input::session_id(&self.id)?;
        let store = self.store.open_read_only().await?;
        let loaded = store.load_session(&id).await;
        let session = loaded.with_context(|| id.to_string())?;
        let administration = input::administration(store, &self.cache).await?;
        let content = input::content(&administration, &id).await?;
        let (Some(session), Some(content)) = (session, content) else {
            bail!("{id}: there is no such session");
        };
        let text = if self.json {
            output::json(&session, &content)? + "\n"
        } else {
            describe(&session) + &describe_content(&content)
        };
        let mut output = output::stdout();
        output.write_all(text.as_bytes())?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the lines about what the store knows of a session.
fn describe(session: &StoredSession) -> String {
    let lines = [
        ("ID", session.id.to_string()),
        ("User", output::optional_text(session.state.user.as_deref())),
        ("Version", session.version.to_string()),
        ("Modified", time(session.modified)),
        ("Expires", time(session.state.expires)),
        ("Size", format!("{} bytes", session.state.size())),
    ];
    let lines = lines.map(|(name, value)| format!("{name:8}  {value}\n"));
    lines.concat()
}

/// Returns the lines about what the session manager knows of a session.
fn describe_content(content: &Content) -> String {
    let info = match content {
        Ok(info) => info,
        Err(reason) => return format!("Content   cannot be read: {}\n", output::escaped(reason)),
    };
    let text = |text: &Option<String>| output::optional_text(text.as_deref());
    let lines = [
        ("Created", time(info.created)),
        (
            "Log-in",
            info.authenticated.map_or_else(|| "-".into(), time),
        ),
        (
            "Remember",
            if info.is_remembered { "yes" } else { "no" }.into(),
        ),
        ("Address", text(&info.remote_address)),
        ("Browser", text(&info.user_agent)),
    ];
    let lines = lines.map(|(name, value)| format!("{name:8}  {value}\n"));
    let attributes = info.attributes.iter().map(|(name, value)| {
        let value = output::printable(value.get());
        format!("  {} = {value}\n", output::escaped(name))
    });
    lines.into_iter().chain(attributes).collect()
}

/// Returns a time, and its distance from now.
fn time(time: Timestamp) -> String {
    let distance = distance(time, SystemClock.now());
    format!("{:.0} ({distance})", output::time(time))
}
