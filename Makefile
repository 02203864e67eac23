# make demo: from nothing to Table 1.  make test: the quick tests.  Both install what they need into .venv.
# make test-slow: what CI runs besides.  make test-all: everything, for hours.
PYTHON   ?= python3
PIP_ARGS ?=
BIN      := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Compiled once, not by each of hundreds of processes: rewritten tests are half of what it takes to collect them
export PYTHONDONTWRITEBYTECODE :=
# Training and evaluation choose their own threads; many small numpy jobs side by side should not
export OPENBLAS_NUM_THREADS ?= 1

.PHONY: demo test test-slow test-all lint docs install clean

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "physiopipe needs Python 3.11 or newer; name one with PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt $(PIP_ARGS) --editable '.[dev,docs]'
	touch $@

demo: install
	dvc repro
	@echo
	@echo "Table 1:  results/dreamer/table1.md        The whole story:  results/dreamer/report.html"
	@echo "To compare later runs with this one:  git add -A && git commit -m 'Baseline'   then  dvc params diff; dvc metrics diff"

test: install
	pytest -n auto --dist worksteal -m "not (slow or workflow or exhaustive)"

test-slow: install
	pytest -n auto --dist loadfile -m "(slow or workflow) and not exhaustive"

test-all: install
	pytest

lint: install
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile workflow
	hadolint Dockerfile
	snakemake --lint

docs: install
	sphinx-build --fail-on-warning --keep-going --quiet --builder html docs docs/_build

clean:
	rm -rf data models logs state .snakemake results docs/_build
