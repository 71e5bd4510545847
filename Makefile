# `make demo` and `make test` are all that a fresh machine needs. `make editors` needs
# npm; without it the tests that play an editor are skipped.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
SERVER := .node/.installed
# Two workers where there are two cores; each test runs on one thread. The slow tests
# stand together, so that a worker without tests takes some from the other.
WORKERS ?= 2
PYTEST := $(BIN)/pytest -n $(WORKERS) --dist worksteal

.PHONY: demo test fast lint regen editors bench clean

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(INSTALLED)  ## render a family, train it, look at what it generates
	@bash examples/demo.sh

test: $(INSTALLED)  ## every test, the slow ones too
	$(PYTEST)

fast: $(INSTALLED)  ## without the slow tests
	$(PYTEST) -m "not slow"

lint: $(INSTALLED)  ## formatting, lint, types, and that every render is what its YAML says
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/xlmgen check families xlmgen/tasks examples --strict

regen: $(INSTALLED)  ## rewrite all that is generated: schema indexes and layout, renders, tables
	$(BIN)/python -m xlmgen.spec.schemas
	for family in families/*/family.yaml; do $(BIN)/xlmgen new $$family || exit 1; done
	$(BIN)/python docs/tables.py

bench: $(INSTALLED)  ## how fast the small shapes are, beside xlm-core
	$(BIN)/python benchmarks/run.py --shapes small --against xlm-core --limit

editors: $(SERVER)  ## the YAML language server, with which tests play an editor

$(SERVER): tests/editor/package.json
	@mkdir -p .node
	cp tests/editor/package.json .node
	npm install --prefix .node --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .venv .node demo build dist
