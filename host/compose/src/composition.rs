//! Composing an application with the session manager, and maybe a store, into one
//! component.

use std::fmt;

use thiserror::Error;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId, PackageId};

use crate::outline::{NotAComponent, Outline, inspect};
use crate::part::{Part, is_composed, world_of};
use crate::warning::Warning;

/// The version of the contract, without the patch.
const CONTRACT: &str = "0.2";
/// The interface that an application imports from the manager.
const MANAGER: &str = "session3:sessions/manager@0.2.0";
/// The interface that administration programs import from the manager.
const ADMIN: &str = "session3:sessions/admin@0.2.0";
/// The interface of the manager with which a host uses an instance for several requests.
const REUSE: &str = "session3:sessions/reuse@0.2.0";
/// The interface that the manager imports from a store.
const STORE: &str = "session3:sessions/store@0.2.0";
/// The interface to which the manager reports events.
const EVENTS: &str = "session3:sessions/events@0.2.0";
/// The session of the current request, which an application behind the middleware imports.
const CURRENT: &str = "session3:sessions/current@0.2.0";
/// The interface through which the middleware controls that session.
const CONTEXT: &str = "session3:sessions/context@0.2.0";
/// The interface of a request handler, which the middleware imports and exports.
const HANDLER: &str = "wasi:http/handler@0.3.0";

/// Composes `application` with `manager`, without any grant: see [`Composition`].
pub fn compose(application: &[u8], manager: &[u8]) -> Result<Vec<u8>, ComposeError> {
    Composition::new(application, manager).compose()
}

/// An interface that an application gets only if the operator grants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Grant {
    /// `session3:sessions/store`, which reads, forges and deletes every session, and
    /// `events`, which reports events that need not have happened.
    Store,
    /// `session3:sessions/admin`, which shows and ends the sessions of all users.
    Admin,
}

impl Grant {
    /// Returns what the interface gives access to.
    fn power(self) -> &'static str {
        match self {
            Self::Store => "the sessions of everybody",
            Self::Admin => "the administration of all sessions",
        }
    }

    /// Returns the option of the program that grants it.
    fn option(self) -> &'static str {
        match self {
            Self::Store => "--grant store",
            Self::Admin => "--grant admin",
        }
    }
}

/// A composition of an application, the manager, and optional parts.
///
/// The application's import of `session3:sessions/manager` is connected with the manager's
/// export. Other interfaces of session3 are connected only if they are granted. The result
/// imports what remains. It exports what the application exports, and the manager's
/// `session3:sessions/reuse`, so that a host can use an instance for several requests.
///
/// ```no_run
/// use session3_compose::{Composition, Grant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let application = std::fs::read("application.wasm")?;
/// let manager = std::fs::read("manager.wasm")?;
/// let component = Composition::new(&application, &manager)
///     .grant(Grant::Admin)
///     .compose()?;
/// # Ok(())
/// # }
/// ```
pub struct Composition<'a> {
    application: &'a [u8],
    manager: &'a [u8],
    store: Option<&'a [u8]>,
    middleware: Option<Middleware<'a>>,
    grants: Vec<Grant>,
    has_host_store: bool,
}

/// The middleware and the component that it shares with its application.
struct Middleware<'a> {
    middleware: &'a [u8],
    context: &'a [u8],
}

impl<'a> Composition<'a> {
    /// Starts a composition without any grant, for a host that has a store.
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

    /// Connects the manager's import of `store` with this component, and `events` too if it
    /// exports that.
    pub fn store_component(mut self, store: &'a [u8]) -> Self {
        self.store = Some(store);
        self
    }

    /// Puts `middleware` before an application of WASI 0.3. It opens and commits the session
    /// of each request. The application finds that session in
    /// `session3:sessions/current`, which `context` exports.
    pub fn middleware(mut self, middleware: &'a [u8], context: &'a [u8]) -> Self {
        self.middleware = Some(Middleware {
            middleware,
            context,
        });
        self
    }

    /// Grants an interface to the application and to the store component.
    pub fn grant(mut self, grant: Grant) -> Self {
        self.grants.push(grant);
        self
    }

    /// Sets whether the host has a store for components that still import one; it has by
    /// default.
    pub fn host_store(mut self, has_host_store: bool) -> Self {
        self.has_host_store = has_host_store;
        self
    }

    /// Returns the composed component. An application that imports nothing from the manager
    /// is returned unchanged.
    ///
    /// # Errors
    ///
    /// See [`ComposeError`]: an input is not a component, they do not fit together, or an
    /// interface was not granted.
    pub fn compose(&self) -> Result<Vec<u8>, ComposeError> {
        let outline = outline_of("application", self.application)?;
        if let Some(part) = Part::of(&outline) {
            return Err(ComposeError::NotAnApplication(part));
        }
        self.check("application", &outline)?;
        let store = self.store.map(outline_of_store).transpose()?;
        if let Some(outline) = &store {
            self.check("store component", outline)?;
        }
        let imports = |name: &str| outline.imports.iter().any(|import| import == name);
        self.check_middleware(imports(CURRENT), &outline)?;
        let needs_manager = imports(MANAGER) || imports(ADMIN) || self.middleware.is_some();
        let component = match needs_manager {
            true => self.connect_all(&outline, store.as_ref())?,
            false => self.application.to_vec(),
        };
        self.check_store(&component)?;
        Ok(component)
    }

    /// Returns what is probably a mistake in the application, although it can be composed.
    ///
    /// # Errors
    ///
    /// If the application is not a component.
    pub fn warnings(&self) -> Result<Vec<Warning>, ComposeError> {
        outline_of("application", self.application).map(|outline| Warning::of(&outline))
    }

    /// Checks that imports are granted. The version does not count, since a host may accept
    /// another one.
    fn check(&self, which: &'static str, outline: &Outline) -> Result<(), ComposeError> {
        check_contract(which, outline)?;
        for import in &outline.imports {
            let interface = import.split('@').next().unwrap_or_default();
            let grant = match interface {
                "session3:sessions/store" | "session3:sessions/events" => Grant::Store,
                "session3:sessions/admin" => Grant::Admin,
                _ => continue,
            };
            if !self.grants.contains(&grant) {
                let interface = interface.to_owned();
                if is_composed(outline) {
                    return Err(ComposeError::Composed(interface, grant));
                }
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

    fn connect_all(
        &self,
        outline: &Outline,
        store: Option<&Outline>,
    ) -> Result<Vec<u8>, ComposeError> {
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
            Some(parts) => parts.connect(&mut graph, manager, (application, outline))?,
            None => application,
        };
        for name in &outline.exports {
            let exporter = match name.as_str() {
                HANDLER => handler,
                _ => application,
            };
            export(&mut graph, exporter, name)?;
        }
        // A manager of an earlier release does not have it.
        let has_reuse = outline_of("manager", self.manager)?
            .exports
            .iter()
            .any(|name| name == REUSE);
        if has_reuse && !outline.exports.iter().any(|name| name == REUSE) {
            export(&mut graph, manager, REUSE)?;
        }
        graph.encode(EncodeOptions::default()).map_err(does_not_fit)
    }
}

impl Middleware<'_> {
    /// Instantiates the middleware and connects it with the context, the application and the
    /// manager.
    fn connect(
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

/// Checks that a component was built for this version of the contract.
fn check_contract(which: &'static str, outline: &Outline) -> Result<(), ComposeError> {
    let names = outline.imports.iter().chain(&outline.exports);
    let ours = names.filter(|name| name.starts_with("session3:sessions/"));
    for interface in ours {
        let is_current = interface.split_once('@').is_some_and(|(_, version)| {
            version
                .strip_prefix(CONTRACT)
                .is_some_and(|rest| rest.starts_with('.'))
        });
        if !is_current {
            return Err(ComposeError::OtherContract {
                which,
                interface: interface.clone(),
                world: world_of(outline),
            });
        }
    }
    Ok(())
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

/// Exports an interface of an instance from the composed component.
fn export(graph: &mut CompositionGraph, from: NodeId, interface: &str) -> Result<(), ComposeError> {
    let export = graph
        .alias_instance_export(from, interface)
        .map_err(does_not_fit)?;
    graph.export(export, interface).map_err(does_not_fit)?;
    Ok(())
}

/// Connects those of `interfaces` that the second component imports with the exports of the
/// first one.
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

/// Why components were not composed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// The named component is not a component. The text has the reason, too, so the reason is
    /// no source that would be printed again.
    #[error("the {0} is not a component: {1}")]
    NotAComponent(&'static str, NotAComponent),
    /// The application is a part of session3.
    #[error("this is {0}: name the component of the application")]
    NotAnApplication(Part),
    /// The application was composed with a session manager already, and imports this interface
    /// without the grant.
    #[error(
        "it is composed with the session manager already, and imports {0}: name the component \
         that it was composed from, or allow the interface with {option}",
        option = .1.option()
    )]
    Composed(String, Grant),
    /// The components do not fit together.
    #[error("the components do not fit together: {0}")]
    DoesNotFit(String),
    /// A component imports an interface that it was not granted.
    #[error(
        "the {which} imports {interface}, which is {}: if it may have that, allow it with {}",
        .grant.power(),
        .grant.option()
    )]
    NotGranted {
        /// The component that imports it.
        which: &'static str,
        /// The interface, without its version.
        interface: String,
        /// The grant that would allow it.
        grant: Grant,
    },
    /// A component was built for another version of the contract.
    #[error(
        "the {which} has {interface}, and this program has version {CONTRACT}: build the {which} \
         again with the WIT files of `session3 wit --world {world} -o wit`"
    )]
    OtherContract {
        /// The component that has it.
        which: &'static str,
        /// The interface, with its version.
        interface: String,
        /// The world that fits it.
        world: &'static str,
    },
    /// The application imports `session3:sessions/current`, and there is no middleware.
    #[error(
        "the application imports {CURRENT}, which it has behind the session middleware: add \
         --middleware"
    )]
    NoMiddleware,
    /// There is a middleware, and the application is not for WASI 0.3.
    #[error(
        "the application does not export {HANDLER}, so the middleware has nothing to pass \
         requests on to: leave out --middleware, or build the application with the WIT files of \
         `session3 wit --world application-behind-middleware -o wit`"
    )]
    NotAHandler,
    /// The store component does not export a store.
    #[error(
        "the store component does not export {STORE}: name one that does, such as that of \
         `session3 component store-filesystem -o store.wasm`"
    )]
    NotAStore,
    /// The result imports a store, and the host has none.
    #[error("{STORE} is imported and nothing provides it: name a directory with --store")]
    NoStore,
}
