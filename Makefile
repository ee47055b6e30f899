# The commands of this repository. `make` prints them; each is described behind its `##`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
TOOLS := $(CURDIR)/.cache/tools
CARGO_DENY := 0.20.2
export PATH := $(HOME)/.cargo/bin:$(TOOLS)/bin:$(PATH)

# In CI the lock file is law; on a desk a new dependency may still be written to it.
LOCKED := $(if $(CI),--locked)

# Which profile `make run` builds. `make run PROFILE=dev` starts sooner and runs slower.
PROFILE ?= release

# How many seeds each seeded test tries in `make proof`; in `make test` each test has its own small default.
PROOF_SEEDS ?= 5000

.PHONY: help run test check proof bench counts counted advisories cargo-deny tools sizes

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)$$/  make \1\t\2/' | expand -t 16
	@echo
	@echo 'make test and make proof need chromium, nginx, nc (OpenBSD), curl, node with npm, python3 with venv, slowhttptest, strace, valgrind.'
	@echo 'They mount a small disk in a namespace of their own and attach strace to a server, which root may.'
	@echo 'As root on Debian the missing ones are installed with apt-get; otherwise the missing ones are named'
	@echo 'and the run fails: nothing is skipped. The npm packages of tests/foreign/ go to its node_modules,'
	@echo 'the Python packages to .cache/venv. cargo-nextest is used when present, else cargo test.'
	@echo 'make check installs cargo-deny to .cache/tools when it is not there (about a minute).'

run: ## start the server with an open demo channel on http://localhost:7171 (PROFILE=dev builds faster)
	cargo run $(LOCKED) --profile $(PROFILE) -p sosik-cli -- serve --demo

test: tools counted ## everything that must pass: doc tests, then all tests of the workspace
	cargo test $(LOCKED) --workspace --doc --quiet
	@if cargo nextest --version >/dev/null 2>&1; then \
	    set -x; cargo nextest run $(LOCKED) --workspace $(if $(CI),--profile ci); \
	else \
	    echo 'cargo-nextest is not installed: using cargo test'; \
	    set -x; cargo test $(LOCKED) --workspace --all-targets --no-fail-fast; \
	fi

check: ## format, lints, docs, layering, licences, and the list of long files
	cargo fmt --all --check
	cargo clippy $(LOCKED) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc $(LOCKED) --workspace --no-deps
	cargo test $(LOCKED) --quiet -p sosik-tests --test layering
	@$(MAKE) cargo-deny
	@# What other platforms and optional features would need: nothing that was built has brought it here.
	cargo fetch $(LOCKED) --quiet
	cargo deny --log-level error --offline check --hide-inclusion-graph licenses bans sources
	@$(MAKE) sizes

advisories: ## ask the RustSec database about the dependencies (needs the network)
	@$(MAKE) cargo-deny
	cargo deny check advisories

# Unoptimised: it is built in about a minute and runs in one second either way.
cargo-deny:
	@cargo deny --version >/dev/null 2>&1 || cargo install cargo-deny --version $(CARGO_DENY) --locked --debug --quiet --root $(TOOLS)

proof: tools counted ## the seeded tests with many seeds (PROOF_SEEDS=5000), bounded by the nextest profile `proof`
	@cargo nextest --version >/dev/null 2>&1 || { echo 'make proof needs cargo-nextest: cargo install cargo-nextest --locked'; exit 1; }
	SOSIK_SEEDS=$(PROOF_SEEDS) cargo nextest run $(LOCKED) --workspace --profile proof

bench: ## measure a release build, about 3 min (MODE=full: medians of three; PARTS="deliveries idle …"); writes target/bench/
	cargo build $(LOCKED) --release -p sosik-cli -p sosik-bench
	target/release/sosik-bench $(if $(filter full,$(MODE)),--full) $(PARTS)

counts: tools counted ## count instructions per delivery anew and write them to benches/pump/instructions.toml
	SOSIK_COUNTS=record cargo test $(LOCKED) --quiet -p sosik-tests --test instructions
	git diff --stat -- benches/pump

# The test that counts needs it as it is shipped; a minute or two where nothing of a release is built yet.
counted:
	cargo build $(LOCKED) --release --quiet -p sosik-pump-bench

tools: ## install what the foreign clients of the tests need, or say what is missing
	@tests/foreign/prepare.sh

sizes: ## list source files above 400 lines: a question, not an error
	@git ls-files -z '*.rs' '*.mjs' '*.ts' '*.py' '*.sh' | xargs -0 wc -l | awk '$$2 != "total" && $$1 > 400 { print; n++ } END { print n + 0 " files above 400 lines" }'
