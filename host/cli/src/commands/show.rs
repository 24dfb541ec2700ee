//! `session3 show`: the content of one session.

use std::io::Write;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use session3::store::StoredSession;

use super::cache::Cache;
use super::look::{BAD, HEADING, Look, QUIET, TimeOptions, USER};
use super::output::Content;
use super::store::Store;
use super::{input, output};

/// Show the content of one session
///
/// The secrets of its cookie and its forms, which open the session, are left out.
/// Times are in UTC; on a terminal, they are in local time unless --utc is given.
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
    times: TimeOptions,
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
            let look = Look::new(&self.times);
            describe(&session, &look) + &describe_content(&content, &look)
        };
        let mut output = output::stdout();
        output.write_all(text.as_bytes())?;
        output.flush()?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the lines about what the store knows of a session.
fn describe(session: &StoredSession, look: &Look) -> String {
    let user = output::optional_text(session.state.user.as_deref());
    let expires = look.long_time(session.state.expires);
    let expires = match session.state.expires <= look.now() {
        true => look.paint(BAD, &expires),
        false => expires,
    };
    let lines = [
        ("ID", session.id.to_string()),
        ("User", look.paint(USER, &user)),
        ("Version", session.version.to_string()),
        ("Modified", look.long_time(session.modified)),
        ("Expires", expires),
        ("Size", format!("{} bytes", session.state.size())),
    ];
    lines.map(|(name, value)| line(name, &value, look)).concat()
}

/// Returns the lines about what the session manager knows of a session.
fn describe_content(content: &Content, look: &Look) -> String {
    let info = match content {
        Ok(info) => info,
        Err(reason) => {
            let problem = format!("cannot be read: {}", output::escaped(reason));
            return line("Content", &look.paint(BAD, &problem), look);
        }
    };
    let text = |text: &Option<String>| output::optional_text(text.as_deref());
    let lines = [
        ("Created", look.long_time(info.created)),
        (
            "Log-in",
            info.authenticated
                .map_or_else(|| "-".into(), |time| look.long_time(time)),
        ),
        (
            "Remember",
            if info.is_remembered { "yes" } else { "no" }.into(),
        ),
        ("Address", text(&info.remote_address)),
        ("Browser", text(&info.user_agent)),
    ];
    let lines = lines.map(|(name, value)| line(name, &value, look));
    let attributes = info.attributes.iter().map(|(name, value)| {
        let value = output::printable(value.get());
        let name = look.paint(HEADING, &output::escaped(name));
        format!("  {name} = {value}\n")
    });
    lines.into_iter().chain(attributes).collect()
}

/// Returns a line with a name and a value.
fn line(name: &str, value: &str, look: &Look) -> String {
    let name = look.paint(QUIET, &format!("{name:8}"));
    format!("{name}  {value}\n")
}
