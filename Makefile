# What a fresh Debian machine with rustup's toolchain needs: `make demo` and
# `make test` install what is missing, build, and run.

# Where the demo keeps its sessions, and on which port it listens.
DIRECTORY ?= sessions
PORT ?= 8080

# The demo too is built with everything that the tests need: with another set of
# features, wasmtime would be built a second time.
CARGO = cargo
WORKSPACE = --release --locked --workspace
BUILD = $(WORKSPACE) --all-targets

.PHONY: demo test lint unit bench components browser

# Runs the interactive demo; the last line it prints is the address to open.
demo: components
	$(CARGO) build $(BUILD)
	exec target/release/session3 demo "$(DIRECTORY)" --port "$(PORT)"

# Everything that has to hold.
test: lint unit

lint: components
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(BUILD) -- --deny warnings

unit: components browser
	$(CARGO) test $(WORKSPACE) --lib --bins --tests
	$(CARGO) test $(WORKSPACE) --doc

# Ratios to the bare system calls, in one run.
bench: components
	$(CARGO) bench --locked --workspace --bench store

# What compiles the components: the toolchain's own target, or Debian's
# compiler, which has the sources of the standard library.
components:
	@tools/install-components

# What the browser test drives.
browser:
	@tools/install-packages chromium chromium-driver
