#!/bin/sh
# Makes the package for authors of applications in C, and leaves its files unpacked in
# target/guests/c/package:
#   package.sh FILE
set -eu

file=$(realpath -m "$1")
cd "$(dirname "$0")/../.."
tools=target/guests/c
package=$tools/package

rm -rf "$package"
cargo run --quiet --locked --manifest-path guest/c/bindgen/Cargo.toml --target-dir "$tools" -- \
    guest/c/wit "$package"
cp guest/c/session3.h guest/c/session3.c guest/c/Makefile guest/c/README.md \
    guest/c/development.toml guest/c/example/app.c LICENSE "$package"
mkdir -p "$(dirname "$file")"
name=$(basename "$file" .tar.gz)
tar --create --gzip --sort=name --owner=0 --group=0 --numeric-owner --transform "s|^\.|$name|" \
    --directory "$package" --file "$file" .
