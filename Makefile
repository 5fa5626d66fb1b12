# The whole project from the shell. Needs Rust and a C compiler, nothing else.
.PHONY: help demo test test-nginx test-create test-prism check static bench bench-count bench-peer fuzz model district

target := $(shell rustc -vV | sed -n 's/^host: //p')

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-10s %s\n", $$1, $$2 }'

demo: ## Build the release binary and send a sample district to an API in memory
	cargo build --release
	./target/release/lightbeam demo

test: ## Run every test
	cargo test

# Debian has nginx where the PATH of a user may not lead.
test-nginx: export PATH := $(PATH):/usr/sbin
test-nginx: ## Run the tests through a real gateway; installs nginx from Debian if it is missing
	command -v nginx >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nginx-light; }
	cargo test --test it -- --ignored nginx

earthmover := target/earthmover/bin/earthmover
test-create: export EARTHMOVER := $(CURDIR)/$(earthmover)
test-create: ## Make payloads with earthmover and the templates of create; installs earthmover from PyPI into target
	test -x $(earthmover) || { python3 -m venv target/earthmover && target/earthmover/bin/pip install -q earthmover==0.4.10; }
	cargo test --test it -- --ignored earthmover

prism := target/prism/node_modules/.bin/prism
test-prism: export PRISM := $(CURDIR)/$(prism)
test-prism: ## Let Prism's mock server judge what validate judges; installs Prism with npm into target
	@if test -x $(prism) || { mkdir -p target/prism && echo "Prism is installed with npm into target/prism" && \
		npm install --silent --no-audit --no-fund --prefix target/prism @stoplight/prism-cli@5.14.2; }; then \
		cargo test --test it -- --ignored --nocapture prism; \
	else \
		echo "Prism could not be installed with npm: its tests were not run"; \
	fi

check: ## Formatting, lints, documentation and every test
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	$(MAKE) test

bench: ## Measure speed and memory (about five minutes)
	cargo bench --bench bench

bench-count: ## Count instructions and hold them against the committed counts (write=1 commits new ones)
	command -v valgrind >/dev/null || { apt-get update && apt-get install -y --no-install-recommends valgrind; } || \
		echo "valgrind cannot be installed"
	$(if $(write),COUNTS_WRITE=1) cargo bench --bench bench -- count

bench-peer: ## Compare with the Python lightbeam; installs it from PyPI into target
	test -x target/peer/bin/lightbeam || { python3 -m venv target/peer && target/peer/bin/pip install -q lightbeam==0.1.12; } || \
		echo "PyPI cannot be reached: nothing to compare with"
	cargo bench --bench bench -- peer

# No sanitizer: there is no unsafe code to watch, and so the stable compiler will do.
seconds ?= 10
fuzz: ## Fuzz whatever is read from disk and from the API (seconds=10 each)
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	for target in $$(cargo fuzz list --fuzz-dir tests/fuzz); do \
		mkdir -p tests/fuzz/corpus/$$target; \
		seeds=$$(ls -d tests/fuzz/seeds/$$target fixtures/$${target}s 2>/dev/null); \
		cargo fuzz run --fuzz-dir tests/fuzz -s none $$target tests/fuzz/corpus/$$target $$seeds -- \
			-max_total_time=$(seconds) -timeout=10 -print_final_stats=1 || exit 1; \
	done

# --target must be given, or proc-macros would be linked statically and fail to load.
static: ## Build a fully static binary and check that it is one
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target $(target)
	ldd target/$(target)/release/lightbeam 2>&1 | grep -E 'statically linked|not a dynamic executable'
	./target/$(target)/release/lightbeam --version
	@ls -l target/$(target)/release/lightbeam | awk '{ print $$5, "bytes" }'

documents ?= ../shared/edfi-metadata/ds-5.0
model: ## Make the sandbox's built-in model anew (documents=DIR with the Alliance's OpenAPI)
	cargo run --example compact-model -- $(documents) > target/ds-5.0.model
	mv target/ds-5.0.model src/sandbox/ds-5.0.model

district: ## Pack the sample district for the demo anew
	cargo run --example pack-district > target/district.packed
	mv target/district.packed src/commands/district.packed
