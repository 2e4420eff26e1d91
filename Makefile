# Everything a contributor does, as commands. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CLUSTER ?= lab
SIZE ?= ci
WORKERS ?= auto
# Tests against servers wait as much as they work: more of them run at once than there are cores. So do stories, but more
# than three have so many rollouts under load that two cores are never idle, and requests time out.
CONTRACTS ?= 4
STORIES ?= 3
# Compiled modules are kept whatever the shell says: they start workers, and what tests start, in half the time.
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest -q --dist worksteal
# What one check prints stays together, where make can do that.
APART := --no-print-directory --jobs 5 $(if $(filter output-sync,$(.FEATURES)),--output-sync)

.DEFAULT_GOAL := help
.PHONY: help setup demo explore lab-up lab-down lab-status assets check lint types layers generate generate-check unit \
        contract stories alone e2e test bench soak bench-decision bench-serving format lock clean

help:  ## List the commands.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo:  ## A good version promoted and a bad one rolled back, live (CLUSTER=current: on your own cluster).
	$(PYTHON) -m lab demo --cluster $(CLUSTER)

lab-up:  ## A real one-node Kubernetes with gateway, Prometheus and the operator.
	$(PYTHON) -m lab up

lab-down:  ## End the lab and everything in it.
	$(PYTHON) -m lab down

lab-status:  ## What of the lab runs.
	$(PYTHON) -m lab status

assets:  ## etcd, kube-apiserver and kubectl alone, for the contract tests; no root needed.
	$(PYTHON) -m lab assets

setup: $(VENV)/.done  ## The virtual environment of the project.

$(VENV)/.done: pyproject.toml model-server/pyproject.toml requirements-dev.lock
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --require-hashes -r requirements-dev.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e . -e model-server
	touch $@

lock: setup  ## Pin every dependency anew, by hash.
	$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --universal --python-version 3.11 pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --no-header --no-emit-index-url --generate-hashes --universal --python-version 3.11 pyproject.toml model-server/pyproject.toml --group dev -o requirements-dev.lock

generate: setup  ## Write the CRD from the resource types.
	$(BIN)/python -m modelrollout.api.crd --write

generate-check: setup
	$(BIN)/python -m modelrollout.api.crd --check

format: setup  ## Format the code.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix --quiet .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy operator/src model-server/src lab benchmarks

layers: setup
	$(BIN)/lint-imports

unit: setup
	$(PYTEST) --numprocesses $(WORKERS) tests/unit tests/property

explore: setup  ## Property tests on examples that nobody has tried yet.
	HYPOTHESIS_PROFILE=explore $(PYTEST) --numprocesses $(WORKERS) tests/unit tests/property

check: setup  ## Lint, types, layers, unit and property tests, side by side: the inner loop.
	@$(MAKE) $(APART) lint types layers generate-check unit

contract: setup assets  ## Against real servers on loopback: an API server for each worker, and the model server.
	$(PYTEST) --numprocesses $(CONTRACTS) tests/contract

stories: setup  # those that go on side by side
	$(BIN)/pytest -q --numprocesses $(STORIES) -m 'not alone' tests/e2e

alone: setup  # those that every other one would feel
	$(BIN)/pytest -q -m alone tests/e2e

e2e: setup lab-up  ## Whole stories in the lab.
	@$(MAKE) --no-print-directory stories
	@$(MAKE) --no-print-directory alone

# The lab boots while packages are installed. Contract tests need no lab: they have the machine beside the stories that
# want the lab for themselves.
test:  ## Everything.
	@$(MAKE) $(APART) setup lab-up
	@$(MAKE) --no-print-directory check
	@$(MAKE) --no-print-directory stories
	@$(MAKE) $(APART) contract alone

bench: setup lab-up  ## Counts and ratios, measured in the lab.
	$(BIN)/python -m benchmarks

soak: setup lab-up  ## Every strategy over every router, with all that happens, under load: about an hour.
	$(BIN)/python -m benchmarks.soak

bench-serving: setup  ## The model server beside others, in one run (needs wrk).
	$(BIN)/python -m benchmarks.serving

bench-decision: setup  ## Every decision target against simulated traffic (SIZE=ci: minutes, SIZE=nightly: hours).
	$(BIN)/python -m benchmarks.decision --size $(SIZE) --docs docs/decisions.md

clean:  ## Remove what was made here (the lab's cache stays).
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
