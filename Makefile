# Every target does all set-up on a fresh machine with Python (3.11 or newer) and make.
PYTHON ?= python3
# What pip is told of torch: another version, a wheel, or another index (see the README for the CPU build).
TORCH ?= torch
BIN := .venv/bin
READY := .venv/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# The exact versions that the tests were last run with; a torch of one's own takes the place of theirs.
CONSTRAINTS := .venv/constraints.txt

# How long to try mutants, minutes, and any further options of tests/mutants.py.
MINUTES ?= 30
MUTANTS ?=

.PHONY: demo test test-slow mutants
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(if $(filter-out torch,$(TORCH)),grep -v '^torch==' constraints.txt,cat constraints.txt) > $(CONSTRAINTS)
	$(PIP) --constraint $(CONSTRAINTS) $(TORCH)
	$(PIP) --constraint $(CONSTRAINTS) --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	@$(BIN)/siegelab sweep quickstart --fresh --out results/quickstart

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --cov --cov-report term

test-slow: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 -m slow

mutants: $(READY)
	$(PIP) --constraint $(CONSTRAINTS) --editable '.[mutants]'
	@$(BIN)/python tests/mutants.py --minutes $(MINUTES) $(MUTANTS)
