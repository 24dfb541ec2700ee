//! Builds guests of session3 and encodes them as components:
//!
//! ```text
//! build-components TARGET-DIRECTORY OUTPUT-DIRECTORY PACKAGE=FILE...
//! ```
//!
//! The target of the guests is `wasm32-unknown-unknown`: such a component imports only what
//! its WIT declares, and has no file system, no environment and no standard output. If the
//! active toolchain has this target installed, it compiles the guests; otherwise Debian's
//! `rustc-web` compiles them, together with the standard library from `rust-web-src`.

mod memory;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail, ensure};
use wasm_encoder::RawSection;
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";

/// The flags of `rustc`. SHA-256 is compiled as a loop that is not unrolled: a request
/// hashes only a few bytes, and the component becomes a twentieth smaller. The stack has
/// 256 KiB: no guest recurses deeply, and hosts search the whole memory for pages that an
/// instance changed.
const RUSTFLAGS: &str = "--cfg sha2_backend_soft=\"compact\" -Clink-arg=-zstack-size=262144";

fn main() -> ExitCode {
    match build_all(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Builds and encodes the guests that the arguments of the program name.
fn build_all(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let usage = "usage: build-components TARGET-DIRECTORY OUTPUT-DIRECTORY PACKAGE=FILE...";
    let target = PathBuf::from(arguments.next().context(usage)?);
    let output = PathBuf::from(arguments.next().context(usage)?);
    let toolchain = Toolchain::find()?;
    for guest in arguments {
        let (package, file) = guest.split_once('=').context(usage)?;
        let module = toolchain.build(package, &target.join("guests"))?;
        let component = encode(&module)
            .with_context(|| format!("{package} cannot be encoded as a component"))?;
        write_if_changed(&output.join(file), &component)?;
    }
    Ok(())
}

/// Writes a file, unless it already has this content: cargo would build everything again
/// that depends on a file with a newer modification time.
fn write_if_changed(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|previous| previous == bytes) {
        return Ok(());
    }
    fs::write(file, bytes).with_context(|| format!("{}: cannot be written", file.display()))
}

/// Encodes a core module as a component.
fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    let component = encoder
        .module(&memory::with_room(module)?)?
        .validate(true)
        .encode()?;
    without_names(&component)
}

/// Removes the names from a component. They take a twentieth of its size, and only
/// debuggers use them.
fn without_names(component: &[u8]) -> Result<Vec<u8>> {
    let mut stripped = wasm_encoder::Component::new();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        let is_names =
            matches!(&payload, Payload::CustomSection(custom) if custom.name() == "component-name");
        match payload.as_section() {
            Some((id, range)) if depth == 0 && !is_names => {
                let (start, end) = (usize::try_from(range.start)?, usize::try_from(range.end)?);
                let data = component
                    .get(start..end)
                    .context("a section of the component ends behind the component")?;
                stripped.section(&RawSection { id, data });
            }
            _ => {}
        }
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            _ => {}
        }
    }
    Ok(stripped.finish())
}

/// A compiler for the target of the guests.
enum Toolchain {
    /// The active toolchain.
    Active,
    /// Debian's compiler, which also compiles the standard library.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// Returns the first compiler that is installed.
    ///
    /// # Errors
    ///
    /// If there is none; the message says how to install one.
    fn find() -> Result<Self> {
        if has_target()? {
            return Ok(Self::Active);
        }
        let debian = [
            "/usr/bin/cargo",
            "/usr/bin/rustc",
            "/usr/lib/rustlib/src/rust/library/Cargo.lock",
        ];
        if debian.iter().all(|file| Path::new(file).exists())
            && let Some(linker) = find_linker()?
        {
            return Ok(Self::Debian { linker });
        }
        bail!(
            "no compiler for {TARGET} is installed. Run `rustup target add {TARGET}`, or on \
             Debian `apt-get install rustc-web cargo-web rust-web-src lld`"
        )
    }

    /// Returns the command `cargo rustc` of this compiler.
    fn command(&self) -> Command {
        match self {
            Self::Active => {
                let mut command = Command::new("cargo");
                command.arg("rustc");
                command
            }
            Self::Debian { linker } => {
                let mut command = Command::new("/usr/bin/cargo");
                command
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .args(["rustc", "-Zbuild-std=std,panic_abort"])
                    // This leaves out the code that prints backtraces.
                    .arg("-Zbuild-std-features=optimize_for_size");
                command
            }
        }
    }

    /// Builds a guest, and returns its core module.
    fn build(&self, package: &str, directory: &Path) -> Result<Vec<u8>> {
        let status = self
            .command()
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", RUSTFLAGS)
            .args(["--quiet", "--locked", "--lib", "--crate-type=cdylib"])
            .args(["--profile=component", "--target", TARGET])
            .args(["--package", package, "--target-dir"])
            .arg(directory)
            .status()
            .context("cargo cannot be started")?;
        ensure!(
            status.success(),
            "{package} cannot be built: see the messages of cargo above"
        );
        let name = package.replace('-', "_");
        let module = directory.join(format!("{TARGET}/component/{name}.wasm"));
        fs::read(&module).with_context(|| format!("{}: cannot be read", module.display()))
    }
}

/// Returns a linker for Debian's compiler, which has none: that of the active toolchain, or
/// Debian's LLVM linker.
fn find_linker() -> Result<Option<PathBuf>> {
    let version = rustc_output(&["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("the output of `rustc --version --verbose` has no line `host:`")?;
    let sysroot = PathBuf::from(rustc_output(&["--print", "sysroot"])?);
    let candidates = [
        sysroot.join(format!("lib/rustlib/{host}/bin/rust-lld")),
        "/usr/bin/wasm-ld".into(),
    ];
    Ok(candidates.into_iter().find(|linker| linker.exists()))
}

/// Returns whether the active toolchain has the target installed.
fn has_target() -> Result<bool> {
    let directory = rustc_output(&["--print", "target-libdir", "--target", TARGET])?;
    Ok(Path::new(&directory).is_dir())
}

/// Returns what the `rustc` of the active toolchain prints.
fn rustc_output(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .args(arguments)
        .output()
        .context("rustc cannot be started")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
