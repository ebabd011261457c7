# Every target first installs what it needs and this machine lacks (scripts/setup.sh).
SHELL := /bin/bash
python := .venv/bin/python
# Debian keeps iptables and dnsmasq where a user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PYTHON
# Most of the tests' time is waiting, for the timers of kernels and protocols.
workers := $(shell echo $$((3 * $$(nproc))))

.DEFAULT_GOAL := help
.PHONY: help setup lab test fuzz check bench bench-lab doctor lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything that any target needs
	@scripts/setup.sh all

lab: ## every pair of NATs, each in a Mininet of its own; LAB_ARGS="--nat symmetric --nat none" picks
	@scripts/setup.sh lab
	@$(python) -m lab matrix $(LAB_ARGS)

test: ## all tests, with the coverage gate; PYTEST_ARGS="-k swap --no-cov" picks
	@scripts/setup.sh test
	@$(python) -m pytest -n $(workers) --maxschedchunk 1 --cov=nat_traversal --cov-branch -m 'not measures_time' $(PYTEST_ARGS)
	@$(python) -m pytest -m measures_time --no-cov $(PYTEST_ARGS) || [ $$? = 5 ] # 5: PYTEST_ARGS picks none of these

fuzz: ## the decoders and machines against random octets and faults, for long; FUZZ_ARGS="--fuzz-examples 500" picks
	@scripts/setup.sh check
	@$(python) -m pytest -p tests.fuzzing -m hypothesis --no-cov --timeout 10800 -n auto tests/unit tests/sim $(FUZZ_ARGS)

check: ## lint, format and types
	@scripts/setup.sh check
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy

bench: ## a cell's network beside ip -batch, forwarding beside socat; BENCH_ARGS=--record adds a row to docs/benchmarks.json
	@scripts/setup.sh bench
	@$(python) -m lab bench $(BENCH_ARGS)

bench-lab: ## only a cell's network up and down, side by side with ip -batch and others that make the same
	@scripts/setup.sh bench
	@$(python) -m lab bench lab

doctor: ## what this machine has and lacks for the lab, and what is used instead
	@scripts/setup.sh check
	@$(python) -m lab doctor

lock: ## pin constraints.txt to the newest releases that pyproject.toml admits
	@scripts/setup.sh check
	rm -rf .make
	$(python) -m venv .make/lock
	.make/lock/bin/python -m pip install --quiet --upgrade setuptools
	.make/lock/bin/python -m pip install --quiet --no-build-isolation --editable '.[dev]'
	{ head -1 constraints.txt; .make/lock/bin/python -m pip freeze --all --exclude-editable --exclude pip; } >.make/constraints.txt
	mv .make/constraints.txt constraints.txt
	rm -rf .make

clean: ## remove everything that the other targets made here
	rm -rf .venv .make lab-report build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
