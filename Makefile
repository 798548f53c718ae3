# The two commands to know: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Two processes, each of which takes the next file when it is through with one; tests/conftest.py says in what order.
TWO := --numprocesses 2 --dist loadfile --no-loadscope-reorder
export DBT_NO_VERSION_CHECK := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

.PHONY: help
help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

$(READY): requirements.lock pyproject.toml
	@echo "==> setting up $(VENV) from requirements.lock (once; about 1.3 GB)"
	@if command -v uv > /dev/null && uv --version > /dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(VENV) && \
		uv pip install --quiet --compile-bytecode --python $(BIN)/python --no-deps -r requirements.lock && \
		uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e . ; \
	else \
		$(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -r requirements.lock && \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . ; \
	fi
	@mkdir -p "$${ANALYTICS_STORAGE:-storage}"
	@touch $(READY)

.PHONY: setup
setup: $(READY) ## Make the virtual environment from the lock

.PHONY: demo
demo: $(READY) ## The main job on the real events of samples/: ingest, build, gate, publish, headline numbers
	@$(BIN)/agent-analytics demo

.PHONY: test
test: lint ## All tests but those of test-faults, with lint
	@echo "==> all tests"
	@$(BIN)/python -m pytest -m "not faults" --durations 25 $(TWO)

.PHONY: test-fast
test-fast: $(READY) ## The quick tests
	@$(BIN)/python -m pytest -m "not slow and not faults" $(TWO)

.PHONY: test-faults
test-faults: $(READY) ## Kills and corruption at every stage
	@$(BIN)/python -m pytest -m faults

SUPERSET := bi/superset/.venv
$(SUPERSET)/.ready: bi/superset/requirements.lock
	@echo "==> setting up $(SUPERSET) (once; about 900 MB)"
	@if command -v uv > /dev/null && uv --version > /dev/null 2>&1; then \
		uv venv --quiet --allow-existing --python $(PYTHON) $(SUPERSET) && \
		uv pip install --quiet --compile-bytecode --python $(SUPERSET)/bin/python --no-deps -r $< ; \
	else \
		$(PYTHON) -m venv $(SUPERSET) && \
		$(SUPERSET)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r $< ; \
	fi
	@touch $@

.PHONY: superset
superset: $(SUPERSET)/.ready ## Superset with the dashboards of bi/superset, at http://127.0.0.1:8088
	@bi/superset/serve.sh

.PHONY: test-bi
test-bi: $(READY) $(SUPERSET)/.ready ## Superset's dashboard in a headless Chromium, during a publication (10 minutes)
	@command -v chromium > /dev/null && command -v chromedriver > /dev/null || { \
		echo "==> installing Chromium" ; apt-get update -qq && apt-get install -qq --no-install-recommends chromium chromium-driver > /dev/null ; }
	@$(SUPERSET)/bin/python -m pytest -c /dev/null -p no:cacheprovider -q bi/superset

.PHONY: soak
soak: $(READY) ## 500 ticks with random faults, then compared with a full refresh; goes on where it was stopped
	@$(BIN)/python tests/soak.py ticks --root "$${SOAK_ROOT:-.tmp/soak}"

.PHONY: tiny-loads
tiny-loads: $(READY) ## 3,000 tiny loads by ingest alone, then 10 ticks: how long they take, how many files there are
	@$(BIN)/python tests/soak.py tiny-loads --root "$${SOAK_ROOT:-.tmp/soak}/tiny"

.PHONY: lint
lint: $(READY) ## ruff, mypy, sqlfluff
	@$(MAKE) --no-print-directory --jobs 2 ruff mypy sqlfluff

.PHONY: ruff mypy sqlfluff
ruff:
	@echo "==> ruff"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
mypy:
	@echo "==> mypy"
	@$(BIN)/mypy
sqlfluff:
	@echo "==> sqlfluff"
	@$(BIN)/sqlfluff lint --processes 2 --disable-progress-bar models

.PHONY: format
format: $(READY) ## Put Python and SQL into the project's style
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	@$(BIN)/sqlfluff fix --processes 2 models

.PHONY: dagster
dagster: $(READY) ## Dagster's UI on the pipeline, at http://127.0.0.1:3000
	@$(BIN)/python -m orchestration --host 127.0.0.1 --port 3000

.PHONY: bench
bench: $(READY) ## Measure ingest, build, ticks, gate and publish against bare DuckDB; writes docs/benchmarks.md
	@$(BIN)/python -m benchmarks

.PHONY: lock
lock: $(READY) ## Resolve requirements.in into requirements.lock (needs uv)
	@uv pip compile --quiet requirements.in --override requirements.overrides --universal --python-version 3.11 \
		--no-emit-index-url --no-header --no-annotate -o requirements.lock
	@sed -i '1i # Made of requirements.in by `make lock`. Installed without dependency resolution, with uv or with plain pip.' \
		requirements.lock

.PHONY: docs
docs: $(READY) ## dbt's docs as one page that needs no server: site/index.html; column types are those published
	@storage="$${ANALYTICS_STORAGE:-storage}"; \
	if [ -e "$$storage/published/analytics.duckdb" ]; then target=published; empty=; else target=lint; empty=--empty-catalog; fi; \
	$(BIN)/dbt --quiet parse --target $$target --target-path target/docs; \
	$(BIN)/dbt --quiet docs generate --static --no-compile $$empty --target $$target --target-path target/docs
	@mkdir -p site && cp target/docs/static_index.html site/index.html
	@echo "==> site/index.html"

.PHONY: clean
clean: ## Remove what was generated (not storage/)
	@rm -rf site target logs .pytest_cache .mypy_cache .ruff_cache
