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
# The others that the tests run with, one of each version.
PYTHONS ?= $(shell $(PYTHON) tools/pythons.py)
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
# Cargo shares what it has compiled among commands that select the same packages and features, so all of them do.
CRATES := --package=pylon-webhooks --package=pylon-receiver --package=pylon-receiver-cli --all-features
BUILD = $(PYTHON) tools/build.py
# Packages of Debian whose programs the tests meet, and where those go that the machine lacks.
DEBIAN_PACKAGES := nginx haproxy caddy prometheus squid uwsgi-plugin-python3 apache2-bin libapache2-mod-wsgi-py3 \
	postgresql pgbouncer nats-server chromium
export PYLON_DEBIAN_PROGRAMS := $(CACHE)/debian
export PYLON_AXE := $(CACHE)/axe/axe.min.js
MDBOOK_VERSION := 0.5.4
MDBOOK := $(CACHE)/mdbook-$(MDBOOK_VERSION)/bin/mdbook

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "make %-13s %s\n", $$1, $$2 }'

demo: wheel ## show the receiver in front of two apps: forgeries, an app that is killed, nothing lost
	@$(BUILD) "the receiver and an app" $(CRATES) --bin=pylon-receiver --example=axum
	@$(BIN)/python tools/demo.py $(CARGO_TARGET_DIR)/debug/pylon-receiver $(CARGO_TARGET_DIR)/debug/examples/axum $(CACHE)/demo

demo-postgres: wheel programs ## show two receivers on one PostgreSQL: one is killed, the database crashes, nothing lost
	@$(BUILD) "the receiver" $(CRATES) --bin=pylon-receiver
	@$(BIN)/python tools/demo_postgres.py $(CARGO_TARGET_DIR)/debug/pylon-receiver

test: test-rust test-python test-pythons test-shared ## everything that must hold before a change lands

test-rust: run-tools programs
	cargo fmt --all --check
	cargo clippy --quiet --locked --workspace --all-targets --all-features -- -D warnings
	for feature in '' $(FEATURES); do cargo clippy --quiet --locked -p pylon-webhooks --features "$$feature" -- -D warnings; done
	cargo clippy --quiet --locked -p pylon-receiver-cli --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps $(CRATES)
	cargo test --quiet --locked $(CRATES) --package=pylon-test-support
	cd fuzz && cargo fmt --check && cargo test --quiet --locked

test-python: test-tools wheel programs axe
	@$(BUILD) "the receiver and the examples" $(CRATES) --bin=pylon-receiver --examples
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYLON_WEBHOOKS_WHEEL=$$(ls $(WHEELS)/pylon_webhooks-*.whl) PYLON_EXAMPLES=$(CARGO_TARGET_DIR)/debug/examples \
		$(BIN)/python -m pytest
	cd $(CACHE) && $(BIN)/python -m mypy.stubtest pylon_webhooks
	$(BIN)/python -m mypy --strict python/pylon_webhooks tools examples benchmarks tests/typed.py
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python tools/run_docs.py

# With every other Python of the machine: the same wheel, and the tests in which Pythons differ.
test-pythons: wheel
	@for python in $(PYTHONS); do tools/test_with.sh $$python $(CACHE) $(WHEELS); done

# The checks of the folder that holds the seed, where it stands beside the clone.
test-shared: wheel
	@if [ -f $(SHARED)/checks/seed_snippets.py ]; then \
		$(BIN)/python -W ignore $(SHARED)/checks/seed_snippets.py && $(PYTHON) $(SHARED)/checks/circles.py; \
	else \
		echo "no $(SHARED) beside the clone: its checks are left to tests/test_seed.py and tests/test_layers.py"; \
	fi

bench: run-tools wheel-released programs ## time library and receiver beside what they replace; BENCH=--quick leaves out the long part
	@cargo bench --quiet --locked -p pylon-webhooks --no-run
	@cargo build --quiet --locked --release -p pylon-webhooks --features axum --example load --example bench_axum
	@cargo build --quiet --locked --release -p pylon-receiver-cli --bin pylon-receiver --example open_loop --example sink --example null_receiver --example claims
	@$(BIN)/python benchmarks/run.py --cache $(CACHE) --release $(CARGO_TARGET_DIR)/release $(BENCH)

chaos: run-tools programs ## kill -9 the receiver, and trouble three on PostgreSQL, CHAOS_ROUNDS times (100 and 30 unless given), and compare
	@CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),100) cargo test --quiet --locked -p pylon-receiver-cli --test chaos
	@CHAOS_ROUNDS=$(or $(CHAOS_ROUNDS),30) cargo test --quiet --locked -p pylon-receiver-cli --test chaos_postgres

fuzz: run-tools ## look for inputs that fail, for SECONDS_EACH seconds a target (60 unless given)
	@tools/fuzz.sh $(CACHE) $(or $(SECONDS_EACH),60)

docs: test-tools wheel $(MDBOOK) ## run every code block of README and docs; build the site and the Rust pages
	@$(BUILD) "the receiver" $(CRATES) --bin=pylon-receiver
	@$(BIN)/python tools/run_docs.py
	@$(BIN)/python tools/book.py $(MDBOOK) $(CACHE)/book
	@RUSTDOCFLAGS="-D warnings" cargo doc --quiet --locked --no-deps $(CRATES)
	@echo "the site: $(CACHE)/book/index.html"
	@echo "the Rust pages: $(CARGO_TARGET_DIR)/doc/pylon_webhooks/index.html"

# Without its web server and its file watcher, which the site does not need.
$(MDBOOK):
	@echo "building mdBook $(MDBOOK_VERSION), once (a few minutes)"
	@cargo install --quiet --locked --no-default-features --features search --root $(CACHE)/mdbook-$(MDBOOK_VERSION) mdbook@$(MDBOOK_VERSION)

dist: run-tools ## build sdist, wheels, crates and a Debian package; install each in a clean place and use it
	@tools/environment.sh $(PYTHON) $(VENV) requirements/run.txt requirements/dist.txt
	@$(BIN)/python tools/dist.py $(CACHE)/dist-work $(CACHE)/dist

fix: test-tools ## format, and mend what the linters can mend
	cargo fmt --all
	cd fuzz && cargo fmt
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

wheel: run-tools
	@tools/wheel.sh $(BIN) $(WHEELS) dev

wheel-released: run-tools
	@tools/wheel.sh $(BIN) $(WHEELS) release

run-tools:
	@tools/own_build.sh $(CACHE)
	@tools/environment.sh $(PYTHON) $(VENV) requirements/run.txt

test-tools:
	@tools/environment.sh $(PYTHON) $(VENV) requirements/run.txt requirements/test.txt requirements/test-main.txt

# What finds things on a page that some people cannot use.
axe:
	@tools/axe.sh $(PYLON_AXE)

programs:
	@tools/debian_programs.sh $(PYLON_DEBIAN_PROGRAMS) $(DEBIAN_PACKAGES)

.PHONY: help demo demo-postgres test test-rust test-python test-pythons test-shared bench chaos fuzz docs dist fix wheel wheel-released run-tools test-tools programs axe
