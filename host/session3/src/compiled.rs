//! Compiled components: files of native code, which start in milliseconds because nothing
//! has to be compiled.
//!
//! Such a file is code that runs with all rights of the process. Wasmtime's sandbox confines
//! only code that wasmtime has compiled itself, and nothing can tell whether it has. So a
//! server loads a compiled component only with
//! [`ServeOptions::allow_compiled`](crate::ServeOptions::allow_compiled), and its source has to
//! be as trusted as that of the server.

use std::fs::Metadata;

use serde::{Deserialize, Serialize};
use session3_compose::{Needs, Outline, inspect as inspect_component};
use wasmtime::component::Component;
use wasmtime::{Config, Engine, Result, bail, ensure, format_err};

use crate::{cache, engine};

/// The first bytes of a file. Neither WebAssembly nor a text begins with them.
const MAGIC: &[u8] = b"\0session3-compiled\n";

/// The largest length of the header, in bytes.
const MAX_HEADER: usize = 1 << 20;

/// What is said of a file that this program cannot load.
const COMPILE_AGAIN: &str = "compile it again with `session3 compile` of this version";

/// What a server has to know of a compiled component before it loads the code. In a file, the
/// header is a line of JSON after [`MAGIC`], and wasmtime's bytes follow.
#[derive(Serialize, Deserialize)]
struct Header {
    /// The version of session3 that compiled the component.
    session3: String,
    /// The machine and the system that it was compiled for.
    target: String,
    imports: Vec<String>,
    exports: Vec<String>,
    is_async: bool,
    #[serde(with = "NeedsFields")]
    needs: Needs,
}

/// The fields of [`Needs`], whose crate knows no serialization.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Needs")]
struct NeedsFields {
    core_instances: u32,
    memories: u32,
    tables: u32,
    memory: u64,
    module_memories: u32,
    module_tables: u32,
    table_elements: u64,
}

/// Compiles a component, for every processor of this machine's architecture. A
/// [`Server`](crate::Server) of the same version can load the result.
///
/// # Errors
///
/// If the bytes are not a component, or it cannot be compiled.
pub fn compile(component: &[u8]) -> Result<Vec<u8>> {
    let outline = inspect_component(component)?;
    let target = target();
    let header = Header {
        session3: env!("CARGO_PKG_VERSION").into(),
        is_async: session3_compose::is_async(component),
        imports: outline.imports,
        exports: outline.exports,
        needs: outline.needs,
        target,
    };
    let mut config = Config::new();
    engine::configure_code(&mut config, header.is_async);
    // With a target, wasmtime does not use what only this machine's processor has.
    config.target(&header.target)?;
    let code = Engine::new(&config)?.precompile_component(component)?;
    Ok([MAGIC, &serde_json::to_vec(&header)?, b"\n", &code].concat())
}

/// Returns whether the bytes are a compiled component, of any version.
pub fn is_compiled(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// Returns whether a compiled component imports the store of its host.
///
/// # Errors
///
/// If it was compiled by another version, or for another machine.
pub fn needs_store(compiled: &[u8]) -> Result<bool> {
    let (header, _) = read(compiled)?;
    let is_store = |name: &String| name.starts_with("session3:sessions/store@");
    Ok(header.imports.iter().any(is_store))
}

/// Checks that only the current user and root can have written a file: it belongs to one of
/// them, and others cannot write to it.
///
/// # Errors
///
/// A text that says who else can.
pub fn check_owner(file: &Metadata) -> Result<(), String> {
    cache::check_owner(file)
}

/// Returns the outline of a component, compiled or not.
pub(crate) fn inspect(component: &[u8]) -> Result<Outline> {
    if !is_compiled(component) {
        return Ok(inspect_component(component)?);
    }
    let (header, _) = read(component)?;
    Ok(Outline {
        imports: header.imports,
        exports: header.exports,
        needs: header.needs,
        // Nothing that concerns code which is compiled already depends on them.
        producers: Vec::new(),
    })
}

/// Returns whether a component, compiled or not, uses asynchronous functions.
pub(crate) fn is_async(component: &[u8]) -> bool {
    match read(component) {
        Ok((header, _)) => header.is_async,
        Err(_) => session3_compose::is_async(component),
    }
}

/// Compiles a component, or loads it if it is compiled and that is allowed.
pub(crate) fn load(engine: &Engine, component: &[u8], is_allowed: bool) -> Result<Component> {
    if !is_compiled(component) {
        return Component::new(engine, component);
    }
    ensure!(
        is_allowed,
        "it is compiled, so no sandbox would confine it: if you trust its source as much as the \
         program, allow it with --allow-compiled"
    );
    let (_, code) = read(component)?;
    deserialize(engine, code).map_err(|error| {
        format_err!(
            "it cannot be loaded: {COMPILE_AGAIN}: {}",
            error.root_cause()
        )
    })
}

#[expect(
    unsafe_code,
    reason = "compiled code is trusted: the operator has allowed it, and nothing else could \
              confine it"
)]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component> {
    // SAFETY: The bytes have to be what `Engine::precompile_component` returned. The operator
    // vouches for that with `--allow-compiled`, an embedder with
    // `ServeOptions::allow_compiled`. Wasmtime checks its own version and its settings.
    unsafe { Component::deserialize(engine, code) }
}

/// Returns the header and wasmtime's bytes of a compiled component.
fn read(compiled: &[u8]) -> Result<(Header, &[u8])> {
    let damaged = || format_err!("it is a compiled component that is damaged: {COMPILE_AGAIN}");
    let rest = compiled.strip_prefix(MAGIC).ok_or_else(damaged)?;
    let length = rest.iter().take(MAX_HEADER).position(|&byte| byte == b'\n');
    let (header, code) = rest.split_at(length.ok_or_else(damaged)?);
    // Another version may have other fields.
    let version: WrittenBy = serde_json::from_slice(header).map_err(|_| damaged())?;
    let ours = env!("CARGO_PKG_VERSION");
    if version.session3 != ours {
        let theirs = version.session3.escape_debug();
        bail!("it was compiled by session3 {theirs}, and this is {ours}: {COMPILE_AGAIN}");
    }
    let header: Header = serde_json::from_slice(header).map_err(|_| damaged())?;
    if header.target != target() {
        let (theirs, ours) = (header.target.escape_debug(), target());
        bail!("it was compiled for {theirs}, and this is {ours}: {COMPILE_AGAIN}");
    }
    // The code begins after the line feed.
    Ok((header, &code[1..]))
}

/// The only field of the header that every version has.
#[derive(Deserialize)]
struct WrittenBy {
    session3: String,
}

/// Returns the machine and the system of this program.
fn target() -> String {
    target_lexicon::HOST.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Pool;
    use crate::components::MANAGER;

    fn refusal(compiled: &[u8]) -> String {
        let engine = engine::engine(&pool().compact(), None).expect("an engine");
        let loaded = load(&engine, compiled, true);
        loaded.expect_err("a refusal").to_string()
    }

    fn pool() -> Pool {
        Pool::of(MANAGER).expect("a component").max_instances(1)
    }

    /// Replaces a text in the header.
    fn replaced(compiled: &[u8], old: &str, new: &str) -> Vec<u8> {
        let end = compiled.len() - read(compiled).expect("a header").1.len();
        let header = std::str::from_utf8(&compiled[..end]).expect("a text");
        assert!(header.contains(old), "{header}");
        [header.replace(old, new).as_bytes(), &compiled[end..]].concat()
    }

    #[test]
    fn a_compiled_component_has_the_outline_of_its_component() {
        let compiled = compile(MANAGER).expect("a component");
        let (before, after) = (inspect(MANAGER), inspect(&compiled));
        let (before, after) = (before.expect("an outline"), after.expect("an outline"));
        assert_eq!(before.imports, after.imports);
        assert_eq!(before.exports, after.exports);
        assert_eq!(before.needs, after.needs);
        assert_eq!(is_async(MANAGER), is_async(&compiled));
        assert!(needs_store(&compiled).expect("a header"));
        let engine = engine::engine(&pool(), None).expect("an engine");
        assert!(load(&engine, &compiled, true).is_ok());
        let error = load(&engine, &compiled, false).expect_err("a refusal");
        assert!(error.to_string().contains("--allow-compiled"));
    }

    #[test]
    fn another_version_target_or_setting_is_refused_with_advice() {
        let compiled = compile(MANAGER).expect("a component");
        let version = env!("CARGO_PKG_VERSION");
        let ours = format!("\"session3\":\"{version}\"");
        let other = replaced(&compiled, &ours, "\"session3\":\"9.9\"");
        let said = refusal(&other);
        assert!(said.contains("compiled by session3 9.9"), "{said}");
        let said = refusal(&replaced(&compiled, &target(), "sparc64-unknown-netbsd"));
        assert!(
            said.contains("compiled for sparc64-unknown-netbsd"),
            "{said}"
        );
        // The compact pool has other settings.
        let said = refusal(&compiled);
        assert!(said.contains("it cannot be loaded"), "{said}");
        for length in [MAGIC.len(), MAGIC.len() + 20, compiled.len() / 2] {
            let said = refusal(&compiled[..length]);
            assert!(said.contains("compile it again"), "{said}");
        }
    }
}
