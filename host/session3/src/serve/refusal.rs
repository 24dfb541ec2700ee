//! Why a component is not served, as far as its imports and exports tell.

use session3_compose::Outline;
use wasmtime::{Error, Result, ensure, format_err};

/// The packages of WASI of which the server provides interfaces.
const WASI: [&str; 7] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:http",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

/// Returns why a component that exports no handler of requests, or none that the server knows,
/// is not served.
pub fn no_handler(outline: &Outline) -> Error {
    let exports = |start: &str| outline.exports.iter().find(|name| name.starts_with(start));
    let handler = exports("wasi:http/handler@").or_else(|| exports("wasi:http/incoming-handler@"));
    if let Some(handler) = handler {
        return format_err!(
            "the component exports {handler}, and this server has wasi:http of WASI 0.2 and 0.3.0: \
             build it with the WIT files of `session3 wit --world application-wasi03 -o wit`"
        );
    }
    if exports("wasi:cli/run@").is_some() {
        return format_err!(
            "the component is a command and not a web application: run it with `wasmtime run`, or \
             build it with the WIT files of `session3 wit --world application -o wit`"
        );
    }
    if exports("session3:sessions/context@").is_some() {
        return format_err!(
            "this is a part of the session middleware, which is added with --middleware: name the \
             component of the application"
        );
    }
    if outline.needs.core_instances == 0 {
        return format_err!(
            "the component has no code, as a WIT package: name the component of the application"
        );
    }
    format_err!(
        "the component exports neither wasi:http/incoming-handler@0.2 nor wasi:http/handler@0.3, \
         so it is not a web application: build it with the WIT files of `session3 wit --world \
         application -o wit`"
    )
}

/// Checks that the server provides what a component imports, as far as the names tell.
///
/// # Errors
///
/// If an import is of a package that the server does not have, or of another version.
pub fn check_imports(imports: &[String]) -> Result<()> {
    for import in imports {
        let (interface, version) = import.split_once('@').unwrap_or((import, ""));
        let package = interface.split('/').next().unwrap_or_default();
        if package == "session3:sessions" {
            continue;
        }
        ensure!(
            WASI.contains(&package),
            "the component imports {import}, which this server does not have: build it without \
             that, or join it with a component that exports it, as with `wac plug`"
        );
        ensure!(
            is_release(version, "0.2.") || is_release(version, "0.3."),
            "the component imports {import}, and this server has WASI 0.2 and 0.3.0: build it \
             with the WIT files of `session3 wit --world application-wasi03 -o wit`"
        );
    }
    Ok(())
}

/// Returns whether a version, such as `0.2.6`, is a release of a series, such as `0.2.`.
pub fn is_release(version: &str, series: &str) -> bool {
    let patch = version.strip_prefix(series);
    patch.is_some_and(|patch| patch.parse::<u32>().is_ok())
}
