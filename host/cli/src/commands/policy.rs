//! The session policy of the operator, which is written from its file into the manager.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use session3::components::MANAGER;
use session3::policy::{SessionPolicy, write_policy};

use super::cache::Cache;
use super::input;

/// The session policy of the operator.
#[derive(Args)]
pub struct Policy {
    /// Read the session policy from this TOML file: values that `default-config`
    /// returns to applications, and in its section `require` values that
    /// applications cannot weaken
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Policy {
    /// Returns whether the command line names a policy.
    pub fn is_given(&self) -> bool {
        self.config.is_some()
    }

    /// Returns the session manager component, with the policy written into it.
    ///
    /// # Errors
    ///
    /// If the file of the policy cannot be read, or is no valid policy.
    pub async fn manager(&self, cache: &Cache) -> Result<Vec<u8>> {
        match &self.config {
            Some(file) => with_policy(file, cache)
                .await
                .with_context(|| file.display().to_string()),
            None => Ok(MANAGER.to_vec()),
        }
    }
}

/// Returns the session manager component with the policy of a file written into it.
async fn with_policy(file: &Path, cache: &Cache) -> Result<Vec<u8>> {
    let text = String::from_utf8(input::read(file)?).context("it is not UTF-8")?;
    let policy = SessionPolicy::from_toml(&text)?;
    Ok(write_policy(&policy, MANAGER, cache.directory().as_deref()).await?)
}
