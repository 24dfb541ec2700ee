#!/bin/sh
# Builds the demo in JavaScript as the component file that the argument names:
#   build.sh [FILE]
set -eu

component=$(realpath -m "${1:-target/guests/javascript.wasm}")
cd "$(dirname "$0")/../.."
tools=target/guests/javascript
mkdir -p "$tools"

# jco needs Node 20. Debian 12 has an older one, so another one is installed if necessary.
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

# Installs the versions in the lock file. `npm ci` refuses this lock file, because it does not
# contain the packages for other platforms.
if ! cmp -s guest/javascript/package-lock.json "$tools/installed.json"; then
    cp guest/javascript/package.json guest/javascript/package-lock.json "$tools"
    npm install --prefix "$tools" --no-audit --no-fund
    cp guest/javascript/package-lock.json "$tools/installed.json"
fi

# StarlingMonkey handles its fetch event with wasi:http 0.2.10, which has the same functions as
# the version in our WIT.
rm -rf "$tools/wit"
cp -rL guest/wit "$tools/wit"
find "$tools/wit" -name '*.wit' -exec sed -i 's/@0\.2\.6/@0.2.10/g' {} +

"$tools/node_modules/.bin/jco" componentize guest/javascript/app.js \
    --bundle --bundle-config guest/javascript/bundle.config.mjs \
    --wit "$tools/wit" --world-name demo --out "$component"
