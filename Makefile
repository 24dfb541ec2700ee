# What a fresh Debian machine with rustup's toolchain needs: `make demo` and
# `make test` install what is missing, build, and run.

# Where the demo keeps its sessions, and on which port it listens.
DIRECTORY ?= sessions
PORT ?= 8080

# The demo too is built with everything that the tests need: with another set of
# features, wasmtime would be built a second time.
CARGO = cargo
WORKSPACE = --release --locked --workspace --all-features
BUILD = $(WORKSPACE) --all-targets

.PHONY: demo program test lint unit test-hosts wasmtime torture fuzz bench components guests guest-tools examples browser peers

# Runs the interactive demo; the last line it prints is the address to open.
demo: components
	$(CARGO) build $(BUILD)
	exec target/release/session3 demo "$(DIRECTORY)" --port "$(PORT)"

# The program as a server runs it: a tenth faster, and some minutes slower to build.
program: components
	$(CARGO) build --profile dist --locked --package session3 --all-features --bin session3

# Everything that has to hold.
test: lint unit

lint: components
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(BUILD) -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc $(WORKSPACE) --no-deps

# Tests that print what they went through, which nobody sees of the others.
FIGURES = powercut:: faults:: fuzzing::

unit: components guests examples browser
	$(CARGO) test $(WORKSPACE) --lib --bins --tests -- $(addprefix --skip=,$(FIGURES))
	$(CARGO) test $(WORKSPACE) --test session3 -- --nocapture $(FIGURES)
	$(CARGO) test $(WORKSPACE) --doc

# Hosts that take long to install: the stock wasmtime.
test-hosts: components wasmtime
	$(CARGO) test $(WORKSPACE) --test session3 -- --include-ignored stock::

# What `unit` runs for about a minute, for longer: a thousand kills, power cuts,
# failing system calls. Mounts file systems, which needs root.
torture: components
	TORTURE=long $(CARGO) test $(WORKSPACE) --test torture
	TORTURE=long $(CARGO) test $(WORKSPACE) --test session3 -- --include-ignored --nocapture \
		--test-threads 1 $(FIGURES)

# What `unit` does with a committed corpus, for so many minutes each. New inputs
# go to fuzz/found, those that fail to fuzz/artifacts.
MINUTES ?= 10
FUZZING = -max_total_time=$$(($(MINUTES) * 60)) -timeout=10 -malloc_limit_mb=64 -max_len=16384

fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || $(CARGO) install cargo-fuzz --locked
	@mkdir -p fuzz/found/record fuzz/found/operations
	$(CARGO) fuzz run --sanitizer none record fuzz/found/record fuzz/corpus/record -- $(FUZZING)
	$(CARGO) fuzz run --sanitizer none operations fuzz/found/operations fuzz/corpus/operations \
		-- $(FUZZING)

# One table, in one run: the store, the bare system calls, other session stores,
# and requests over HTTP. Up to a million sessions: it takes half an hour, and
# wants 8 GB of memory for the page cache. BENCH=short takes a minute; PART=web or
# PART=requests measures only these.
bench: components peers
	$(CARGO) bench --profile dist --locked --workspace --all-features --bench store

# What compiles the components: the toolchain's own target, or Debian's
# compiler, which has the sources of the standard library.
components:
	@tools/install-components

# The demo application in other languages.
guests: $(addprefix target/guests/,c.wasm javascript.wasm python.wasm)

.SECONDEXPANSION:
target/guests/%.wasm: $$(wildcard guest/$$*/* guest/$$*/*/src/*) \
		$(wildcard guest/wit/*.wit wit/*.wit wit/deps/*.wit guest/demo/src/*.html) | guest-tools
	guest/$*/build.sh $@

# What compiles those; pinned by files beside their sources.
guest-tools:
	@tools/install-packages python3-venv clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32

# The examples of other hosts, and what they run with.
examples: components target/examples/quixote/requirements.txt
	$(CARGO) build $(WORKSPACE) --examples

target/examples/quixote/requirements.txt: examples/quixote/requirements.txt | guest-tools
	python3 -m venv $(@D)/venv
	$(@D)/venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	cp $< $@

# What the browser test drives.
browser:
	@tools/install-packages chromium chromium-driver

# Another host, of the version that is built into this one, with what serving
# takes: a quarter of an hour of one core.
WASMTIME = 48.0.8
wasmtime: target/tools/wasmtime-$(WASMTIME)
target/tools/wasmtime-$(WASMTIME):
	$(CARGO) install wasmtime-cli@$(WASMTIME) --locked --root target/tools \
		--no-default-features \
		--features run,serve,cranelift,component-model,component-model-async,pooling-allocator,cache
	touch $@

# What the benchmark compares with.
peers:
	@tools/install-peers
