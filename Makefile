# SPDX-License-Identifier: GPL-3.0-or-later
# Two commands do all: `make demo` and `make test`. Both set up what they need.

PYTHON ?= $(shell for p in python3 python3.12 python3.11; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(not (3,11) <= sys.version_info[:2] <= (3,12))' \
  && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
RUN_STAMP := $(VENV)/.installed
DEV_STAMP := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input

.PHONY: help install demo test lint types unit wire scenarios softphones faults powercut fuzz simulate soak bench lock clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Candor needs Python 3.11 or 3.12: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { echo "Python's venv module is missing: apt install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# --no-deps: the lock file names every package, with hashes; nothing else is installed.
$(RUN_STAMP): requirements.lock pyproject.toml | $(VENV)/bin/python
	$(PIP) install -qq --no-deps --require-hashes -r requirements.lock
	$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

$(DEV_STAMP): requirements-dev.lock $(RUN_STAMP)
	$(PIP) install -qq --no-deps --require-hashes -r requirements-dev.lock
	@touch $@

install: $(RUN_STAMP) ## the candor command, in .venv

demo: $(RUN_STAMP) ## twenty real calls, six at a time, checked against the callees' own records
	$(BIN)/candor demo --home demo-home

# Whole calls are timed, so they have the machine to themselves; the rest shares its cores.
test: $(DEV_STAMP) lint types ## lint, types, every test but those with a target of their own (under 15 minutes)
	$(BIN)/python -m pytest -q --durations=8 -n auto --dist loadfile tests/asr tests/unit tests/wire tests/sim tests/simulation
	$(BIN)/python -m pytest -q --durations=8 tests/scenarios

lint: $(DEV_STAMP) ## ruff: lint and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV_STAMP) ## mypy in strict mode
	$(BIN)/mypy compliance dialer voicebot storage console sip_sim

unit: $(DEV_STAMP) ## everything but calls and killed processes
	$(BIN)/python -m pytest -q -n auto --dist loadfile tests/unit

wire: $(DEV_STAMP) ## real SIP peers on loopback
	$(BIN)/python -m pytest -q tests/wire tests/sim

scenarios: $(DEV_STAMP) ## whole calls, judged by the recorded audio
	$(BIN)/python -m pytest -q tests/scenarios

softphones: $(DEV_STAMP) ## real baresip and linphonec, headless (packages baresip, linphone-cli)
	$(BIN)/python -m pytest -q -m softphone tests/softphones

faults: $(DEV_STAMP) ## workers that race or are killed; whole calls while processes, disk or database die (minutes)
	$(BIN)/python -m pytest -q --durations=8 -n auto --dist loadfile tests/races
	$(BIN)/python -m pytest -q --durations=8 tests/faults

powercut: $(DEV_STAMP) ## a power cut after every logged write, and what is left (about 10 minutes)
	$(BIN)/python -m tests.faults.cuts

fuzz: $(DEV_STAMP) ## the pure core under thousands of new examples (minutes)
	CANDOR_EXAMPLES=fuzz $(BIN)/python -m pytest -q -n auto --timeout 1800 $$(grep -rl 'from hypothesis' tests/unit tests/sim)

simulate: $(DEV_STAMP) ## a million calls in a simulated quarter, judged anew, and faults planted in the gate
	$(BIN)/python -m tests.simulation.run $(or $(ATTEMPTS),1000000) $(or $(SEED),1)
	$(BIN)/python -m tests.simulation.mutations

soak: $(DEV_STAMP) ## 300 and more calls through one dialer process (about 15 minutes)
	$(BIN)/python -m tests.soak.run

bench: $(DEV_STAMP) ## how fast storage is; SIZE=small, default or full
	$(BIN)/python -m tests.bench.run $(or $(SIZE),default)

lock: $(DEV_STAMP) ## write the lock files anew from pyproject.toml
	$(BIN)/python -m tools.lock

clean: ## remove what was built
	rm -rf $(VENV) demo-home demo-home-callees build *.egg-info .mypy_cache .ruff_cache .pytest_cache
