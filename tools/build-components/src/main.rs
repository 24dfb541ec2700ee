//! Builds guests of session3 and encodes them as components:
//!
//! ```text
//! build-components TARGET-DIRECTORY OUTPUT-DIRECTORY PACKAGE=FILE...
//! ```
//!
//! The guests are for `wasm32-unknown-unknown`: such a component imports what its WIT says
//! and nothing else, no file system, no environment, no standard output. The standard
//! library for it comes from the active toolchain if that has the target installed,
//! otherwise from Debian's `rustc-web`, which has the sources of it.

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

/// SHA-256 as a loop, not unrolled: a request hashes a few bytes only, and the component is
/// a twentieth smaller. A stack of 256 KiB: no guest recurses deeply, and hosts search the
/// whole memory for what an instance changed.
const FLAGS: &str = "--cfg sha2_backend_soft=\"compact\" -Clink-arg=-zstack-size=262144";

fn main() -> ExitCode {
    match build_all(env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build_all(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let usage = "usage: build-components TARGET-DIRECTORY OUTPUT-DIRECTORY PACKAGE=FILE...";
    let target = PathBuf::from(arguments.next().context(usage)?);
    let out = PathBuf::from(arguments.next().context(usage)?);
    let toolchain = Toolchain::find()?;
    for guest in arguments {
        let (package, file) = guest.split_once('=').context(usage)?;
        let module = toolchain.build(package, &target.join("guests"))?;
        let component = encode(&module).with_context(|| format!("encoding {package}"))?;
        write_if_changed(&out.join(file), &component)?;
    }
    Ok(())
}

/// Leaves a file that is the same as it is, so that nothing is built again because of it.
fn write_if_changed(file: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(file).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    fs::write(file, bytes).with_context(|| file.display().to_string())
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    let component = encoder
        .module(&memory::with_room(module)?)?
        .validate(true)
        .encode()?;
    without_names(&component)
}

/// Removes the names of a component, which only debuggers use: they are a twentieth of it.
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
                let data = component.get(start..end).context("a section's range")?;
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

/// The compiler for the target.
enum Toolchain {
    /// The active toolchain.
    Active,
    /// Debian's compiler, which also compiles the standard library.
    Debian { linker: PathBuf },
}

impl Toolchain {
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
            && let Some(linker) = linker()?
        {
            return Ok(Self::Debian { linker });
        }
        bail!(
            "no compiler for {TARGET} is installed. Run `rustup target add {TARGET}`, or on \
             Debian `apt-get install rustc-web cargo-web rust-web-src lld`"
        )
    }

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

    /// Returns the core module of a guest.
    fn build(&self, package: &str, directory: &Path) -> Result<Vec<u8>> {
        let status = self
            .command()
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", FLAGS)
            .args(["--quiet", "--locked", "--lib", "--crate-type=cdylib"])
            .args(["--profile=component", "--target", TARGET])
            .args(["--package", package, "--target-dir"])
            .arg(directory)
            .status()
            .context("starting cargo")?;
        ensure!(status.success(), "{package} does not build: see above");
        let name = package.replace('-', "_");
        let module = directory.join(format!("{TARGET}/component/{name}.wasm"));
        fs::read(&module).with_context(|| module.display().to_string())
    }
}

/// Returns the linker of the active toolchain, since Debian's compiler has none, or
/// Debian's LLVM linker.
fn linker() -> Result<Option<PathBuf>> {
    let version = print(&["--version", "--verbose"])?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not name its host")?;
    let sysroot = PathBuf::from(print(&["--print", "sysroot"])?);
    let candidates = [
        sysroot.join(format!("lib/rustlib/{host}/bin/rust-lld")),
        "/usr/bin/wasm-ld".into(),
    ];
    Ok(candidates.into_iter().find(|linker| linker.exists()))
}

fn has_target() -> Result<bool> {
    let directory = print(&["--print", "target-libdir", "--target", TARGET])?;
    Ok(Path::new(&directory).is_dir())
}

/// Returns what `rustc` prints.
fn print(arguments: &[&str]) -> Result<String> {
    let output = Command::new("rustc")
        .args(arguments)
        .output()
        .context("starting rustc")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
