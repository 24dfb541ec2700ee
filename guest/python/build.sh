#!/bin/sh
# Builds the demo in Python as the component file that the argument names:
#   build.sh [FILE]
set -eu

component=$(realpath -m "${1:-target/guests/python.wasm}")
cd "$(dirname "$0")/../.."
tools=target/guests/python

if ! cmp -s guest/python/requirements.txt "$tools/requirements.txt"; then
    python3 -m venv "$tools/venv"
    "$tools/venv/bin/pip" install --quiet --disable-pip-version-check \
        --requirement guest/python/requirements.txt
    cp guest/python/requirements.txt "$tools"
fi

# The program reads its templates while it is built, from the directory of its source.
rm -rf "$tools/source"
mkdir "$tools/source"
cp guest/python/*.py guest/web/src/*.html "$tools/source"

"$tools/venv/bin/componentize-py" --quiet --wit-path guest/wit --world demo \
    componentize --python-path "$tools/source" --output "$component" app
