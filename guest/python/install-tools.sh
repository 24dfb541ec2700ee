#!/bin/sh
# Installs what builds the demo, the applications of the tests and the package, in
# target/guests/python/venv.
set -eu

cd "$(dirname "$0")/../.."
tools=target/guests/python

if ! cmp -s guest/python/requirements.txt "$tools/requirements.txt"; then
    rm -rf "$tools/venv" "$tools/wheels"
    python3 -m venv "$tools/venv"
    pip="$tools/venv/bin/pip --quiet --disable-pip-version-check"
    # The test of the README installs these, too, and downloads nothing.
    $pip download --dest "$tools/wheels" --requirement guest/python/requirements.txt
    $pip install --no-index --find-links "$tools/wheels" --requirement guest/python/requirements.txt
    cp guest/python/requirements.txt "$tools"
fi
