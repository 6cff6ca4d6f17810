# Two commands do everything on a fresh machine with Rust, as root or not: `make demo` and `make test`.
# Each gets what it needs, says what it does, and leaves nothing running.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Passed on to `checkrein demo`, as in: make demo DEMO_ARGS=--stay
DEMO_ARGS ?=
# How many inputs each parser gets, as in: make fuzz FUZZ_CASES=1000000
FUZZ_CASES ?= 100000
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := .cache/tools/bin

# How long a step may take, in seconds, on a machine of two cores that has built nothing yet: a step that hangs ends.
# In the foreground, so that Ctrl-C reaches what runs.
BUILD_MAX := 2700
TEST_MAX := 3600
DEMO_MAX := $(if $(filter --stay,$(DEMO_ARGS)),4200,300)
BENCH_MAX := 3600
FUZZ_MAX := 7200
FORMAT_MAX := 120
within = timeout --foreground --kill-after=30 $(1)

# Standard output belongs to the program that a target runs, and to nobody else.
say = @printf '== %s\n' '$(1)' >&2

.PHONY: help demo test check bench fuzz format lint tests docs dependencies contract

help: ## Says what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-14s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Shows Checkrein at work, on a private Postgres (DEMO_ARGS=--stay to answer in a browser)
	@.ci/setup demo >&2
	$(call say,building the control plane and the enforcer)
	@$(call within,$(BUILD_MAX)) cargo build --release --locked --bins -p checkrein-control-plane -p checkrein-enforcer
	$(call say,running the demo)
	@$(call within,$(DEMO_MAX)) $(TARGET)/release/checkrein demo --tools .cache/tools $(DEMO_ARGS)

test: ## Checks everything: format, lints, tests, documentation, dependencies, contract
	@.ci/setup test
	@$(MAKE) format lint tests docs dependencies contract
	$(call say,all is well)

check: ## Compiles everything, quickly
	@$(call within,$(BUILD_MAX)) cargo check --workspace --all-targets --locked

bench: ## Prints the figures and stores them under target/bench/
	@.ci/setup build >&2
	$(call say,running the benchmarks)
	@# A thousand enforcers in one process have more connections than a process may have files by default.
	@ulimit -S -n "$$(ulimit -H -n)"; $(call within,$(BENCH_MAX)) cargo bench --locked -p checkrein-tests

fuzz: ## Throws many hostile inputs at every parser (FUZZ_CASES=100000)
	@.ci/setup build >&2
	$(call say,fuzzing the parsers with $(FUZZ_CASES) inputs each)
	@PROPTEST_CASES=$(FUZZ_CASES) $(call within,$(FUZZ_MAX)) cargo test --locked -p checkrein-tests --test fuzz
	@PROPTEST_CASES=$(FUZZ_CASES) $(call within,$(FUZZ_MAX)) cargo test --locked -p checkrein-shared -p checkrein-enforcer -p checkrein-control-plane --lib fuzz

format: ## Checks the format
	$(call say,checking the format)
	@$(call within,$(FORMAT_MAX)) cargo fmt --all --check

lint: ## Runs clippy
	$(call say,linting)
	@$(call within,$(BUILD_MAX)) cargo clippy --workspace --all-targets --locked -- -D warnings

tests: ## Runs the tests alone
	$(call say,testing)
	@$(call within,$(TEST_MAX)) cargo test --workspace --locked

docs: ## Builds the documentation
	$(call say,building the documentation)
	@RUSTDOCFLAGS='-D warnings' $(call within,$(BUILD_MAX)) cargo doc --workspace --no-deps --locked

dependencies: ## Checks bans, licences and sources of the dependencies
	$(call say,checking the dependencies)
	@timeout 300 $(TOOLS)/cargo-deny --locked check bans licenses sources

contract: ## Checks the contract: its style, and that no release was broken
	$(call say,checking the contract)
	@timeout 120 $(TOOLS)/buf lint proto
	@.ci/breaking
