#!/bin/sh
# Writes the package, as npm publishes it, to a directory: its own files, and the WIT that jco
# builds applications with:
#   assemble.sh DIRECTORY
# The program that SESSION3 names writes that WIT.
set -eu

package=$(realpath -m "$1")
program=$(realpath "${SESSION3:-target/debug/session3}")
cd "$(dirname "$0")"
rm -rf "$package"
mkdir -p "$package"
cp -r package.json README.md LICENSE index.d.ts hono.d.ts bin src "$package"
"$program" wit --world application-javascript --output "$package/wit"
