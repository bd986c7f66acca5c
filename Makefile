# Everything a fresh machine with Python >= 3.10 and make needs: each target does its own set-up.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
DEMO := demo
# A test is one process and uses one core.
SIDE_BY_SIDE := --numprocesses auto --maxprocesses 8 --dist worksteal

.PHONY: demo test test-slow reproduce check docs clean

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "idtd needs Python 3.10 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/ready  ## make a small video set, distil it two ways, and report how well each trains
	$(RUN)/idtd reproduce demo $(DEMO)

test: $(VENV)/ready  ## the test suite, but for what is slow
	$(RUN)/python -m pytest -m 'not slow' $(SIDE_BY_SIDE)

test-slow: $(VENV)/ready  ## what is slow: kills, faults and many hostile files
	$(RUN)/python -m pytest -m slow $(SIDE_BY_SIDE)

reproduce: $(VENV)/ready  ## the recipe for continuous integration, compared with the figures that it is expected to give
	$(RUN)/idtd reproduce ci/demo $(DEMO)-ci

check: $(VENV)/ready  ## formatting, lint, types, direction of imports
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

docs: $(VENV)/ready  ## write the generated pages and build the site
	$(RUN)/python docs/generate.py
	$(RUN)/mkdocs build --strict --quiet

clean:  ## remove the environment and the demo
	rm -rf $(VENV) $(DEMO) $(DEMO)-ci site
