# Everything that is done with this checkout. `make` alone says what there is.

# Bytecode is compiled and kept, whatever the surroundings say: a start without it costs twice as much.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2
OURS := reconciler drivers state tests infra

.DEFAULT_GOAL := help
.PHONY: help install upgrade parts engine engine-stop test test-fast check format demo bench soak sim sim-mutants faults fuzz live live-sweep clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.installed ## .venv with the command `reconcile` and the tools

.venv/.installed: pyproject.toml infra/install.sh infra/constraints.txt
	@PYTHON='$(PYTHON)' bash infra/install.sh

upgrade: ## newer versions of what this project uses, then `make test` (writes infra/constraints.txt)
	@PYTHON='$(PYTHON)' bash infra/install.sh upgrade

parts: install ## the real parts: llama-server, SmolLM2, docker compose, a Docker engine, a registry
	@bash infra/parts/all.sh

engine: parts ## a Docker engine, if none answers (root), and the image of the tests
	@bash infra/engine/engine.sh start && bash infra/engine/engine.sh image && bash infra/engine/engine.sh status

engine-stop: ## stop the engine that `make engine` started
	@bash infra/engine/engine.sh stop

test: parts ## all tests, with the real parts; says how many were skipped and why
	@$(PYTEST) -n $(WORKERS) --dist loadgroup $(ARGS)

test-fast: install ## the tests that start nothing: seconds
	@$(PYTEST) -n $(WORKERS) --dist loadgroup -m 'not docker and not llama and not slow' $(ARGS)

check: install ## format, lint, types, import contracts
	@$(BIN)/ruff format --check $(OURS)
	@$(BIN)/ruff check $(OURS)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: install ## let ruff format and fix what it can
	@$(BIN)/ruff format $(OURS)
	@$(BIN)/ruff check --fix $(OURS)

demo: parts ## the main job, for real, in less than three minutes
	@$(BIN)/python -m infra.demo.demo $(ARGS)

bench: parts ## ratios against docker compose, a bare llama-server and a bare Python
	@$(BIN)/python -m infra.bench.bench $(ARGS)

MINUTES ?= 10
soak: parts ## two services, real models, a fault a minute, and a picture of it all (MINUTES=…)
	@$(BIN)/python -m infra.soak.soak --minutes $(MINUTES) $(ARGS)

SEEDS ?= 10000
sim: install ## the simulator: seeded schedules, every single fault, near crash pairs, with figures (SEEDS=…)
	@$(BIN)/python -m tests.sim --seeds $(SEEDS) --profile mixed --jobs $(WORKERS) --exhaustive --pairs-within 3 $(ARGS)

sim-mutants: install ## is the simulator able to see? takes out each safety mechanism and waits for red
	@$(BIN)/python -m tests.sim.mutants --jobs $(WORKERS) $(ARGS)

faults: install ## kill -9 at every named point of every change, and start again: what became of it (minutes)
	@$(BIN)/python -m tests.faults $(ARGS)

INPUTS ?= 1000000
fuzz: install ## the fuzzer: broken and hostile Compose projects through the whole pure path (INPUTS=…)
	@$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --jobs $(WORKERS) $(ARGS)

TESTS ?= tests/live
live: install ## tests in a real AWS account, which cost money: only if asked for (tests/live/README.md; TESTS=…)
	@$(PYTEST) $(TESTS) $(ARGS)

live-sweep: install ## delete what tests left in that account (ARGS=--dry-run: say it)
	@$(BIN)/python -m tests.live.sweep $(ARGS)

clean: engine-stop ## remove what the other goals made (keeps downloads in the caches of pip and apt)
	@rm -rf .venv .parts .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .fuzz dist build
	@find $(OURS) -name __pycache__ -type d -prune -exec rm -rf {} +
