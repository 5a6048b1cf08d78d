# Everything a developer does. Each target makes what it needs; the first run builds the venv.
# Another interpreter: `make test PYTHON=python3.13` (its venv is .venv-3.13).

PYTHON ?= python3.11
VENV := $(if $(filter python3.11,$(notdir $(PYTHON))),.venv,.venv-$(patsubst python%,%,$(notdir $(PYTHON))))
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TESTS ?= tests
PIP := $(BIN)/python -m pip -qq --disable-pip-version-check
SYSTEM_PACKAGES := chromium tmux softhsm2

# Coverage starts itself in every Python process, children too, and all write beside this file.
MEASURED := COVERAGE_PROCESS_START=$(CURDIR)/pyproject.toml COVERAGE_FILE=$(CURDIR)/.coverage

.PHONY: setup demo up down test test-system lint fmt bench crash races halts stream-chaos clean system-packages
.DEFAULT_GOAL := setup

setup: $(STAMP)  ## the virtual environment, from the hashed lock

$(STAMP): requirements-dev.lock pyproject.toml
	@$(PYTHON) -c "" 2>/dev/null || { echo "$(PYTHON) does not run; choose another by PYTHON=..."; exit 1; }
	@echo "setup: $(VENV) ($(PYTHON))"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(PIP) install --no-deps --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

ACT ?= all
demo: $(STAMP)  ## the main job shown from nothing, with killed processes (ACT=1, 2 or 3: one act)
	@$(BIN)/python -m stack.demo $(if $(filter all,$(ACT)),,--act $(ACT))

up: $(STAMP)  ## start the embedded stack
	@$(BIN)/perp-dex up

down: $(STAMP)  ## stop it
	@$(BIN)/perp-dex down

lint: $(STAMP)  ## style, types, arrows between rooms, documents printed from data
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m process.settings_docs --check
	@$(BIN)/python -m streaming.asyncapi --check
	@$(BIN)/python -m venues.notes --check
	@$(BIN)/python -m tests.conformance.matrix --check

fmt: $(STAMP)  ## put imports and layout in order
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

test: $(STAMP)  ## all tests, with the coverage gate
	@rm -f .coverage .coverage.*
	@$(MEASURED) $(BIN)/python -m tests.together $(TESTS)
	@$(BIN)/python -m coverage combine --quiet
	@$(BIN)/python -m tests.coverage_gate

test-system: $(STAMP) system-packages  ## what needs a browser or a terminal of its own
	@$(BIN)/python -m pytest -m system $(TESTS)

system-packages:
	@missing=""; for package in $(SYSTEM_PACKAGES); do \
	  command -v $$package >/dev/null || command -v $$package-util >/dev/null \
	    || missing="$$missing $$package"; done; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing >/dev/null; \
	else \
	  echo "make test-system needs$$missing; install with: sudo apt-get install$$missing"; exit 1; \
	fi

bench: $(STAMP)  ## latency and throughput, each beside a floor of the same run
	@$(BIN)/python -m benchmarks
	@$(BIN)/python -m benchmarks.streaming
	@$(BIN)/python -m benchmarks.venues

VENUE ?= all
crash: $(STAMP)  ## kill every process at every checkpoint, on every venue (VENUE=…: one), judged by its ledger
	@$(BIN)/python -m tests.crash --venue $(VENUE)

races: $(STAMP)  ## close positions while everything else happens to them, 500 seeded rounds
	@$(BIN)/python -m tests.races --rounds 500

halts: $(STAMP)  ## from fifty orders and five positions to verified flat, with failures and kills
	@$(BIN)/python -m tests.halts

stream-chaos: $(STAMP)  ## a storm over the streaming process's sockets, judged by the exchange's ledger
	@$(BIN)/python -m tests.stream_chaos --seconds 30

clean:  ## what the other targets made
	@rm -rf .venv .venv-* .coverage .coverage.* .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
