# Two commands do everything: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEMO   ?= build/claims
CLAIMS := examples/claims/compilm.toml
QUESTION := Why was CLM-24-417316 denied? The patient was seen in March.

.DEFAULT_GOAL := help
.PHONY: help demo test lint types imports unit chaos lock clean

help:
	@echo "make demo   compile, prove and ask the claims desk, without any key"
	@echo "make test   lint, types, layers, tests and docs"
	@echo "make chaos  kill a compile 20 times and compare (slow)"
	@echo "make lock   resolve requirements.lock anew"

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $(STAMP)

# The variable for mlflow ui: without a network its import of litellm never ends (see tracking.py).
demo: $(STAMP)
	$(BIN)/compilm compile --config $(CLAIMS) --out $(DEMO) --journal $(DEMO).db --track sqlite:///$(DEMO)-mlflow.db
	@echo
	@echo 'A question to the saved artifact: $(QUESTION)'
	$(BIN)/compilm run $(DEMO) --config $(CLAIMS) 'message=$(QUESTION)'
	@echo
	@echo 'Next:'
	@echo '  open $(DEMO)/report.html                                    the report: curve, interval, what changed'
	@echo '  $(BIN)/compilm serve $(DEMO) --config $(CLAIMS)'
	@echo '  LITELLM_LOCAL_MODEL_COST_MAP=True $(BIN)/mlflow ui --backend-store-uri sqlite:///$(DEMO)-mlflow.db'

test: lint types imports unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

unit: $(STAMP)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

chaos: $(STAMP)
	$(BIN)/python benchmarks/chaos.py --kills 20

lock:
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-strip-extras --output-file requirements.lock

clean:
	rm -rf $(VENV) build .compilm .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache
