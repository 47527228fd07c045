# The environment is .venv in this checkout and nothing else. It is made again when
# pyproject.toml or constraints.txt change.

PYTHON ?= python3
VENV := .venv
INSTALLED := $(VENV)/.installed

.PHONY: env map bench docs names licences test test-all test-frameworks test-slow test-torch lint types

env: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --progress-bar off -c constraints.txt -e '.[dev,gpu-test]'
	touch $@

map: $(INSTALLED)
	$(VENV)/bin/unyoke map --out map
	@echo "report: $(CURDIR)/map/report.html"

bench: $(INSTALLED)
	$(VENV)/bin/unyoke bench --out bench

# site/index.html and what it links to; opens without a network
docs: $(INSTALLED)
	$(VENV)/bin/python -m sphinx -W --keep-going -q -b html docs site
	@echo "site: $(CURDIR)/site/index.html"

# Written out from the classes of src/unyoke/optimizers: names for type checkers, tables of pages, and
# the promise of what is public
names: $(INSTALLED)
	$(VENV)/bin/python tools/write_names.py
	$(VENV)/bin/python tools/public_names.py

# What a contributor waits for: a few minutes on two idle cores, a process on each.
test: $(INSTALLED)
	$(VENV)/bin/pytest -n 2 --dist loadfile -m "not slow"

# The rest: kills, clusters, browsers, compilers.
test-slow: $(INSTALLED)
	$(VENV)/bin/pytest -m slow

test-all: test test-slow

# Lightning, Trainer, Accelerate, timm, fastai, …, each in an environment of its own; writes
# docs/frameworks.md. The slow tier has the same checks, and leaves the page alone.
test-frameworks: $(INSTALLED)
	$(VENV)/bin/python tools/frameworks.py

# The core's tests with another torch, such as make test-torch TORCH=2.8.0; takes gigabytes
test-torch: $(INSTALLED)
	$(VENV)/bin/python tools/torch_versions.py $(TORCH)

# What everything that is installed here is licensed under
licences: $(INSTALLED)
	$(VENV)/bin/python tools/licences.py

lint: $(INSTALLED)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

types: $(INSTALLED)
	$(VENV)/bin/mypy
