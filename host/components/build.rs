//! Provides the components: from `prebuilt/` in a published crate, otherwise built from
//! `guest/` by the repository's `tools/build-components`, which explains what it needs.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The components, and the packages that they are built from.
const COMPONENTS: [(&str, &str); 5] = [
    ("manager.wasm", "session3-manager"),
    ("demo.wasm", "session3-demo"),
    ("store-filesystem.wasm", "session3-store-filesystem"),
    ("context.wasm", "session3-context"),
    ("middleware.wasm", "session3-middleware"),
];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let repository = Path::new("../..");
    if repository.join("guest/manager/Cargo.toml").exists() {
        build(repository, &out);
    } else {
        copy(&out);
    }
}

fn copy(out: &Path) {
    println!("cargo::rerun-if-changed=prebuilt");
    for (file, _) in COMPONENTS {
        let prebuilt = Path::new("prebuilt").join(file);
        if let Err(error) = fs::copy(&prebuilt, out.join(file)) {
            eprintln!("{}: {error}: download this crate again", prebuilt.display());
            std::process::exit(1);
        }
    }
}

fn build(repository: &Path, out: &Path) {
    for path in [
        "Cargo.lock",
        "guest",
        "host/policy",
        "host/record",
        "host/store",
        "tools/build-components",
        "wit",
    ] {
        println!(
            "cargo::rerun-if-changed={}",
            repository.join(path).display()
        );
    }
    let builder = repository.join("tools/build-components/run");
    let status = Command::new(&builder)
        .arg(out)
        .args(COMPONENTS.map(|(file, package)| format!("{package}={file}")))
        .status();
    if !status.is_ok_and(|status| status.success()) {
        eprintln!(
            "{}: the components were not built: see above",
            builder.display()
        );
        std::process::exit(1);
    }
}
