# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
INTEGRATIONS := .venv-integrations
BENCH := .venv-bench

# What `make baselines` adds to: results/$(TASK).json; where the recordings lie; runs per network
TASK ?= stress-ours
DATA ?=
SEEDS ?= 5

.PHONY: demo test test-long test-integrations test-baselines baselines format clean

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

test-baselines: $(BENCH)/.installed  ## with braindecode, in an environment of its own
	$(BENCH)/bin/python -m pytest tests/benchmarks/test_peers.py

baselines: $(BENCH)/.installed  ## networks of braindecode on the folds of results/$(TASK).json
	$(BENCH)/bin/python benchmarks/peers.py results/$(TASK).json --seeds $(SEEDS) $(if $(DATA),--data "$(DATA)")

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

# braindecode imports torchaudio, whose library needs a CUDA build of torch; what it uses of it is Python
$(BENCH)/.installed: pyproject.toml constraints.txt constraints-bench.txt
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -c constraints-bench.txt -e . torch braindecode pytest
	rm -f $(BENCH)/lib/python3*/site-packages/torchaudio/lib/*.so
	touch $@

clean:
	rm -rf .venv $(INTEGRATIONS) $(BENCH) build dist demo_output
