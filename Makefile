# The whole project from the shell. Needs Rust and a C compiler, nothing else.
.PHONY: help demo attack test test-nginx test-create test-prism test-airflow test-peer earthmover airflow peer check static bench bench-count \
	bench-peer fuzz model district

target := $(shell rustc -vV | sed -n 's/^host: //p')
# Where cargo builds: CARGO_TARGET_DIR, cargo's configuration or ./target; only cargo knows which.
built = $(shell cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# Shell: puts a program from PyPI into an environment of its own, once. $(1): the environment's name, $(2): the packages,
# of which the first names the version.
from-pypi = test -e "$(built)/$(1)/$(firstword $(2))" || { python3 -m venv "$(built)/$(1)" && \
	"$(built)/$(1)/bin/pip" install -q $(2) && touch "$(built)/$(1)/$(firstword $(2))"; }

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-12s %s\n", $$1, $$2 }'

demo: ## Build the release binary and send a sample district to an API in memory
	cargo run --release -- demo

test: ## Run every test
	cargo test

# Debian has nginx where the PATH of a user may not lead.
test-nginx: export PATH := $(PATH):/usr/sbin
test-nginx: ## Run the tests through a real gateway; installs nginx from Debian if it is missing
	command -v nginx >/dev/null || { apt-get update && apt-get install -y --no-install-recommends nginx-light; }
	cargo test --test it -- --ignored nginx

earthmover:
	$(call from-pypi,earthmover,earthmover==0.4.10)

airflow:
	$(call from-pypi,airflow,apache-airflow==2.11.0)

peer:
	$(call from-pypi,peer,lightbeam==0.1.12)

test-create: earthmover ## Make payloads with earthmover and the templates of create; installs earthmover from PyPI
	EARTHMOVER="$(built)/earthmover/bin/earthmover" cargo test --test it -- --ignored earthmover

test-airflow: airflow ## Run validate and send in a DAG of Airflow's; installs Airflow from PyPI
	AIRFLOW="$(built)/airflow/bin/python3" cargo test --test it -- --ignored airflow

test-peer: peer ## Compare with the Python lightbeam, and run its own tests; installs it from PyPI
	PEER="$(built)/peer/bin/lightbeam" cargo test --test it -- --ignored peer

test-prism: ## Let Prism's mock server judge what validate judges; installs Prism with npm
	@folder="$(built)/prism"; program="$$folder/node_modules/.bin/prism"; \
	if test -x "$$program" || { echo "Prism is installed with npm into $$folder" && mkdir -p "$$folder" && \
		npm install --silent --no-audit --no-fund --prefix "$$folder" @stoplight/prism-cli@5.14.2; }; then \
		PRISM="$$program" cargo test --test it -- --ignored --nocapture prism; \
	else \
		echo "Prism could not be installed with npm: its tests were not run"; \
	fi

attack: ## Attack the release binary from the shell: links, devices, folders of others, secrets, signals, large input
	cargo build --release
	LB="$(built)/release/lightbeam" tests/attack/run

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

bench-peer: ## Compare with the speed of the Python lightbeam; installs it from PyPI
	$(call from-pypi,peer,lightbeam==0.1.12) || echo "PyPI cannot be reached: nothing to compare with"
	PEER="$(built)/peer/bin/lightbeam" cargo bench --bench bench -- peer

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
	ldd "$(built)/$(target)/release/lightbeam" 2>&1 | grep -E 'statically linked|not a dynamic executable'
	"$(built)/$(target)/release/lightbeam" --version
	@wc -c < "$(built)/$(target)/release/lightbeam" | sed 's/$$/ bytes/'

documents ?= ../shared/edfi-metadata/ds-5.0
model: ## Make the sandbox's built-in model anew (documents=DIR with the Alliance's OpenAPI)
	cargo run --example compact-model -- $(documents) > "$(built)/ds-5.0.model"
	mv "$(built)/ds-5.0.model" src/sandbox/ds-5.0.model

district: ## Pack the sample district for the demo anew
	cargo run --example pack-district > "$(built)/district.packed"
	mv "$(built)/district.packed" src/commands/district.packed
