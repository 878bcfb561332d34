.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
STAMP := .venv/.installed
WORKERS ?= 2
COVERAGE := 95
DEBIAN_PACKAGES := strace chromium gcc libc6-dev prometheus prometheus-alertmanager

.PHONY: help install demo test lint faults image bench bench-quality peers mutants seed-models docs system pins clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

install: $(STAMP) ## make .venv with the pinned packages, dev tools included (PYTHON=... picks another Python)
	@:

$(STAMP): pyproject.toml constraints.txt .ci/install
	@.ci/install

demo: ## play the story end to end through real processes (ARGS=--once: check each step and exit)
	@echo "Membrane demo: about ten seconds, and a minute more the first time, for the install."
	@$(MAKE) --no-print-directory install
	@$(BIN)/membrane demo $(ARGS)

test: install lint ## everything that must be green: lint, types, imports, tests, coverage of membrane/
	$(BIN)/pytest -n $(WORKERS) --dist worksteal --cov --cov-fail-under=$(COVERAGE)

lint: install ## ruff, mypy --strict, import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

faults: install ## the long fault suites: kills, fsync under strace, corruption (about 15 minutes); figures into docs/faults.md
	$(BIN)/pytest tests -m faults --figures docs/faults.md

image: install ## the Dockerfile's install steps in a clean venv, and the dashboard before a real Prometheus (about four minutes)
	$(BIN)/pytest tests/k8s -n 0 -m image

bench: install ## measure every target of speed, with its control (about 20 minutes; ARGS=--quick: two; --scale, --profile: more)
	@$(BIN)/python -m bench $(ARGS)

bench-quality: install ## how good the models are, beside published numbers (some minutes; ARGS='--only tables': a part)
	@$(BIN)/python -m bench.quality $(ARGS)

peers: install ## the same work done by other tools, side by side (makes .venv-peers; about four minutes)
	@test -x .venv-peers/bin/python || { $(BIN)/python -m venv .venv-peers \
		&& .venv-peers/bin/python -m pip install --quiet -r bench/peers/requirements.txt; }
	@$(BIN)/python -m bench.peers

mutants: install ## mutation tests of the precedence table and the due times: no survivor is let through
	@rm -rf mutants
	$(BIN)/mutmut run
	@$(BIN)/mutmut results | { ! grep ': '; }

seed-models: install ## learn the two seed bundles in models/seed again (about a minute)
	$(BIN)/python -m training.make_seed

docs: install ## write the generated parts of docs/ and k8s/ again
	$(BIN)/python -m docs.generate
	$(BIN)/python -m k8s.generate

system: ## install the Debian packages that some tests want (as root)
	@if dpkg -s $(DEBIAN_PACKAGES) >/dev/null 2>&1; then exit 0; \
	elif [[ $$(id -u) -ne 0 ]]; then \
		echo "make system: root is required to install $(DEBIAN_PACKAGES); run it with sudo." >&2; exit 1; \
	else apt-get update -q && apt-get install -qy --no-install-recommends $(DEBIAN_PACKAGES); fi

pins: ## resolve the dependencies anew into constraints*.txt (needs uv)
	@for part in "constraints.txt --all-extras" "constraints-serve.txt" \
		"constraints-image.txt --extra stream --extra train --extra signing --extra otel --extra build"; do \
		uv pip compile pyproject.toml --output-file $$part --upgrade --quiet --python-version 3.11 \
			--generate-hashes --no-header --no-emit-index-url --no-emit-find-links || exit; \
	done

clean: ## remove what the tools leave behind; .venv stays
	rm -rf mutants build *.egg-info .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
		.import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
