//! `session3 encode`: encodes a module, as compilers for C make it, as a component.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER,
};
use wit_component::ComponentEncoder;

use super::{component, input};

/// Encode a WebAssembly module, as compilers for C make it, as a component
///
/// The module must contain the description of its imports and exports that
/// wit-bindgen writes; for C, that is an object file to link. A module for WASI
/// preview 1 may use clocks, random numbers and the standard streams. It has no
/// files: opening one fails.
#[derive(Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  session3 encode application.module.wasm -o application.wasm
  session3 serve application.wasm --store /tmp/sessions"
)]
pub struct Encode {
    /// The file with the module
    module: PathBuf,
    /// Write the component into this file instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Encode {
    /// Encodes the component and writes it.
    pub fn run(self) -> Result<ExitCode> {
        let encoded = encode(&self.module);
        let encoded = encoded.with_context(|| self.module.display().to_string())?;
        component::write(&encoded, self.output.as_deref())
    }
}

/// What a module, and no component, begins with: the magic number and the version.
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// The custom sections in which wit-bindgen describes imports and exports have names that
/// begin with this.
const DESCRIPTION: &[u8] = b"component-type";

fn encode(file: &Path) -> Result<Vec<u8>> {
    let module = input::read(file)?;
    ensure!(
        module.starts_with(MODULE),
        "it is no WebAssembly module: name what the linker made"
    );
    ensure!(
        contains(&module, DESCRIPTION),
        "it does not say what it imports and exports: link the object file that wit-bindgen \
         made, whose name ends in _component_type.o"
    );
    to_component(&module).context("it cannot be encoded as a component")
}

/// Encodes a module, with the adapter for WASI preview 1 if it has imports of that.
fn to_component(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(module)?;
    let name = WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
    if contains(module, name.as_bytes()) {
        encoder.adapter(name, WASI_SNAPSHOT_PREVIEW1_PROXY_ADAPTER)?;
    }
    encoder.encode()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
