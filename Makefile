# Both targets do all set-up on a fresh machine with Python (3.11 or newer) and make.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.installed

.PHONY: demo test
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

demo: $(READY)
	@$(BIN)/siegelab sweep quickstart --fresh --out results/quickstart

test: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses 2 --cov --cov-report term
