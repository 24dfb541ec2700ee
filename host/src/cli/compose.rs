//! `session3 compose`: an application and the manager in one component, for other
//! hosts.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use session3::Composition;
use session3::components::MANAGER;

use super::component;
use super::serve::{Grant, read};

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
    /// The application's component
    application: PathBuf,
    /// A component that exports session3:sessions/store, to keep the sessions
    #[arg(long, value_name = "FILE")]
    store_component: Option<PathBuf>,
    /// Lets the application import more than the manager
    #[arg(long, value_enum, value_name = "INTERFACE")]
    grant: Vec<Grant>,
    /// Writes it into this file, instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Compose {
    /// Writes it.
    pub fn run(self) -> Result<ExitCode> {
        let application = read(&self.application)?;
        let store = self.store_component.as_deref().map(read).transpose()?;
        let mut composition = Composition::new(&application, MANAGER);
        if let Some(store) = &store {
            composition = composition.store_component(store);
        }
        for grant in self.grant {
            composition = composition.grant(grant.into());
        }
        let composed = composition
            .compose()
            .with_context(|| self.application.display().to_string())?;
        component::write(&composed, self.output.as_deref())
    }
}
