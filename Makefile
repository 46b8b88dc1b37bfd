# `make demo` and `make test` need Python 3.11+, git and make; everything else they bring themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test lint docs clean servers

demo: $(STAMP)
	@$(BIN)/analyzer demo

test: $(STAMP) servers lint
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Pages made from the program itself.
docs: $(STAMP)
	$(BIN)/python tests/support/docs.py

# The venv is made anew whenever the declared dependencies change.
$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "analyzer needs Python 3.11 or newer: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable . --group dev
	@$(BIN)/python -m pip install --quiet --group clickhouse || echo "could not install chdb: tests that need ClickHouse's engine will be skipped" >&2
	@touch $@

# Tests against real servers need Debian's packages. Installed where that is possible (root on Debian); skipped elsewhere.
servers:
	@if ! { command -v promtool && command -v prometheus-alertmanager; } >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq prometheus prometheus-alertmanager >/dev/null; } \
	  || echo "could not install Debian's prometheus and prometheus-alertmanager: tests that need them will be skipped" >&2; \
	fi
	@if ! command -v victoria-metrics >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq victoria-metrics >/dev/null; } \
	  || echo "could not install Debian's victoria-metrics: tests that need it will be skipped" >&2; \
	fi
	@if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null; } \
	  || echo "could not install Debian's postgresql: tests that need it will be skipped" >&2; \
	fi
	@if ! command -v chromium >/dev/null && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } \
	  || echo "could not install Debian's chromium: tests that need it will be skipped" >&2; \
	fi

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
