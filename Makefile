# Every target is one line a person could type; `make check` is what CI runs.
UV ?= $(shell command -v uv || echo .tools/bin/uv)
RUN := $(UV) run --group dev

.DEFAULT_GOAL := help
.PHONY: help check format lint imports types migrations deploy test

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

check: ## everything CI checks: format, lint, imports, types, migrations, deploy, tests
	$(RUN) ruff format --check .
	$(RUN) ruff check .
	$(RUN) lint-imports
	$(RUN) mypy .
	$(MAKE) migrations deploy test

format: ## rewrite the code in the house's format
	$(RUN) ruff format . && $(RUN) ruff check --fix .

test: ## the whole test suite
	$(RUN) pytest
