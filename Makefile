# Every command a person or CI needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
KERNELS := operator/polyhull/planning/kernels operator/polyhull/optimize/large
LIBRARIES := $(KERNELS:%=%/_kernel.so)
DATA ?= ../shared/data
EXAMPLE := examples/edge-to-cloud

.PHONY: help setup check verify crds test unit cluster demo plan ground image image-test bench fuzz lock clean

help: ## This list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements/dev.txt requirements/debian.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Polyhull needs Python 3.11 or newer: install it, or name one with make PYTHON=python3.12 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "Python's venv module is missing: install it (Debian, Ubuntu: apt-get install python3-venv)."; exit 2; }
	@hack/debian.sh
	@echo "Setting up $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(LIBRARIES) &: $(STAMP) hatch_build.py $(wildcard $(KERNELS:%=%/*.[ch])) $(KERNELS:%=%/source.py)
	@$(BIN)/python hatch_build.py

setup: $(STAMP) $(LIBRARIES) ## The Python environment, from the hash-locked requirements

check: setup ## Format, lint, types, import contract, fast tests: seconds
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pytest -q -m "not cluster and not slow" tests

verify: setup ## Generated files are what the sources say (CRDs, chart)
	@$(BIN)/pytest -q tests/architecture

crds: setup ## Write crds/ and the chart's copies anew from the kinds and the catalogue
	@$(BIN)/python -m polyhull.api.schema
	@$(BIN)/python charts/sync.py

test: setup ## Everything, the tests against real control planes included
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/python -m hack.ground build
	@$(BIN)/pytest tests -n 2 --dist loadfile --no-loadscope-reorder --durations=15

unit: setup ## The tests that need no cluster
	@$(BIN)/pytest -q -m "not cluster" tests

cluster: setup ## Only the tests against real control planes
	@$(BIN)/python -m hack.ground build
	@$(BIN)/pytest -m cluster tests

demo: setup ## Hub, edge and cloud on this machine; the example runs to its end (KEEP=1 keeps it)
	@$(BIN)/python -m hack.demo $(if $(KEEP),--keep)

plan: setup ## The example's plan, without any cluster
	@$(BIN)/polyhull plan -f $(EXAMPLE)

ground: setup ## Start the proving ground and print its kubeconfigs (stop: python -m hack.ground stop)
	@$(BIN)/python -m hack.ground start

image: setup ## The operator's image by buildah, no engine needed (root on Debian; the first time takes minutes)
	@$(BIN)/python -m hack.image build

image-test: setup ## Start that image against a proving ground: its user, a read-only root, a job
	@$(BIN)/python -m hack.image test

bench: setup ## Every figure as a JSON line, half an hour on two idle cores; QUICK=1: a smoke run (DATA=folder, ONLY='plan-*')
	@$(BIN)/python -m benchmarks all --data $(DATA) $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)')

fuzz: setup ## The properties on ten thousand instances, dear ones on a share of them: hours, ten thousand fast answers beside their definition
	@POLYHULL_EXAMPLES=10000 $(BIN)/pytest -q tests/properties --timeout=7200

lock: ## Lock the dependencies anew, with hashes and without index addresses
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header pyproject.toml -o requirements/runtime.txt
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements/dev.txt
	@echo 'hatchling>=1.27' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --constraints requirements/dev.txt - -o requirements/build.txt

clean: ## Remove what was built here (the binaries' cache stays)
	@rm -rf $(VENV) $(LIBRARIES) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
