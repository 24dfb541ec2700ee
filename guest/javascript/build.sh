#!/bin/sh
# Builds the component that the argument names.
set -eu

component=$(realpath -m "${1:-target/guests/javascript.wasm}")
cd "$(dirname "$0")/../.."
tools=target/guests/javascript
mkdir -p "$tools"

# Debian 12 has an older one.
is_node_new_enough() {
    node --eval 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null &&
        command -v npm >/dev/null
}
if ! is_node_new_enough; then
    PATH=$PWD/$tools/venv/bin:$PATH
    if ! is_node_new_enough; then
        python3 -m venv "$tools/venv"
        "$tools/venv/bin/pip" install --quiet --disable-pip-version-check \
            --requirement guest/javascript/requirements.txt
    fi
fi

# What the lock file says; `npm ci` refuses it for the other platforms' packages
# that it does not have.
if ! cmp -s guest/javascript/package-lock.json "$tools/installed.json"; then
    cp guest/javascript/package.json guest/javascript/package-lock.json "$tools"
    npm install --prefix "$tools" --no-audit --no-fund
    cp guest/javascript/package-lock.json "$tools/installed.json"
fi

# StarlingMonkey's fetch event is for this version of wasi:http, which has the
# same functions.
rm -rf "$tools/wit"
cp -rL guest/wit "$tools/wit"
find "$tools/wit" -name '*.wit' -exec sed -i 's/@0\.2\.6/@0.2.10/g' {} +

"$tools/node_modules/.bin/jco" componentize guest/javascript/app.js \
    --bundle --bundle-config guest/javascript/bundle.config.mjs \
    --wit "$tools/wit" --world-name demo --disable http random --out "$component"
