//! What a component is that was named as an application: a part of session3, or something
//! that was composed already.

use std::fmt;

use crate::outline::Outline;

/// What the names of the contract's interfaces begin with.
const PACKAGE: &str = "session3:sessions/";

/// A component of session3 that is no application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The session manager.
    Manager,
    /// A store component.
    Store,
    /// The session middleware.
    Middleware,
}

impl Part {
    /// Returns which part a component is; `None` if it may be an application.
    pub(crate) fn of(outline: &Outline) -> Option<Self> {
        let exports = |name| has(&outline.exports, name);
        if has(&outline.imports, "context") {
            return Some(Self::Middleware);
        }
        if outline.is_handler() {
            return None;
        }
        if exports("manager") {
            Some(Self::Manager)
        } else if exports("store") {
            Some(Self::Store)
        } else {
            None
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Manager => "the session manager, which is added to each application",
            Self::Store => "a store component, which is named with --store-component",
            Self::Middleware => "the session middleware, which is added with --middleware",
        })
    }
}

/// Returns whether a component contains a session manager: whether it was composed already.
pub(crate) fn is_composed(outline: &Outline) -> bool {
    has(&outline.exports, "reuse") && !has(&outline.exports, "manager")
}

/// Returns whether a component imports anything of session3.
pub(crate) fn has_sessions(outline: &Outline) -> bool {
    let imports = &outline.imports;
    imports.iter().any(|name| name.starts_with(PACKAGE))
}

/// Returns the world for which a component should be built, of those that `session3 wit` writes.
pub(crate) fn world_of(outline: &Outline) -> &'static str {
    let is_wasi03 = outline
        .exports
        .iter()
        .any(|name| name.starts_with("wasi:http/handler@0.3."));
    if has(&outline.exports, "store") {
        "store-provider"
    } else if has(&outline.imports, "current") {
        "application-behind-middleware"
    } else if is_wasi03 {
        "application-wasi03"
    } else if has(&outline.imports, "admin") {
        "administration"
    } else if outline.is_javascript() {
        "application-javascript"
    } else {
        "application"
    }
}

/// Returns whether one of the names is an interface of session3, in any version.
fn has(names: &[String], interface: &str) -> bool {
    names.iter().any(|name| {
        let rest = name.strip_prefix(PACKAGE);
        rest.is_some_and(|rest| rest.split('@').next() == Some(interface))
    })
}
