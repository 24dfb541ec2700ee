//! The directory that keeps compiled code for the next start.

use std::env;
use std::path::{self, PathBuf};
use std::sync::Once;

use clap::Args;

/// The option of every command that compiles a component.
#[derive(Args)]
pub struct Cache {
    /// Keep compiled code in this directory, which is created if it is missing, instead
    /// of in $XDG_CACHE_HOME/session3 or ~/.cache/session3
    #[arg(long, value_name = "DIRECTORY")]
    cache: Option<PathBuf>,
}

impl Cache {
    /// Returns the directory; `None`, after a warning, if neither the command line nor the
    /// environment names one.
    pub fn directory(&self) -> Option<PathBuf> {
        let directory = self.find();
        if directory.is_none() {
            warn_once();
        }
        directory
    }

    /// Returns the directory without a warning, for a component that is compiled already.
    pub fn find(&self) -> Option<PathBuf> {
        let absolute = |directory: &PathBuf| path::absolute(directory).ok();
        self.cache
            .as_ref()
            .and_then(absolute)
            .or_else(of_environment)
    }
}

/// Returns the directory below the user's cache directory, or below the home directory, if the
/// environment names one of them by an absolute path.
fn of_environment() -> Option<PathBuf> {
    let absolute = |name| {
        let path = PathBuf::from(env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let cache = absolute("XDG_CACHE_HOME").or_else(|| Some(absolute("HOME")?.join(".cache")))?;
    Some(cache.join("session3"))
}

fn warn_once() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "every start compiles the components anew, because neither HOME nor XDG_CACHE_HOME \
             is set: name a directory for compiled code with --cache"
        );
    });
}
