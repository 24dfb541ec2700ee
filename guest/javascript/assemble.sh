#!/bin/sh
# Writes the package, as npm publishes it, to a directory: its own files, and the WIT that jco
# builds applications with:
#   assemble.sh DIRECTORY
set -eu

package=$(realpath -m "$1")
cd "$(dirname "$0")"
rm -rf "$package"
mkdir -p "$package"
cp -r package.json README.md LICENSE index.d.ts hono.d.ts bin src "$package"

mkdir -p "$package/wit/deps/session3-sessions"
cp ../../wit/worlds/application-javascript.wit "$package/wit"
cp ../../wit/deps/*.wit "$package/wit/deps"
cp ../../wit/*.wit "$package/wit/deps/session3-sessions"
# StarlingMonkey uses wasi:http 0.2.10, which has the same functions as the version in our WIT.
find "$package/wit" -name '*.wit' -exec sed -i 's/@0\.2\.6/@0.2.10/g' {} +
