#!/bin/sh
# Builds the demo in C as the component file that the argument names:
#   build.sh [FILE]
# It builds as an author's application does: with the package that package.sh has made, and
# with the program that SESSION3 names.
set -eu

component=$(realpath -m "${1:-target/guests/c.wasm}")
cd "$(dirname "$0")/../../.."

make --silent --makefile target/guests/c/package/Makefile APP="$component" \
    SOURCES=guest/c/demo/app.c SESSION3="${SESSION3:-target/debug/session3}" \
    CFLAGS="-Oz -Wall -Wextra -Werror --embed-dir=guest/web/src"
