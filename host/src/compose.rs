//! Joining an application with the session manager into one component.

use std::fmt;

use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, PackageId};

/// The manager's export that an application imports.
const MANAGER: &str = "session3:sessions/manager@0.1.0";

/// Joins `application` with `manager`: the application's import of
/// `session3:sessions/manager` is the manager's export, and nothing else is
/// connected, so the application gets no other part of the manager. What either
/// of them imports besides, the result imports; what the application exports,
/// the result exports. An application that does not import the manager is
/// returned as it is.
pub fn compose(application: &[u8], manager: &[u8]) -> Result<Vec<u8>, ComposeError> {
    let mut graph = CompositionGraph::new();
    let manager = register(&mut graph, "manager", manager)?;
    let package = register(&mut graph, "application", application)?;
    let world = graph[package].ty();
    if !graph.types()[world].imports.contains_key(MANAGER) {
        return Ok(application.to_vec());
    }
    let manager = graph.instantiate(manager);
    let application = graph.instantiate(package);
    let export = graph
        .alias_instance_export(manager, MANAGER)
        .map_err(does_not_fit)?;
    graph
        .set_instantiation_argument(application, MANAGER, export)
        .map_err(does_not_fit)?;
    let names: Vec<_> = graph.types()[world].exports.keys().cloned().collect();
    for name in names {
        let export = graph
            .alias_instance_export(application, &name)
            .map_err(does_not_fit)?;
        graph.export(export, &name).map_err(does_not_fit)?;
    }
    graph.encode(EncodeOptions::default()).map_err(does_not_fit)
}

fn register(
    graph: &mut CompositionGraph,
    name: &'static str,
    bytes: &[u8],
) -> Result<PackageId, ComposeError> {
    let package = Package::from_bytes(name, None, bytes, graph.types_mut())
        .map_err(|error| ComposeError::NotAComponent(name, format!("{error:#}")))?;
    graph.register_package(package).map_err(does_not_fit)
}

fn does_not_fit(error: impl fmt::Display) -> ComposeError {
    ComposeError::DoesNotFit(error.to_string())
}

/// Why two components could not be joined.
#[derive(Debug)]
#[non_exhaustive]
pub enum ComposeError {
    /// Which of them is none, and why.
    NotAComponent(&'static str, String),
    /// Both are components, but not for each other.
    DoesNotFit(String),
}

impl std::error::Error for ComposeError {}

impl fmt::Display for ComposeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAComponent(which, why) => write!(f, "the {which} is not a component: {why}"),
            Self::DoesNotFit(why) => {
                write!(
                    f,
                    "the application cannot be joined with the manager: {why}"
                )
            }
        }
    }
}
