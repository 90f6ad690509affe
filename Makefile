# The two commands of the README. Both make their own virtual environment and need Python 3.11+, git and make.
PYTHON ?= python3
QUESTION ?= How tall is the lighthouse on Gannet Rock?
BIN := .venv/bin
SOURCES := longctx ingest tui cache tests benchmarks docs

.PHONY: ask test format clean

ask: .venv/base.done
	$(BIN)/longctx ask sample_corpora/library sample_corpora/repository "$(QUESTION)"

test: .venv/dev.done
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/pytest

.venv/base.done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev.done: pyproject.toml .venv/base.done
	$(BIN)/pip install --quiet --disable-pip-version-check -e ".[office,dev]"
	touch $@

format:
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf .venv build dist *.egg-info
