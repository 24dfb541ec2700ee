#!/bin/sh
# Builds the demo in Python as the component file that the argument names:
#   build.sh [FILE]
set -eu

component=$(realpath -m "${1:-target/guests/python.wasm}")
cd "$(dirname "$0")/../.."
tools=target/guests/python

guest/python/install-tools.sh

# The program reads its templates while it is built, from the directory of its source.
rm -rf "$tools/source"
mkdir "$tools/source"
cp guest/python/demo/app.py guest/web/src/*.html "$tools/source"

"$tools/venv/bin/componentize-py" --quiet componentize \
    --python-path "$tools/source" --python-path guest/python --output "$component" app
