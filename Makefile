# meshproxy: every target sets up what it needs in .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCH_INSTALLED := .venv/.installed-bench
# What is worked on is the Python source; make compiled builds it in place.
export MESHPROXY_COMPILE := 0
# Passed on to pytest (make test ARGS="-k reload") or to the benchmark (make bench ARGS=--quick).
ARGS ?=
# Several processes share the tests, see tests/conftest.py; ARGS=-n0 for one only, which tells of each file.
SHARED := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-compiled compiled pure lint reference dist bench clean

help:
	@echo "make demo   three small servers behind one Service, and a live dashboard"
	@echo "make test   every test; ARGS='-k reload' for some of them, ARGS=-n0 for all in one process"
	@echo "make compiled       build the data plane's hot modules in place with mypyc (needs a C compiler; a minute or two)"
	@echo "make test-compiled  the data plane's tests against that build"
	@echo "make pure           back to the Python source"
	@echo "make lint   ruff, mypy, import-linter, and whether docs/reference.md is up to date"
	@echo "make reference  writes docs/reference.md anew, after a change of meshproxy/resources"
	@echo "make dist   a source distribution and a wheel, not compiled, in dist"
	@echo "make bench  beside HAProxy, nginx, Envoy and Traefik (those that are installed); ARGS=l4, l7 or tls for one of them"
	@echo "make clean  remove .venv, caches and results"

demo: $(INSTALLED)
	$(BIN)/meshproxy demo $(ARGS)

test: $(INSTALLED) pure
	$(SHARED) $(ARGS)

compiled: $(INSTALLED)
	MESHPROXY_COMPILE=1 $(BIN)/python setup.py --quiet build_ext --inplace
	@$(BIN)/python -c 'from meshproxy.dataplane.http import exchange; print("compiled:", exchange.__file__)'

test-compiled: compiled
	$(SHARED) tests/unit/dataplane tests/unit/balancing tests/unit/routing tests/unit/protocols/http1 tests/unit/base/test_build.py $(ARGS)
	@$(MAKE) --no-print-directory pure

pure:
	@rm -rf build
	@find . -name '*.so' -not -path './.venv/*' -delete

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/python -m meshproxy.cli.reference | cmp -s - docs/reference.md || \
	  { echo "docs/reference.md is out of date: make reference" >&2; exit 1; }

reference: $(INSTALLED)
	$(BIN)/python -m meshproxy.cli.reference > docs/reference.md

dist: $(INSTALLED)
	$(BIN)/python -m build --no-isolation

bench: $(BENCH_INSTALLED)
	$(BIN)/python -m benchmarks $(ARGS)

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "meshproxy needs Python 3.11 or newer, and '$(PYTHON)' is not: make PYTHON=python3.11 …" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "no virtual environment could be made; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(INSTALLED): pyproject.toml | $(BIN)/pip
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(BENCH_INSTALLED): $(INSTALLED)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[bench]'
	@touch $@

clean: pure
	rm -rf .venv build dist *.egg-info benchmarks/results
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .grimp_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
