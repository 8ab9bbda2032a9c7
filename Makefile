# The five commands a newcomer needs: make run, demo, test, setup, test-deps. `make help` lists all.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?= data
# Wheels only: a fresh machine needs no compiler, and no package runs its own build code here.
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev run demo test check format test-deps fuzz bench lock clean

help:            ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(VENV)/run.stamp  ## make .venv from requirements/run.lock

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "chargepki needs Python 3.11 or newer (set PYTHON=...)"; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the locked dependencies into $(VENV) ..."
	@$(PIP) -r requirements/run.lock
	@printf '%s\n' "$(CURDIR)/src" > "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/chargepki.pth"
	@printf '#!/bin/sh\nexec "%s/python" -m chargepki "$$@"\n' "$(CURDIR)/$(BIN)" > $(BIN)/chargepki && chmod +x $(BIN)/chargepki
	@touch $@

setup-dev: $(VENV)/dev.stamp

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	@echo "Installing the locked test tools ..."
	@$(PIP) -r requirements/dev.lock
	@touch $@

run: setup       ## run the platform with live demo data (Ctrl-C stops)
	@$(BIN)/chargepki up --data $(DATA) --stations 3

demo: setup      ## play the whole story once on real sockets
	@$(BIN)/chargepki demo

test: setup-dev check  ## pass every check and every test (about ten minutes on two cores)
	@$(BIN)/python -m pytest -n 2 --dist worksteal

check: setup-dev  ## style, types, the directions of the house, generated pages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache > $(VENV)/imports.log || { cat $(VENV)/imports.log; exit 1; }
	@$(BIN)/python -m tools.standards --check
	@$(BIN)/python -m tools.findings --check
	@$(BIN)/python -m tools.roles --check

format: setup-dev  ## put the code into shape and refresh the generated pages
	@$(BIN)/ruff check --fix --quiet .
	@$(BIN)/ruff format --quiet .
	@$(BIN)/python -m chargepki.api.openapi > docs/reference/openapi.json
	@$(BIN)/python -m tools.standards
	@$(BIN)/python -m tools.findings
	@$(BIN)/python -m tools.roles

test-deps:       ## install what the interop tests want from the package registries
	@tools/test-deps

bench: setup     ## print what the platform does per CPU-second, what its log costs, and every key vault, beside openssl speed
	@$(BIN)/python benchmarks/run.py
	@$(BIN)/python benchmarks/vaults.py

fuzz: setup-dev  ## fuzz every parser of bytes from outside, FUZZ_SECONDS each (60), and the API
	@$(PIP) -r requirements/fuzz.lock
	@for target in tests/fuzz/fuzz_*.py; do echo "== $$target"; $(BIN)/python $$target -max_total_time=$${FUZZ_SECONDS:-60} || exit 1; done
	@SCHEMATHESIS_EXAMPLES=$${FUZZ_EXAMPLES:-300} $(BIN)/python -m pytest -q tests/security/test_schemathesis.py

lock:            ## refresh requirements/*.lock (needs uv)
	uv pip compile --universal --generate-hashes --quiet --custom-compile-command 'make lock' pyproject.toml -o requirements/run.lock
	uv pip compile --universal --generate-hashes --quiet --custom-compile-command 'make lock' pyproject.toml --group dev -o requirements/dev.lock
	uv pip compile --universal --generate-hashes --quiet --custom-compile-command 'make lock' --group fuzz -o requirements/fuzz.lock

clean:           ## remove the environment and caches (never ./data)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules
