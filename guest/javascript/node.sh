# Puts Node 20 or newer into PATH; for scripts that source this in the repository's root. Debian
# 12 has an older one, so another one is installed below target/ if necessary.

is_node_new_enough() {
    node --eval 'process.exit(parseInt(process.versions.node) >= 20 ? 0 : 1)' 2>/dev/null &&
        command -v npm >/dev/null
}
if ! is_node_new_enough; then
    venv=$PWD/target/guests/javascript/venv
    PATH=$venv/bin:$PATH
    if ! is_node_new_enough; then
        python3 -m venv "$venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check \
            --requirement guest/javascript/requirements.txt
    fi
fi
