# `make demo` and `make test` do all the set-up themselves.

PYTHON ?= python3
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
BIN := .venv/bin
READY := .venv/.ready

# What the tests run beside Python: program names, and Debian's packages that hold them.
TOOLS := promtool prometheus prometheus-alertmanager amtool victoria-metrics curl
PACKAGES := prometheus prometheus-alertmanager victoria-metrics curl ca-certificates

.PHONY: demo test lint format tools lock clean

demo: $(READY)
	$(BIN)/python exporter.py --demo

test: $(READY) tools
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

tools:
	@command -v $(TOOLS) >/dev/null && test "$$(command -v $(TOOLS) | wc -l)" = $(words $(TOOLS)) || { \
	  $(SUDO) apt-get update --quiet --quiet && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install --yes --quiet --no-install-recommends $(PACKAGES); }

lock: $(READY)
	$(BIN)/uv lock

$(READY): pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  $(SUDO) apt-get update --quiet --quiet && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install --yes --quiet --no-install-recommends python3-venv; }
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv sync --quiet --locked --inexact
	@touch $@

clean:
	rm -rf .venv dist build .build .coverage* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache

# Bench
.PHONY: bench bench-tools

bench: $(READY) bench-tools
	$(BIN)/python -m bench

bench-tools:
	@PATH="$$PATH:/usr/sbin" command -v nginx >/dev/null || { \
	  $(SUDO) apt-get update --quiet --quiet && \
	  DEBIAN_FRONTEND=noninteractive $(SUDO) apt-get install --yes --quiet --no-install-recommends nginx-light; }
