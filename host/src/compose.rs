//! Joining an application with the session manager, and maybe a store, into one
//! component.

use std::fmt;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

use crate::inspect::{NotAComponent, Outline, inspect};

/// The manager's export that an application imports.
const MANAGER: &str = "session3:sessions/manager@0.1.0";
/// The one that administration programs import.
const ADMIN: &str = "session3:sessions/admin@0.1.0";
/// What the manager imports of a store.
const STORE: &str = "session3:sessions/store@0.1.0";
/// Where the manager reports what happened.
const EVENTS: &str = "session3:sessions/events@0.1.0";
/// The request's session, for an application behind the middleware.
const CURRENT: &str = "session3:sessions/current@0.1.0";
/// How the middleware controls it.
const CONTEXT: &str = "session3:sessions/context@0.1.0";
/// What the middleware passes requests on to, and is itself.
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// Joins `application` with `manager`, without a grant: see [`Composition`].
pub fn compose(application: &[u8], manager: &[u8]) -> Result<Vec<u8>, ComposeError> {
    Composition::new(application, manager).compose()
}

/// What an application gets only by the operator's leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// `session3:sessions/store`: every session, to read, forge and delete; and
    /// `events`, to report what did not happen.
    Store,
    /// `session3:sessions/admin`: to see and end everybody's sessions.
    Admin,
}

/// An application, the manager, and how they are joined: the application's
/// import of `session3:sessions/manager` is the manager's export, and nothing
/// else is connected that was not granted. What any of them imports besides, the
/// result imports; what the application exports, the result exports.
pub struct Composition<'a> {
    application: &'a [u8],
    manager: &'a [u8],
    store: Option<&'a [u8]>,
    middleware: Option<Middleware<'a>>,
    grants: Vec<Grant>,
    has_host_store: bool,
}

/// What stands before an application, and what it shares with it.
struct Middleware<'a> {
    middleware: &'a [u8],
    context: &'a [u8],
}

impl<'a> Composition<'a> {
    /// Without any grant, and with the host's store.
    pub fn new(application: &'a [u8], manager: &'a [u8]) -> Self {
        Self {
            application,
            manager,
            store: None,
            middleware: None,
            grants: Vec::new(),
            has_host_store: true,
        }
    }

    /// Takes the manager's `store` from this component, and `events` too if it
    /// exports that.
    pub fn store_component(mut self, store: &'a [u8]) -> Self {
        self.store = Some(store);
        self
    }

    /// Puts `middleware` before the application, for WASI 0.3: it opens and
    /// commits the session of each request, which the application finds in
    /// `session3:sessions/current`, an export of `context`.
    pub fn middleware(mut self, middleware: &'a [u8], context: &'a [u8]) -> Self {
        self.middleware = Some(Middleware {
            middleware,
            context,
        });
        self
    }

    /// Allows the application, or the store component, what it imports.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// Whether the host has a store for what still imports one; it has unless
    /// this says otherwise.
    pub fn host_store(mut self, has_host_store: bool) -> Self {
        self.has_host_store = has_host_store;
        self
    }

    /// The one component. An application that needs no part of the manager is
    /// returned as it is.
    pub fn compose(&self) -> Result<Vec<u8>, ComposeError> {
        let outline = outline_of("application", self.application)?;
        self.check("application", &outline)?;
        let store = self.store.map(outline_of_store).transpose()?;
        if let Some(outline) = &store {
            self.check("store component", outline)?;
        }
        let imports = |name: &str| outline.imports.iter().any(|import| import == name);
        self.check_middleware(imports(CURRENT), &outline)?;
        let needs_manager = imports(MANAGER) || imports(ADMIN) || self.middleware.is_some();
        let component = match needs_manager {
            true => self.join(&outline, store.as_ref())?,
            false => self.application.to_vec(),
        };
        self.check_store(&component)?;
        Ok(component)
    }

    /// By the interface, whatever its version: a host may take one for another.
    fn check(&self, which: &'static str, outline: &Outline) -> Result<(), ComposeError> {
        for import in &outline.imports {
            let interface = import.split('@').next().unwrap_or_default();
            let grant = match interface {
                "session3:sessions/store" | "session3:sessions/events" => Grant::Store,
                "session3:sessions/admin" => Grant::Admin,
                _ => continue,
            };
            if !self.grants.contains(&grant) {
                let interface = interface.to_owned();
                return Err(ComposeError::NotGranted {
                    which,
                    interface,
                    grant,
                });
            }
        }
        Ok(())
    }

    fn check_middleware(&self, is_needed: bool, outline: &Outline) -> Result<(), ComposeError> {
        let is_handler = outline.exports.iter().any(|export| export == HANDLER);
        match self.middleware {
            None if is_needed => Err(ComposeError::NoMiddleware),
            Some(_) if !is_handler => Err(ComposeError::NotAHandler),
            _ => Ok(()),
        }
    }

    fn check_store(&self, component: &[u8]) -> Result<(), ComposeError> {
        let imports = outline_of("application", component)?.imports;
        let is_store = |name: &String| name.starts_with("session3:sessions/store@");
        match !self.has_host_store && imports.iter().any(is_store) {
            true => Err(ComposeError::NoStore),
            false => Ok(()),
        }
    }

    fn join(&self, outline: &Outline, store: Option<&Outline>) -> Result<Vec<u8>, ComposeError> {
        let mut graph = CompositionGraph::new();
        let manager = instantiate(&mut graph, "manager", self.manager)?;
        let application = instantiate(&mut graph, "application", self.application)?;
        connect(
            &mut graph,
            manager,
            (application, outline),
            &[MANAGER, ADMIN],
        )?;
        if let (Some(bytes), Some(store)) = (self.store, store) {
            let provider = instantiate(&mut graph, "store component", bytes)?;
            let exports = |name: &&str| store.exports.iter().any(|export| export == name);
            let provided: Vec<_> = [STORE, EVENTS].into_iter().filter(exports).collect();
            let manager = (manager, &outline_of("manager", self.manager)?);
            connect(&mut graph, provider, manager, &provided)?;
            connect(&mut graph, provider, (application, outline), &provided)?;
        }
        let handler = match &self.middleware {
            Some(parts) => parts.join(&mut graph, manager, (application, outline))?,
            None => application,
        };
        for name in &outline.exports {
            let exporter = match name.as_str() {
                HANDLER => handler,
                _ => application,
            };
            let export = graph
                .alias_instance_export(exporter, name)
                .map_err(does_not_fit)?;
            graph.export(export, name).map_err(does_not_fit)?;
        }
        graph.encode(EncodeOptions::default()).map_err(does_not_fit)
    }
}

impl Middleware<'_> {
    /// The middleware's instance, joined with the context, the application and
    /// the manager.
    fn join(
        &self,
        graph: &mut CompositionGraph,
        manager: NodeId,
        application: (NodeId, &Outline),
    ) -> Result<NodeId, ComposeError> {
        let context = instantiate(graph, "context", self.context)?;
        let middleware = instantiate(graph, "middleware", self.middleware)?;
        let outline = outline_of("context", self.context)?;
        connect(graph, manager, (context, &outline), &[MANAGER])?;
        connect(graph, context, application, &[CURRENT])?;
        let outline = outline_of("middleware", self.middleware)?;
        let to = (middleware, &outline);
        connect(graph, manager, to, &[MANAGER])?;
        connect(graph, context, to, &[CONTEXT])?;
        connect(graph, application.0, to, &[HANDLER])?;
        Ok(middleware)
    }
}

fn outline_of(which: &'static str, component: &[u8]) -> Result<Outline, ComposeError> {
    inspect(component).map_err(|why| ComposeError::NotAComponent(which, why))
}

fn outline_of_store(store: &[u8]) -> Result<Outline, ComposeError> {
    let outline = outline_of("store component", store)?;
    match outline.exports.iter().any(|export| export == STORE) {
        true => Ok(outline),
        false => Err(ComposeError::NotAStore),
    }
}

fn instantiate(
    graph: &mut CompositionGraph,
    name: &'static str,
    bytes: &[u8],
) -> Result<NodeId, ComposeError> {
    let package = register(graph, name, bytes)?;
    Ok(graph.instantiate(package))
}

fn register(
    graph: &mut CompositionGraph,
    name: &'static str,
    bytes: &[u8],
) -> Result<PackageId, ComposeError> {
    let name_in_graph = name.replace(' ', "-");
    let package = Package::from_bytes(&name_in_graph, None, bytes, graph.types_mut());
    let package = package.map_err(|error| {
        ComposeError::NotAComponent(name, NotAComponent::Malformed(format!("{error:#}")))
    })?;
    graph.register_package(package).map_err(does_not_fit)
}

/// Those of `interfaces` that the second imports are the first one's exports.
fn connect(
    graph: &mut CompositionGraph,
    from: NodeId,
    (to, outline): (NodeId, &Outline),
    interfaces: &[&str],
) -> Result<(), ComposeError> {
    for interface in interfaces {
        if !outline.imports.iter().any(|import| import == interface) {
            continue;
        }
        let export = graph
            .alias_instance_export(from, interface)
            .map_err(does_not_fit)?;
        graph
            .set_instantiation_argument(to, interface, export)
            .map_err(does_not_fit)?;
    }
    Ok(())
}

fn does_not_fit(error: impl fmt::Display) -> ComposeError {
    ComposeError::DoesNotFit(error.to_string())
}

/// Why components could not be joined.
#[derive(Debug)]
#[non_exhaustive]
pub enum ComposeError {
    /// Which of them is none, and why.
    NotAComponent(&'static str, NotAComponent),
    /// All are components, but not for each other.
    DoesNotFit(String),
    /// One imports what it was not granted.
    NotGranted {
        /// Which of them.
        which: &'static str,
        /// What it imports, without the version.
        interface: String,
        /// What would allow it.
        grant: Grant,
    },
    /// The application imports `current`, and there is no middleware.
    NoMiddleware,
    /// There is a middleware, and the application is not for WASI 0.3.
    NotAHandler,
    /// The store component does not export a store.
    NotAStore,
    /// The result imports a store, and the host has none.
    NoStore,
}

impl std::error::Error for ComposeError {}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAComponent(which, why) => write!(f, "the {which} is not a component: {why}"),
            Self::DoesNotFit(why) => write!(f, "the components do not fit together: {why}"),
            Self::NotGranted {
                which,
                interface,
                grant,
            } => {
                let (power, option) = match grant {
                    Grant::Store => ("the sessions of everybody", "--grant store"),
                    Grant::Admin => ("the administration of all sessions", "--grant admin"),
                };
                write!(
                    f,
                    "the {which} imports {interface}, which is {power}: if it may have that, \
                     allow it with {option}"
                )
            }
            Self::NoMiddleware => write!(
                f,
                "the application imports {CURRENT}, which it has behind the session middleware: \
                 add --middleware"
            ),
            Self::NotAHandler => write!(
                f,
                "the application does not export {HANDLER}, so the middleware has nothing to \
                 pass requests on to: leave out --middleware"
            ),
            Self::NotAStore => write!(f, "the store component does not export {STORE}"),
            Self::NoStore => write!(
                f,
                "{STORE} is imported and nothing provides it: name a directory with --store"
            ),
        }
    }
}
