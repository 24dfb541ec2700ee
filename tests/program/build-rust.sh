#!/bin/sh
# Builds an application in Rust, in the current directory, without the target wasm32-wasip2:
#   build-rust.sh FILE
# with the active toolchain if it has the target wasm32-unknown-unknown, and otherwise with
# Debian's compiler, as tools/build-components does.
set -eu

target=wasm32-unknown-unknown
built=${CARGO_TARGET_DIR:-target}/$target/release/application.wasm
if [ -d "$(rustc --print target-libdir --target $target)" ]; then
    cargo build --quiet --release --target $target
else
    linker=$(ls "$(rustc --print sysroot)"/lib/rustlib/*/bin/rust-lld /usr/bin/wasm-ld 2>/dev/null |
        head -n 1)
    export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
    /usr/bin/cargo build --quiet --release --target $target -Zbuild-std=std,panic_abort
fi
session3 encode "$built" --output "$1"
