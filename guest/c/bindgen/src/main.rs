//! Generates C bindings from WIT, and encodes a linked module as a component. Together with
//! a C compiler and its linker, this program builds components.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;
use wit_component::ComponentEncoder;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["bindings", wit, directory] => bindings(wit, directory),
        ["component", module, component] => encode(module, component),
        _ => bail!("usage: bindings WIT DIRECTORY | component MODULE COMPONENT"),
    }
}

/// Writes the bindings of a WIT world: a header, a C file, and an object file that describes
/// the world.
fn bindings(wit: &str, directory: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(directory)?;
    for (name, contents) in files.iter() {
        fs::write(Path::new(directory).join(name), contents)?;
    }
    Ok(())
}

/// Encodes a core module as a component.
fn encode(module: &str, component: &str) -> Result<()> {
    let bytes = fs::read(module).with_context(|| module.to_owned())?;
    let mut encoder = ComponentEncoder::default();
    encoder.module(&bytes)?.validate(true);
    fs::write(component, encoder.encode()?)?;
    Ok(())
}
