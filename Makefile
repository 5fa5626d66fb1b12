# The whole project from the shell. Needs Rust and a C compiler, nothing else.
.PHONY: help demo test check static bench model

target := $(shell rustc -vV | sed -n 's/^host: //p')

help: ## List these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-8s %s\n", $$1, $$2 }'

demo: ## Build the release binary and send a sample district to an API in memory
	cargo build --release
	./target/release/lightbeam demo

test: ## Run every test
	cargo test

check: ## Formatting, lints, documentation and every test
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	$(MAKE) test

bench: ## Measure speed and memory (about two minutes)
	cargo bench --bench bench

# --target must be given, or proc-macros would be linked statically and fail to load.
static: ## Build a fully static binary and check that it is one
	RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target $(target)
	ldd target/$(target)/release/lightbeam 2>&1 | grep -E 'statically linked|not a dynamic executable'
	./target/$(target)/release/lightbeam --version
	@ls -l target/$(target)/release/lightbeam | awk '{ print $$5, "bytes" }'
