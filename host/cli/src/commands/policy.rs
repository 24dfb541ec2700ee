//! The session policy of the operator, which is written from its file into the manager.

use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result, anyhow};
use clap::Args;
use session3::components::MANAGER;
use session3::policy::{PolicyError, SessionPolicy, write_policy};

use super::cache::Cache;
use super::input;

/// The session policy of the operator.
#[derive(Args)]
pub struct Policy {
    /// Read the session policy from this TOML file, or from its section `policy`: values
    /// that `default-config` returns to applications, and in `require` values that
    /// applications cannot weaken; `serve` also reads its options from the section `serve`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Whether browsers keep the cookie without TLS.
    #[arg(skip)]
    is_plain_http_allowed: bool,
}

impl Policy {
    /// Returns whether the command line names a file with a policy. A file with a section for
    /// `serve` alone has none.
    pub fn is_given(&self) -> bool {
        let file = self.config.as_deref();
        // The errors of a file that cannot be read come when it is used.
        file.is_some_and(|file| {
            input::read_text(file).map_or(true, |text| SessionPolicy::is_in(&text))
        })
    }

    /// Lets browsers keep the session cookie without TLS, whatever the policy says.
    pub fn allow_plain_http(&mut self) {
        self.is_plain_http_allowed = true;
    }

    /// Returns the file, if the command line names one.
    pub fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// Returns the session manager component, with the policy written into it.
    ///
    /// # Errors
    ///
    /// If the file of the policy cannot be read, or is no valid policy.
    pub async fn manager(&self, cache: &Cache) -> Result<Vec<u8>> {
        let mut policy = self.config.as_deref().map(parse).transpose()?.flatten();
        if self.is_plain_http_allowed {
            policy = Some(policy.unwrap_or_default().for_plain_http());
        }
        let Some(policy) = policy else {
            return Ok(MANAGER.to_vec());
        };
        let written = write_policy(&policy, MANAGER, cache.directory().as_deref()).await;
        match &self.config {
            Some(file) => written.with_context(|| file.display().to_string()),
            None => written.map_err(Error::from),
        }
    }
}

/// Reads the policy of a file; `None` if the file has none.
fn parse(file: &Path) -> Result<Option<SessionPolicy>> {
    let text = input::read_text(file)?;
    let policy = SessionPolicy::from_toml(&text).map_err(|error| with_place(file, error))?;
    Ok(SessionPolicy::is_in(&text).then_some(policy))
}

/// Adds the file to an error, and the line in the form of compilers.
fn with_place(file: &Path, error: PolicyError) -> Error {
    let file = file.display();
    match error {
        PolicyError::Toml { line, why } => anyhow!("{file}:{line}: {why}"),
        error => anyhow!("{file}: {error}"),
    }
}
