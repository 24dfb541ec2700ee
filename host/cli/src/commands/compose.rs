//! `session3 compose`: composes an application and the session manager into one component,
//! for other hosts.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use session3::Composition;
use session3::compiled::is_compiled;
use session3::components::{CONTEXT, MIDDLEWARE};
use session3::text::escaped;

use super::cache::Cache;
use super::policy::Policy;
use super::{component, input};

/// Compose an application with the session manager, for use under another host
///
/// With --store-component, the result needs nothing of session3 from its host.
/// Without it, the host has to provide session3:sessions/store and
/// session3:sessions/events.
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
    /// Write the component into this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    cache: Cache,
}

impl Compose {
    /// Composes the component and writes it.
    pub async fn run(self) -> Result<ExitCode> {
        let composed = self.parts.compose(true, &self.cache).await?;
        component::write(&composed, self.output.as_deref())
    }
}

/// The parts that are composed into one component.
#[derive(Args)]
pub struct Parts {
    /// The file with the component of the application
    pub application: PathBuf,
    /// Keep the sessions in this component, which exports session3:sessions/store;
    /// it can use the store of the host only with --grant store
    #[arg(long, value_name = "FILE")]
    pub store_component: Option<PathBuf>,
    /// Let the application, and a store component, import an interface besides the
    /// session manager; may be given more than once
    #[arg(long, value_enum, value_name = "INTERFACE")]
    pub grant: Vec<Grant>,
    /// Put the session middleware before an application for WASI 0.3: the
    /// application imports session3:sessions/current, and the middleware handles
    /// cookies and commits
    #[arg(long)]
    middleware: bool,
    #[command(flatten)]
    pub policy: Policy,
}

/// An interface that an application may import only if the operator grants it.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub enum Grant {
    /// session3:sessions/store and session3:sessions/events: read, forge and
    /// delete every session, and forge events
    Store,
    /// session3:sessions/admin: show and end the sessions of all users
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
    /// Returns the first option that says what is composed; `None` if there is none.
    pub fn first_option(&self) -> Option<&'static str> {
        let given = [
            (self.store_component.is_some(), "--store-component"),
            (!self.grant.is_empty(), "--grant"),
            (self.middleware, "--middleware"),
            (self.policy.is_given(), "--config"),
        ];
        let first = given.into_iter().find(|(is_given, _)| *is_given);
        first.map(|(_, option)| option)
    }

    /// Returns the file of `--config`, if it is given.
    pub fn policy_file(&self) -> Option<&Path> {
        self.policy.file()
    }

    /// Returns whether that file has a session policy.
    pub fn has_policy(&self) -> bool {
        self.policy.is_given()
    }

    /// Checks the session policy.
    ///
    /// # Errors
    ///
    /// If the file of the policy cannot be read, or is no valid policy.
    pub async fn check_policy(&self, cache: &Cache) -> Result<()> {
        self.policy.manager(cache).await.map(|_| ())
    }

    /// Composes the parts. `has_host_store` says whether the host provides a store to the
    /// result.
    ///
    /// # Errors
    ///
    /// If a file cannot be read, the parts do not fit together, an import was not
    /// granted, or the policy would have no effect.
    pub async fn compose(&self, has_host_store: bool, cache: &Cache) -> Result<Vec<u8>> {
        self.compose_with(&read(&self.application)?, has_host_store, cache)
            .await
    }

    /// Composes the parts, with an application that has been read already.
    ///
    /// # Errors
    ///
    /// See [`compose`](Self::compose).
    pub async fn compose_with(
        &self,
        application: &[u8],
        has_host_store: bool,
        cache: &Cache,
    ) -> Result<Vec<u8>> {
        ensure!(
            !is_compiled(application),
            "{}: it is compiled: name the component that it was compiled from",
            self.application.display()
        );
        let manager = self.policy.manager(cache).await?;
        let store = self.store_component.as_deref().map(read).transpose()?;
        let mut composition = Composition::new(application, &manager).host_store(has_host_store);
        if let Some(store) = &store {
            composition = composition.store_component(store);
        }
        if self.middleware {
            composition = composition.middleware(MIDDLEWARE, CONTEXT);
        }
        for grant in &self.grant {
            composition = composition.grant((*grant).into());
        }
        let name = self.application.display().to_string();
        let component = composition.compose().with_context(|| name.clone())?;
        ensure!(
            component != application || !self.policy.is_given(),
            "{}: the application does not import session3:sessions/manager, so the policy of \
             --config has no effect: leave it out",
            name
        );
        for warning in composition.warnings()? {
            tracing::warn!("{}: {warning}", escaped(&name));
        }
        Ok(component)
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    Ok(input::read_component(file)?.0)
}
