# The one task list: people and CI call the same names. Everything that can be kept is kept outside the clone, in $(CACHE).
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

HOME ?= $(shell echo ~)
XDG_CACHE_HOME ?= $(HOME)/.cache
CACHE ?= $(XDG_CACHE_HOME)/pylon-webhooks
PATH := $(PATH):$(HOME)/.cargo/bin
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
export HOME PATH
export CARGO_TARGET_DIR := $(CACHE)/target
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PYTHONDONTWRITEBYTECODE := 1

# Make cannot hold a name with white space together.
ifneq ($(words $(CACHE)),1)
$(error CACHE must be one folder without white space in its name, found "$(CACHE)": make CACHE=/path/to/folder)
endif

VENV := $(CACHE)/venv
BIN := $(VENV)/bin
WHEELS := $(CACHE)/wheels
SHARED := ../shared
# Each must build without the others.
FEATURES := background tower axum actix-web testing proptest

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-8s %s\n", $$1, $$2 }'

demo: say-building run-tools wheel ## build, and show the receiver in front of two apps: forgeries, an app that is killed, nothing lost
	@cargo build --quiet --locked --release -p pylon-webhooks --features axum --example axum
	@cargo build --quiet --locked --release -p pylon-receiver-cli --bin pylon-receiver
	@$(BIN)/python tools/demo.py $(CARGO_TARGET_DIR)/release/pylon-receiver $(CARGO_TARGET_DIR)/release/examples/axum

test: test-rust test-python test-shared ## everything that must hold before a change lands

test-rust: run-tools
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
	for feature in '' $(FEATURES); do RUSTFLAGS="-D warnings" cargo check --quiet --locked --target-dir $(CACHE)/target-features -p pylon-webhooks --features "$$feature"; done
	RUSTFLAGS="-D warnings" cargo check --quiet --locked --target-dir $(CACHE)/target-features -p pylon-receiver-cli
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps --all-features -p pylon-webhooks -p pylon-receiver
	cargo test --quiet --locked --all-features -p pylon-webhooks
	cargo test --quiet --locked --all-features -p pylon-receiver -p pylon-receiver-cli
	cd fuzz && cargo fmt --check && CARGO_TARGET_DIR=$(CACHE)/target-fuzz cargo test --quiet --locked

test-python: test-tools wheel
	cargo build --quiet --locked -p pylon-webhooks --all-features --examples
	cargo build --quiet --locked -p pylon-receiver-cli --all-features --bin pylon-receiver
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYLON_WEBHOOKS_WHEEL=$$(ls $(WHEELS)/pylon_webhooks-*.whl) PYLON_EXAMPLES=$(CARGO_TARGET_DIR)/debug/examples \
		$(BIN)/python -m pytest
	cd $(CACHE) && $(BIN)/python -m mypy.stubtest pylon_webhooks
	$(BIN)/python -m mypy --strict python/pylon_webhooks tools examples benchmarks tests/typed.py
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python tools/run_docs.py

# The seed's own check, where the folder that holds it stands beside the clone.
test-shared: wheel
	@if [ -f $(SHARED)/checks/seed_snippets.py ]; then \
		$(BIN)/python -W ignore $(SHARED)/checks/seed_snippets.py; \
	else \
		echo "no $(SHARED) beside the clone: the seed check is left to tests/test_seed.py"; \
	fi

bench: run-tools wheel ## time library and receiver beside what they replace; BENCH=--quick leaves out the long part
	@cargo bench --quiet --locked -p pylon-webhooks --no-run
	@cargo build --quiet --locked --release -p pylon-webhooks --features axum --example load --example bench_axum
	@cargo build --quiet --locked --release -p pylon-receiver-cli --bin pylon-receiver --example open_loop --example sink
	@$(BIN)/python benchmarks/run.py --cache $(CACHE) --release $(CARGO_TARGET_DIR)/release $(BENCH)

chaos: run-tools ## kill -9 the receiver under load, CHAOS_ROUNDS times (100 unless given), and compare
	@CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),100) cargo test --quiet --locked -p pylon-receiver-cli --test chaos

fuzz: run-tools ## look for inputs that fail, for SECONDS_EACH seconds a target (60 unless given)
	@tools/fuzz.sh $(CACHE) $(or $(SECONDS_EACH),60)

docs: test-tools wheel ## run every code block of README and docs; build the Rust pages
	@cargo build --quiet --locked -p pylon-receiver-cli --all-features --bin pylon-receiver
	@$(BIN)/python tools/run_docs.py
	@RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps --all-features -p pylon-webhooks -p pylon-receiver
	@echo "the Rust pages: $(CARGO_TARGET_DIR)/doc/pylon_webhooks/index.html"

fix: test-tools ## format, and mend what the linters can mend
	cargo fmt --all
	cd fuzz && cargo fmt
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

say-building:
	@echo "building (a few minutes the first time)"

wheel: run-tools
	@tools/wheel.sh $(BIN) $(WHEELS)

run-tools:
	@tools/own_build.sh $(CACHE)
	@tools/environment.sh $(PYTHON) $(VENV) requirements/run.txt

test-tools:
	@tools/environment.sh $(PYTHON) $(VENV) requirements/run.txt requirements/test.txt


.PHONY: help say-building demo test test-rust test-python test-shared bench chaos fuzz docs fix wheel run-tools test-tools
