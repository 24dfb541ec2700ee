//! The operator's session policy, from its file into the manager.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use session3::components::MANAGER;
use session3::policy::{SessionPolicy, write_policy};

use super::serving::cache_directory;

/// What all sessions are held to.
#[derive(Args)]
pub struct Policy {
    /// A file in TOML: the values that `default-config` returns to applications,
    /// and in its section `require` those that they cannot weaken
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Policy {
    /// Whether there is one.
    pub fn is_given(&self) -> bool {
        self.config.is_some()
    }

    /// The manager that keeps to it.
    pub async fn manager(&self) -> Result<Vec<u8>> {
        match &self.config {
            Some(file) => with_policy(file)
                .await
                .with_context(|| file.display().to_string()),
            None => Ok(MANAGER.to_vec()),
        }
    }
}

async fn with_policy(file: &Path) -> Result<Vec<u8>> {
    let text = fs::read_to_string(file).context("cannot be read")?;
    let policy = SessionPolicy::from_toml(&text)?;
    Ok(write_policy(&policy, MANAGER, cache_directory().as_deref()).await?)
}
