# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
INTEGRATIONS := .venv-integrations

.PHONY: demo test test-long test-integrations format clean

demo: $(INSTALLED)  ## recording -> tokens -> embeddings -> probabilities -> report, in demo_output/
	$(BIN)/eegfoundation demo --out demo_output

test: $(INSTALLED)  ## lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not long"

test-long: $(INSTALLED)  ## the tests that take many minutes
	$(BIN)/python -m pytest -m long

test-integrations: $(INTEGRATIONS)/.installed  ## with MOABB, in an environment of its own
	$(INTEGRATIONS)/bin/python -m pytest tests/integrations

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# constraints.txt holds the tested versions; without it another package may pull a CUDA build of torch
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# MOABB's dependencies contradict constraints.txt (python-dateutil), so it has versions of its own
$(INTEGRATIONS)/.installed: pyproject.toml constraints-integrations.txt
	$(PYTHON) -m venv $(INTEGRATIONS)
	$(INTEGRATIONS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-integrations.txt -e . moabb pytest
	touch $@

clean:
	rm -rf .venv $(INTEGRATIONS) build dist demo_output
