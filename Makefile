# Two commands for a newcomer: `make book` and `make test`. Each sets up .venv by itself, once.
#
# The default torch wheel on Linux carries CUDA (gigabytes). For the CPU build:
#   make test TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXTRA_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
LOCK := constraints/book.txt
# In CI the same examples are drawn every time; elsewhere each run looks at new ones.
PYTEST := $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help book test test-all check lint format notebooks lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

book: $(VENV)/.book  ## execute every page from scratch, build the HTML, say where to open it
	$(BIN)/python book/_tools/downloads.py
	$(BIN)/jupyter-book build . --all -W -n --keep-going -q
	@# The download button gives the notebooks that need no MyST, not the ones that Sphinx puts there.
	@cp book/*.ipynb _build/html/_sources/book/
	@echo "The book: open _build/html/index.html"

test: $(VENV)/.test  ## the tests (under 15 minutes on 2 cores)
	$(PYTEST) -m "not slow"

test-all: $(VENV)/.test  ## the tests that take long too, with more generated examples
	$(PYTEST) --hypothesis-profile=thorough

check: lint test book  ## what CI runs

lint: $(VENV)/.test  ## ruff, mypy, codespell, notebook pairs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python book/_tools/notebooks.py --check
	$(BIN)/python book/_tools/pictures.py --check

format: $(VENV)/.test  ## let ruff mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

notebooks: $(VENV)/.test  ## write the .ipynb beside each text page, and the README picture
	$(BIN)/python book/_tools/notebooks.py
	$(BIN)/python book/_tools/pictures.py

lock: $(VENV)/.test  ## write the versions of this environment to constraints/book.txt
	$(BIN)/python constraints/lock.py $(LOCK)

clean:  ## remove what the other targets made
	rm -rf $(VENV) _build build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; found: $$($(PYTHON) --version 2>&1). Give another with make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@touch $@

$(VENV)/.book: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) install -c $(LOCK) -e '.[book]'
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) install -c $(LOCK) $(EXTRA_INDEX) -e '.[book,dev]'
	@touch $@ $(VENV)/.book
