//! Generates C bindings from WIT.

use std::env;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use wit_bindgen_core::Files;
use wit_bindgen_core::wit_parser::Resolve;

fn main() -> Result<()> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &arguments[..] {
        [wit, directory] => generate(wit, directory),
        _ => bail!("usage: session3-c-bindgen WIT DIRECTORY"),
    }
}

/// Writes the bindings of a WIT world: a header, a C file, and an object file that describes
/// the world.
fn generate(wit: &str, directory: &str) -> Result<()> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit)?;
    let world = resolve.select_world(&[package], None)?;
    let mut files = Files::default();
    let mut generator = wit_bindgen_c::Opts::default().build();
    generator.generate(&mut resolve, world, &mut files)?;
    fs::create_dir_all(directory)?;
    for (name, contents) in files.iter() {
        let file = Path::new(directory).join(name);
        fs::write(&file, contents).with_context(|| file.display().to_string())?;
    }
    Ok(())
}
