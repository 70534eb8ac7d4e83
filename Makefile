.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help setup demo up test coverage alarms history bench torture golden lock sbom audit

help: ## List the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9]+):.*## /  make \1\t/' | expand -t 16

# requirements.lock has what a production needs; requirements-dev.lock has that and all else, in the
# same versions. A lock names every package with its hash, so nothing is resolved (--no-deps) and nothing else is
# accepted. The stamp makes a second call instant.
.venv/ready: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed (set PYTHON=...)" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup: .venv/ready ## Make the environment in .venv (a minute or two the first time)

demo: .venv/ready ## Settle five months of the demo data with embedded S3 and Prefect
	@$(BIN)/python -m flows.commands.demo

up: .venv/ready ## Start the whole stack on this machine; Ctrl-C ends it
	@$(BIN)/python -m flows.commands.up

alarms: .venv/ready ## Apply the alarms (automations) to your Prefect server, or to that of make up
	@$(BIN)/python -m flows.commands.alarms

history: .venv/ready ## List all settlement runs, from your S3 alone, or from that of make up
	@$(BIN)/python -m flows.commands.history

test: .venv/ready ## Run the linters and all tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar tasks/sql
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

coverage: .venv/ready ## Run all tests and report which lines and branches they never reach
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 3 --dist loadfile --no-loadscope-reorder
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: .venv/ready ## Measure against peers on the same data (several minutes)
	@$(BIN)/python -m tests.bench $(ARGS)

torture: .venv/ready ## Break the network, kill, race, fuzz and flood; print what is wrong (half an hour)
	@$(BIN)/python -m tests.torture $(ARGS)

golden: .venv/ready ## Write the expected reports and the JSON Schemas again
	$(BIN)/python -m tests.golden

COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-annotate --no-header
lock: .venv/ready ## Resolve all versions again into both locks
	$(COMPILE) --upgrade --all-extras --group dev pyproject.toml --output-file requirements-dev.lock
	$(COMPILE) --upgrade --constraints requirements-dev.lock pyproject.toml --output-file requirements.lock

sbom: .venv/ready ## List what a production installs, with licences, in build/sbom.json (CycloneDX)
	@mkdir -p build && $(BIN)/uv venv --quiet --clear build/production
	@$(BIN)/uv pip install --quiet --python build/production --no-deps --require-hashes -r requirements.lock
	@$(BIN)/uv tool run --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py environment build/production --pyproject pyproject.toml --output-file build/sbom.json
	@echo "build/sbom.json"

audit: .venv/ready ## Look for known vulnerabilities in what a production installs
	@$(BIN)/python -m tests.audit
