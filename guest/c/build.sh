#!/bin/sh
# Builds the demo in C as the component file that the argument names:
#   build.sh [FILE]
set -eu

component=$(realpath -m "${1:-target/guests/c.wasm}")
cd "$(dirname "$0")/../.."
tools=target/guests/c

cargo build --quiet --locked --manifest-path guest/c/bindgen/Cargo.toml --target-dir "$tools"
bindgen=$tools/debug/session3-c-bindgen
"$bindgen" bindings guest/wit "$tools/bindings"

compile="clang-19 --target=wasm32-wasi -std=c23 -Oz -flto -I $tools/bindings"
# The generated code is compiled without -Wall and -Wextra: it has casts that would warn.
$compile -c "$tools/bindings/demo.c" -o "$tools/demo.o"
$compile -mexec-model=reactor -Wall -Wextra -Werror -I guest/c --embed-dir=guest/web/src -Wl,--strip-all \
    guest/c/*.c "$tools/demo.o" "$tools/bindings/demo_component_type.o" -o "$tools/demo.wasm"
"$bindgen" component "$tools/demo.wasm" "$component"
