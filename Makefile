# Everything a newcomer needs: `make demo`, `make test`. Needs Python 3.11 and make alone.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
SOURCES := aio_tune tests benchmarks
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-cluster test-fast check format bench lock clean

help:  ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

# The stamp is newer than the lock file exactly when the environment matches it, so a second run starts at once.
$(VENV)/.stamp: requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

setup: $(VENV)/.stamp  ## install the locked packages into .venv

demo: setup  ## the whole way on simulated cohorts, in a few minutes
	$(BIN)/aio-tune demo

# Most tests wait for other processes. Each of the jobs takes up to 4 GB.
JOBS ?= 2
test: setup  ## every test but those of test-cluster; JOBS files at one time
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadfile

test-cluster: setup  ## what needs minutes and root: a real Slurm, nodes that die, ray up over SSH
	$(BIN)/python -m pytest -m cluster tests/cluster

test-fast: setup  ## the tests that need no cluster, server or training
	$(BIN)/python -m pytest -m "not slow and not cluster"

check: setup  ## style, types, layers
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## put the sources in the agreed form
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: setup  ## the short benchmarks
	$(BIN)/python -m benchmarks.help
	$(BIN)/python -m benchmarks.ladder
	$(BIN)/python -m benchmarks.prepare
	$(BIN)/python -m benchmarks.step

lock:  ## renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --group dev --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --output-file requirements.lock

clean:  ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
