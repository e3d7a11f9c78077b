# Everything runs in .venv; `demo`, `test`, `lint` and `bench` install first when needed.
# the first of these that is new enough; `make PYTHON=...` takes another
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$name -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$name && break; done)
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export DO_NOT_TRACK = 1
# modules are compiled when they are first imported, and only those, so the result must be kept
export PYTHONDONTWRITEBYTECODE =
export PREFECT_SERVER_ANALYTICS_ENABLED = false

.PHONY: help install demo test lint bench clean

help:
	@echo "make install   set up .venv"
	@echo "make demo      the whole loop on embedded synthetic data"
	@echo "make test      the tests"
	@echo "make lint      ruff and mypy"
	@echo "make bench     benchmarks against the reference code"
	@echo "make clean     remove .venv and the demo's store"

install: $(STAMP)

$(STAMP): pyproject.toml .ci/constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "crystalgnn needs Python 3.11 or newer; found $$($(or $(PYTHON),python3) -V 2>&1);" \
			"install one, or name it: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@test "$$($(BIN)/python -V 2>&1)" = "$$($(PYTHON) -V 2>&1)" || rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint .ci/constraints.txt torch
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint .ci/constraints.txt --editable ".[dev]"
	@touch $(STAMP)

demo: $(STAMP)
	$(BIN)/crystalgnn demo

test: $(STAMP)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy crystalgnn_core tasks flows deployments docs tests

bench: $(STAMP)
	$(BIN)/python -m tests.benchmarks.main_job

clean:
	rm -rf $(VENV) crystalgnn-store
