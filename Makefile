# Two commands do everything: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
WORKERS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
DEMO   ?= build/claims
CLAIMS := examples/claims/compilm.toml
QUESTION := What was the reason for the denial of CLM-24-125786? The patient was seen in November.

.DEFAULT_GOAL := help
.PHONY: help demo desk test lint types imports unit bridges coverage chaos soak soak-graphs soak-runtime bench-optimizers bench-runtime lock clean

help:
	@echo "make demo   compile, prove and ask the claims desk, without any key"
	@echo "make desk   compile the whole claims desk, and hold its conversations"
	@echo "make test   lint, types, layers, tests and docs"
	@echo "make bridges  the bridges to other frameworks, in an environment that has them"
	@echo "make coverage  the tests again, with the branches they take"
	@echo "make chaos  kill a compile 20 times and compare (slow)"
	@echo "make soak   200 cut compiles, 1,000 random budgets (slow)"
	@echo "make bench-optimizers  compilm beside DSPy's optimizers; writes docs/benchmarks.md (hours)"
	@echo "make bench-runtime  the runtime beside its peers; writes docs/benchmarks-runtime.md (half an hour or more)"
	@echo "make soak-graphs  200 kills of graph runs: does every run end, does an effect happen twice"
	@echo "make soak-runtime   200,000 calls, 1,000 streams: does memory grow, does anything mix"
	@echo "make lock   resolve requirements.lock and requirements-bridges.lock anew"

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --require-hashes -r requirements.lock
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

# The whole desk of examples/claims: compiled, and 71 scripted conversations held with it.
desk: $(STAMP)
	$(BIN)/compilm compile --config examples/claims/desk.toml --out build/desk --journal build/desk.db
	cd examples/claims && ../../$(BIN)/python talk.py ../../build/desk

test: lint types imports unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

imports: $(STAMP)
	$(BIN)/lint-imports

# A worker for each core and one more, as some tests wait for servers; WORKERS=0 runs all in one
# process, as a bare pytest does.
unit: $(STAMP)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist worksteal

# CrewAI and AutoGen ask for versions of what we have newer: the frameworks get an environment of
# their own. It is large, so `make test` goes without: it tests the other bridges.
ACROSS  := build/bridges-venv
FRAMEWORKS := $(foreach name,langgraph langchain llamaindex crewai autogen,tests/bridges/test_$(name).py)

$(ACROSS)/.installed: requirements-bridges.lock
	$(PYTHON) -m venv $(ACROSS)
	$(ACROSS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-compile --only-binary :all: -r requirements-bridges.lock
	$(ACROSS)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

bridges: $(ACROSS)/.installed
	COMPILM_BRIDGES=required $(ACROSS)/bin/python -m pytest --numprocesses $(WORKERS) --dist worksteal \
	  $(FRAMEWORKS) src/compilm/bridges 'tests/docs/test_snippets.py::test_the_page_does_what_it_shows[bridges.md]'

# The same tests, with every branch counted, in subprocesses too: twice the time.
coverage: $(STAMP)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest --numprocesses $(WORKERS) --dist worksteal
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

chaos: $(STAMP)
	$(BIN)/python benchmarks/chaos.py --kills 20

soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak --cuts 200 --budgets 1000

# Rows that are there are not run again. COMPILM_DATA names a folder with banking77 and nlupp.
ROWS    := build/bench
RUN     := PYTHONHASHSEED=0 $(BIN)/python -m benchmarks.optimizers.run --processes 2
WORLDS  := rules,demos,credit,harm
THEIRS  := mipro@1000,gepa@1000,bootstrap-rs@1000,simba@1000,mipro-medium@1000,mipro@300,gepa@300,bootstrap-rs@300,simba@300,mipro@2500,gepa@2500,bootstrap-rs@2500,simba@2500
TASKS   := b77-10,b77-25,b77-77,desk-10,desk-25in5,nlupp,claims
THEIRS_REAL := zero-shot,labeled,knn,knn-4,mipro@1000,gepa@1000,bootstrap-rs@1000,infer-rules@1000,simba@1000,mipro@300,bootstrap-rs@300,infer-rules@300,mipro@2500,gepa@2500,bootstrap-rs@2500,simba@2500,infer-rules@2500
OURS    := ours-2@1000,ours-2@300,ours-2@2500,ours-1@300,ours-1@1000,ours-3@1000

bench-optimizers: $(STAMP)
	@mkdir -p $(ROWS)
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1750-1769 --worlds $(WORLDS),null --contestants $(OURS),$(THEIRS)
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1770-1899 --worlds $(WORLDS) --contestants ours-2@1000
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1770-1899 --worlds $(WORLDS),null --contestants ours-2@300
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1770-1829 --worlds $(WORLDS) --contestants ours-2@2500
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1750-1849 --worlds credit --contestants ours-1@1000
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1750-1949 --worlds null,trap --contestants ours-2@1000
	$(RUN) --out $(ROWS)/worlds.jsonl --seeds 1750-1759 --worlds rules/8,demos/8,credit/8,harm/8 --contestants ours-2@1000,mipro@1000,gepa@1000
	$(RUN) --out $(ROWS)/real.jsonl --seeds 0-19 --tasks $(TASKS) --contestants ours-2@1000,ours-2@300,ours-1@300,ours-2@2500,$(THEIRS_REAL)
	$(BIN)/python -m benchmarks.optimizers.scores $(ROWS)/real.jsonl | sed 's/^## /### /' > $(ROWS)/real.md
	$(BIN)/python -m benchmarks.optimizers.wall > $(ROWS)/wall.md
	$(BIN)/python -m benchmarks.optimizers.publish --worlds $(ROWS)/worlds.jsonl --real $(ROWS)/real.md --wall $(ROWS)/wall.md --out docs

# The peers are not in our lock: a venv of their own, with what they need and what we need.
BENCH   := build/bench-venv
PEERS   := benchmarks/runtime/requirements.txt
MEASURE := PYTHONPATH=src:. $(BENCH)/bin/python -m benchmarks.runtime
ROUNDS  ?= 5

$(BENCH)/.installed: $(PEERS)
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: -r $(PEERS)
	@touch $@

bench-runtime: $(BENCH)/.installed
	$(MEASURE).run --rounds $(ROUNDS) --out $(ROWS)/runtime.jsonl
	$(MEASURE).publish $(ROWS)/runtime.jsonl --out docs

soak-graphs: $(STAMP)
	$(BIN)/python -m benchmarks.graph_kills --kills 200

soak-runtime: $(STAMP)
	$(BIN)/python -m benchmarks.endurance --calls 200000 --streams 1000

lock:
	uv pip compile pyproject.toml --extra all --extra bridges --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-strip-extras --output-file requirements.lock
	uv pip compile pyproject.toml --extra bridges --extra crewai --extra autogen --group bridges --universal --python-version 3.11 \
	  --generate-hashes --no-annotate --no-header --no-emit-index-url --no-strip-extras --output-file requirements-bridges.lock

clean:
	rm -rf $(VENV) build .compilm .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache
