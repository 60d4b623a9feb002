# Every target is one line a person could type; `make check` is what CI runs.
UV ?= $(shell command -v uv || echo $(CURDIR)/.tools/bin/uv)
export UV
RUN := $(UV) run --group dev

.DEFAULT_GOAL := help
.PHONY: help check format lint imports types migrations deploy tests contract story races bench chaos openapi lock image-check

help: ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

check: ## everything CI checks: format, lint, imports, types, migrations, deploy, tests
	bash .ci/check

lint imports types migrations deploy tests contract story races bench chaos: ## one of these stages alone
	bash .ci/check $@

format: ## rewrite the code in the house's format
	$(RUN) ruff format . && $(RUN) ruff check --fix .

openapi: ## write docs/openapi.yaml, problems.md and ledger-actions.md anew, from the code
	$(RUN) python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml && $(RUN) python manage.py write_problems && $(RUN) python manage.py write_ledger_actions

lock: ## resolve the dependencies anew: requirements.lock and its mirror in pyproject.toml
	python3 .ci/lock.py $(UV)

image-check: ## run the image's own install and entry commands here, without Docker (needs the package index; ~1 min)
	bash docker/check-image.sh
