# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
INTEGRATIONS := .venv-integrations

# What `make baselines` adds to: results/$(TASK).json; where the recordings lie; runs per network
TASK ?= stress-ours
DATA ?=
SEEDS ?= 5

.PHONY: demo test test-long test-integrations baselines bench bench-env format clean

demo: $(INSTALLED)  ## recording -> tokens -> embeddings -> probabilities -> report, in demo_output/
	$(BIN)/eegfoundation demo --out demo_output

test: $(INSTALLED)  ## lint, types and tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 -m "not long"

test-long: $(INSTALLED)  ## the tests that take many minutes
	$(BIN)/python -m pytest -m long -o faulthandler_timeout=5400

test-integrations: $(INTEGRATIONS)/.installed  ## with braindecode, MOABB and others
	$(INTEGRATIONS)/bin/python -m pytest tests/integrations tests/benchmarks/test_peers.py \
	    tests/test_readme.py::test_python_with_another_package

baselines: $(INTEGRATIONS)/.installed  ## networks of braindecode on the folds of results/$(TASK).json
	$(INTEGRATIONS)/bin/python benchmarks/peers.py results/$(TASK).json --seeds $(SEEDS) $(if $(DATA),--data "$(DATA)")

bench: bench-env  ## every figure of docs/benchmarks.md: on a quiet machine, 15 minutes to an hour
	$(INTEGRATIONS)/bin/python benchmarks/run_all.py

bench-env: $(INTEGRATIONS)/.installed  ## the environment that has the peers

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# constraints.txt holds the tested versions; without it another package may pull a CUDA build of torch
$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@

# MOABB's dependencies contradict constraints.txt (python-dateutil), so these have versions of their
# own. braindecode imports torchaudio, whose library needs a CUDA build of torch; what it uses of it
# is Python.
$(INTEGRATIONS)/.installed: pyproject.toml constraints-integrations.txt
	$(PYTHON) -m venv $(INTEGRATIONS)
	$(INTEGRATIONS)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints-integrations.txt \
	    -e . "braindecode[hub]" moabb open-eeg-bench eegdash mne-bids peft pytest
	rm -f $(INTEGRATIONS)/lib/python3*/site-packages/torchaudio/lib/*.so
	touch $@

clean:
	rm -rf .venv $(INTEGRATIONS) build dist demo_output
