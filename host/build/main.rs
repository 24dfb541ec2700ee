//! Builds the guests and encodes them as components, so that an ordinary
//! `cargo build` is enough.
//!
//! The guests are for `wasm32-unknown-unknown`: such a component imports what
//! its WIT says and nothing else, no file system, no environment, no standard
//! output. The standard library for it comes from the active toolchain where
//! that has the target installed, otherwise from Debian's `rustc-web`, which
//! has the sources of it.

mod memory;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use wasm_encoder::RawSection;
use wasmparser::{Parser, Payload};
use wit_component::ComponentEncoder;

const TARGET: &str = "wasm32-unknown-unknown";

/// SHA-256 in a loop, not unrolled: a few bytes are hashed in a request, and the
/// component is a twentieth smaller. A stack of 256 KiB: nothing recurses here, and
/// hosts look through the whole memory for what an instance changed.
const FLAGS: &str = "--cfg sha2_backend_soft=\"compact\" -Clink-arg=-zstack-size=262144";

/// Package and file name; `tests/` loads those of tests.
const GUESTS: [(&str, &str); 12] = [
    ("session3-manager", "manager.wasm"),
    ("session3-demo", "demo.wasm"),
    ("session3-store-filesystem", "store-filesystem.wasm"),
    ("session3-context", "context.wasm"),
    ("session3-middleware", "middleware.wasm"),
    ("session3-test-guest", "test-guest.wasm"),
    ("session3-test-relay", "test-relay.wasm"),
    ("session3-test-nosy", "test-nosy.wasm"),
    ("session3-test-plain", "test-plain.wasm"),
    ("session3-test-administration", "test-administration.wasm"),
    ("session3-test-current", "test-current.wasm"),
    ("session3-test-handler", "test-handler.wasm"),
];

fn main() {
    if let Err(error) = build_guests() {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

fn build_guests() -> Result<()> {
    for path in [
        "Cargo.toml",
        "Cargo.lock",
        "wit",
        "guest",
        // What the store that is a component shares.
        "host/src/linker",
        "host/src/metrics",
        "host/src/store",
        "tests/guest",
        "tests/relay",
        "tests/nosy",
        "tests/plain",
        "tests/administration",
        "tests/current",
        "tests/handler",
    ] {
        println!("cargo::rerun-if-changed=../{path}");
    }
    let out = PathBuf::from(variable("OUT_DIR")?);
    let toolchain = Toolchain::find()?;
    for (package, file) in GUESTS {
        let module = toolchain.build(package, &out)?;
        let component = encode(&module).with_context(|| format!("encoding {package}"))?;
        fs::write(out.join(file), component)?;
    }
    Ok(())
}

fn encode(module: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    let component = encoder
        .module(&memory::with_room(module)?)?
        .validate(true)
        .encode()?;
    without_names(&component)
}

/// The names in a component are for debuggers, and a twentieth of it.
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

/// What compiles for the target.
enum Toolchain {
    /// The one that compiles the host.
    Active { cargo: String, rustc: String },
    /// Debian's, which compiles the standard library too.
    Debian { linker: PathBuf },
}

impl Toolchain {
    fn find() -> Result<Self> {
        let (cargo, rustc) = (variable("CARGO")?, variable("RUSTC")?);
        if has_target(&rustc)? {
            return Ok(Self::Active { cargo, rustc });
        }
        let debian = [
            "/usr/bin/cargo",
            "/usr/bin/rustc",
            "/usr/lib/rustlib/src/rust/library/Cargo.lock",
        ];
        if debian.iter().all(|file| Path::new(file).exists())
            && let Some(linker) = linker(&rustc)?
        {
            return Ok(Self::Debian { linker });
        }
        bail!(
            "nothing here compiles for {TARGET}. Run `rustup target add {TARGET}`, or on Debian \
             `apt-get install rustc-web cargo-web rust-web-src lld`"
        )
    }

    fn command(&self) -> Command {
        match self {
            Self::Active { cargo, rustc } => {
                let mut command = Command::new(cargo);
                clean(&mut command).env("RUSTC", rustc).arg("rustc");
                command
            }
            Self::Debian { linker } => {
                let mut command = Command::new("/usr/bin/cargo");
                clean(&mut command)
                    .env("RUSTC", "/usr/bin/rustc")
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker)
                    .args(["rustc", "-Zbuild-std=std,panic_abort"])
                    // And without what prints the backtrace of a panic.
                    .arg("-Zbuild-std-features=optimize_for_size");
                command
            }
        }
    }

    /// The core module of a guest.
    fn build(&self, package: &str, out: &Path) -> Result<Vec<u8>> {
        // A directory of its own: the outer cargo holds the lock of the other.
        let directory = out.join("guests");
        let status = self
            .command()
            .current_dir("..")
            .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", FLAGS)
            .args(["--locked", "--lib", "--crate-type=cdylib"])
            .args(["--profile=component", "--target", TARGET])
            .args(["--package", package, "--target-dir"])
            .arg(&directory)
            .status()
            .context("starting cargo")?;
        ensure!(status.success(), "{package} does not build: see above");
        let name = package.replace('-', "_");
        let module = directory.join(format!("{TARGET}/component/{name}.wasm"));
        fs::read(&module).with_context(|| module.display().to_string())
    }
}

/// What cargo told this program would make the inner cargo build for the
/// outer's target, with the outer's flags.
fn clean(command: &mut Command) -> &mut Command {
    let inherited = |name: &str| {
        name != "CARGO_HOME"
            && (name.starts_with("CARGO") || name.starts_with("RUST"))
            && name != "RUSTUP_HOME"
    };
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(inherited) {
            command.env_remove(name);
        }
    }
    command.env_remove("TARGET").env_remove("HOST")
}

/// The active toolchain's, since Debian's does not bring one along.
fn linker(rustc: &str) -> Result<Option<PathBuf>> {
    let host = variable("HOST")?;
    let sysroot = Path::new(&print(rustc, &["sysroot"])?).to_owned();
    let candidates = [
        sysroot.join(format!("lib/rustlib/{host}/bin/rust-lld")),
        "/usr/bin/wasm-ld".into(),
    ];
    Ok(candidates.into_iter().find(|linker| linker.exists()))
}

fn has_target(rustc: &str) -> Result<bool> {
    let directory = print(rustc, &["target-libdir", "--target", TARGET])?;
    Ok(Path::new(&directory).is_dir())
}

/// What `rustc --print` says.
fn print(rustc: &str, what: &[&str]) -> Result<String> {
    let output = Command::new(rustc)
        .arg("--print")
        .args(what)
        .output()
        .context("starting rustc")?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn variable(name: &str) -> Result<String> {
    env::var(name).with_context(|| format!("{name} is not set: run this through cargo"))
}
