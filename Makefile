# The two commands are `make run` and `make test`; `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export GUIDEALIGN_HOME ?= $(CURDIR)/.guidealign
# uv reads UV_FIND_LINKS where pip reads PIP_FIND_LINKS.
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
SCALE ?= full
AREA ?=
TEST_WORKERS ?= 2

.PHONY: help run test lint format down clean bench lock

help: ## This list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

# Compiled at once: where bytecode is not kept (PYTHONDONTWRITEBYTECODE), each process of Airflow
# would compile its imports anew, which takes longer than running them.
$(READY): requirements.lock pyproject.toml
	@echo "guidealign: building the environment in $(VENV) (first time: a few minutes of download)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
	  || { echo "guidealign: needs Python 3.11 or 3.12; set PYTHON=python3.11" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet "$$(grep '^uv==' requirements.lock)"
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

run: $(READY) ## Start the platform and run one whole cycle through the scheduler
	@$(BIN)/guidealign run --quickstart

test: $(READY) ## The test suite, on servers of its own; TEST_WORKERS=2 at a time
	@$(BIN)/python -m pytest -m "not e2e" -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder
	@$(BIN)/python -m pytest -m e2e

lint: $(READY) ## Style, types, import contracts
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/ruff check --preview --select AIR dags plugins
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(READY) ## Format the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(READY) ## Measure: make bench AREA=airflow [SCALE=small]
	@test -n "$(AREA)" || { echo "guidealign: say which: make bench AREA=$$(dirname benchmarks/*/__main__.py | xargs -n1 basename | paste -sd'|')" >&2; exit 2; }
	@$(BIN)/python -m benchmarks.$(AREA) --scale $(SCALE)

down: ## Stop what `make run` started
	@test ! -x $(BIN)/guidealign || $(BIN)/guidealign down

clean: down ## Remove the platform's data (models stay in the cache) and the environment
	@rm -rf "$(GUIDEALIGN_HOME)" $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

lock: $(READY) ## Resolve requirements.lock anew from pyproject.toml
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --extra nf4 --extra openlineage --group dev pyproject.toml -o requirements.lock
	@sed -i 's/^torch==\([0-9.]*\)+cpu/torch==\1/' requirements.lock
