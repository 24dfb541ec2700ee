#!/bin/sh
# Builds an application with the package of this directory, as the component file that the first
# argument names. Without a second one, the application is the demo:
#   build.sh [FILE [APPLICATION]]
set -eu

component=$(realpath -m "${1:-target/guests/javascript.wasm}")
cd "$(dirname "$0")/../.."
application=${2:-guest/javascript/demo/app.js}
tools=target/guests/javascript
mkdir -p "$tools"
. guest/javascript/node.sh

# Installs the versions in the lock file. `npm ci` refuses this lock file, because it does not
# contain the packages for other platforms.
if ! cmp -s guest/javascript/package-lock.json "$tools/installed.json"; then
    # With the package's own name, `session3-guest` would be the directory itself.
    sed 's/"name": "session3-guest"/"name": "tools"/' guest/javascript/package.json \
        >"$tools/package.json"
    cp guest/javascript/package-lock.json "$tools"
    npm install --prefix "$tools" --no-audit --no-fund
    cp guest/javascript/package-lock.json "$tools/installed.json"
fi

# The package is where npm would install it.
guest/javascript/assemble.sh "$tools/node_modules/session3-guest"
exec node "$tools/node_modules/session3-guest/bin/session3-guest.js" \
    build "$application" --output "$component"
