# Everything that people and machines do here. `make help` lists it.
SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python
INSTALLED := $(VENV)/.installed
LOCKS := identity assets generation billing privacy setup scrub sandbox local dev
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-header --python-version 3.11
# Two side by side, each with servers of its own; a folder's tests stay together and in their order.
PYTEST := $(PY) -m pytest --numprocesses 2 --dist loadgroup --no-loadscope-reorder
# The one Python that this runs on, under whatever name it has.
PYTHON ?= $(shell for name in python3.11 python3 python; do \
	if command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; \
	then echo $$name; break; fi; done)

export PYTHONPATH := $(CURDIR):$(CURDIR)/gen
# With it set, every start would compile every import again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup up down status demo scrub canary test test-full bench soak chaos check promises proto migration lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

setup: $(INSTALLED) ## make the virtual environment, from hash-pinned locks; done by the others when it has to be

$(INSTALLED): requirements/dev.txt requirements/uv.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "Crafiq runs on Python 3.11, which is not here: install it, or name it: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; fi
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { \
		echo "Crafiq runs on Python 3.11; $(PYTHON) is another version." >&2; exit 1; }
	@echo "Setting up $(VENV); the first time this downloads the servers."
	@[ -x $(PY) ] || "$(PYTHON)" -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(BIN)/uv pip sync --python $(PY) --require-hashes --compile-bytecode requirements/dev.txt
	@touch $@

up: setup ## start the platform and stay until Ctrl-C; prints where everything is
	@exec $(PY) -m cli up --with-parent

down: setup ## stop the platform of this state folder and wait until it has
	@$(PY) -m cli down

status: setup ## what runs and what waits: processes, queues, lag, dead letters, versions
	@$(PY) -m cli status

demo: setup ## run the main job on a real photo; FILE=my.jpg PROMPT="..." for yours
	@$(PY) -m cli demo $${FILE:+--file "$$FILE"} $${PROMPT:+--prompt "$$PROMPT"}

scrub: setup ## remove the bytes that engines leave behind of what was erased, and search the raw files for it
	@$(PY) -m cli scrub

canary: setup ## somebody full of markers uses everything, leaves, and is looked for in every store
	@$(PY) -m cli canary

test: check ## every check and test, on real servers that it starts and stops; what .ci/run calls
	@echo "== tests"
	@$(PYTEST) -m "not slow"

test-full: check ## the slow tests as well
	@echo "== tests, the slow ones too"
	@$(PYTEST)

bench: setup ## measure against the bare libraries, a few minutes; prints a table, writes .crafiq/bench.json
	@$(PY) -m tests.bench

soak: setup ## ten minutes of people who come, make things and leave; prints how much memory each process gains
	@$(PY) -m tests.bench.soak $(MINUTES)

chaos: setup ## people leave while over 100 processes are killed, about 10 minutes; SEED=7 plays a plan again
	@$(PY) -m tests.chaos $${SEED:+--seed "$$SEED"} $${ONLY:+--only "$$ONLY"}

check: setup ## format, lint, types, import contracts, protos, generated files
	@echo "== format and lint"
	@$(BIN)/ruff format --check --quiet . || { echo "Run: $(BIN)/ruff format ." >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@echo "== types"
	@$(BIN)/mypy --no-error-summary
	@echo "== import contracts"
	@$(BIN)/lint-imports --no-logo > $(VENV)/imports.log || { cat $(VENV)/imports.log >&2; exit 1; }
	@echo "== protos"
	@$(BIN)/buf lint gen/crafiq.binpb --path crafiq --config proto/buf.yaml
	@echo "== generated files"
	@$(PY) -m tools.proto --check
	@$(PY) -m tools.gateway --check
	@$(PY) -m tools.openapi --check
	@$(PY) -m tools.documents --check
	@$(PY) -m tools.promises --check

promises: setup ## each promise of the policy: owner, control, tests, last result; writes docs/promises.md
	@$(PY) -m tools.promises

proto: setup ## generate from proto/: gen/, routes and OpenAPI of the gateway, the tables of ARCHITECTURE.md
	@$(PY) -m tools.proto
	@$(PY) -m tools.gateway
	@$(PY) -m tools.openapi
	@$(PY) -m tools.documents

migration: setup ## what changed in the rows of SERVICE, as a migration: SERVICE=billing M="holds have a deadline"
	@$(PY) -m tools.migration new "$(SERVICE)" -m "$(M)"

lock: setup ## pin requirements/*.txt from pyproject.toml; UPGRADE=1 takes newer versions
	@echo uv | $(COMPILE) $(if $(UPGRADE),--upgrade) - -o requirements/uv.txt
	@for group in $(LOCKS); do \
		echo "requirements/$$group.txt"; \
		$(COMPILE) $(if $(UPGRADE),--upgrade) --group $$group -o requirements/$$group.txt; \
	done

clean: ## remove what can be made again (.venv, caches); the platform's state stays
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
