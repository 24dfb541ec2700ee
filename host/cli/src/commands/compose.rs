//! `session3 compose`: an application and the manager in one component, for other
//! hosts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use session3::Composition;
use session3::components::{CONTEXT, MIDDLEWARE};

use super::component;
use super::policy::Policy;

/// Joins an application with the session manager, and maybe a store, for use
/// under another host
///
/// With a store that is a component, the result needs nothing of session3 from its
/// host. Without one it imports session3:sessions/store and events.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 component store-filesystem -o store.wasm
  session3 compose application.wasm --store-component store.wasm -o composed.wasm
  wasmtime serve -Scli --dir /tmp/sessions::/sessions composed.wasm"
)]
pub struct Compose {
    #[command(flatten)]
    parts: Parts,
    /// Writes it into this file, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Compose {
    /// Writes it.
    pub async fn run(self) -> Result<ExitCode> {
        let composed = self.parts.join(true).await?;
        component::write(&composed, self.output.as_deref())
    }
}

/// What is joined into one component.
#[derive(Args)]
pub struct Parts {
    /// The application's component
    pub application: PathBuf,
    /// A component that exports session3:sessions/store, to keep the sessions; it
    /// gets a host's store only where --grant store gives it that
    #[arg(long, value_name = "FILE")]
    pub store_component: Option<PathBuf>,
    /// Lets the application import more than the manager
    #[arg(long, value_enum, value_name = "INTERFACE")]
    pub grant: Vec<Grant>,
    /// Puts the session middleware before an application for WASI 0.3, which then
    /// imports session3:sessions/current and has no cookies to see to
    #[arg(long)]
    middleware: bool,
    #[command(flatten)]
    policy: Policy,
}

/// What the application may import besides.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Grant {
    /// session3:sessions/store and events: every session, to read, forge and
    /// delete
    Store,
    /// session3:sessions/admin: to see and end everybody's sessions
    Admin,
}

impl From<Grant> for session3::Grant {
    fn from(grant: Grant) -> Self {
        match grant {
            Grant::Store => Self::Store,
            Grant::Admin => Self::Admin,
        }
    }
}

impl Parts {
    /// The one component.
    pub async fn join(&self, has_host_store: bool) -> Result<Vec<u8>> {
        let application = read(&self.application)?;
        let manager = self.policy.manager().await?;
        let store = self.store_component.as_deref().map(read).transpose()?;
        let mut composition = Composition::new(&application, &manager).host_store(has_host_store);
        if let Some(store) = &store {
            composition = composition.store_component(store);
        }
        if self.middleware {
            composition = composition.middleware(MIDDLEWARE, CONTEXT);
        }
        for grant in &self.grant {
            composition = composition.grant((*grant).into());
        }
        let component = composition
            .compose()
            .with_context(|| self.application.display().to_string())?;
        ensure!(
            component != application || !self.policy.is_given(),
            "{}: it does not import session3:sessions/manager, so --config has no effect on it: \
             leave it out",
            self.application.display()
        );
        Ok(component)
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{}: cannot be read", file.display()))
}
