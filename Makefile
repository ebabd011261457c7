# Every target first installs what it needs and this machine lacks (scripts/setup.sh).
SHELL := /bin/bash
python := .venv/bin/python
# Debian keeps iptables and dnsmasq where a user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PYTHON
# The tests start hundreds of interpreters: without stored bytecode each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE
# Some tests compute; most of the time of those over loopback and in the lab is waiting, for the timers of kernels and protocols.
# So they run at once, and what computes gives way.
side_by_side := scripts/side_by_side.sh
computing := nice -n 5 $(python) -m pytest -n $(shell nproc) --dist worksteal tests/exploration tests/sim tests/unit
loopback := $(python) -m pytest -n $(shell echo $$((2 * $$(nproc)))) --dist worksteal tests/loopback
in_lab := $(python) -m pytest -n $(shell echo $$((4 * $$(nproc)))) -p no:hypothesispytest tests/lab
daily := -m 'not builds and not long'

.DEFAULT_GOAL := help
.PHONY: help setup lab test test-fast test-measured test-plain coverage fuzz explore soak scoreboard ladder-runs check bench bench-lab doctor docs dist lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## install everything that any target but scoreboard needs
	@scripts/setup.sh all

lab: ## every pair of NATs, each in a Mininet of its own; LAB_ARGS="--nat symmetric --nat none" picks
	@scripts/setup.sh lab
	@$(python) -m lab matrix $(LAB_ARGS)

test: ## all tests but those of test-measured; PYTEST_ARGS="-k swap" picks
	@scripts/setup.sh test
	@$(side_by_side) $(computing) $(PYTEST_ARGS) --and $(loopback) $(PYTEST_ARGS) --and $(in_lab) -m 'not measures_time' $(PYTEST_ARGS)

# One after the other, with nothing beside them: most of it is waiting.
test-measured: ## the tests that measure time in the lab, which others beside them would disturb: about three minutes
	@scripts/setup.sh test
	@$(python) -m pytest -m measures_time tests/lab $(PYTEST_ARGS)

test-fast: ## units, virtual clock and loopback, in under a minute: no build, and none that is marked long
	@scripts/setup.sh check
	@$(side_by_side) $(computing) $(daily) $(PYTEST_ARGS) --and $(loopback) $(daily) $(PYTEST_ARGS)

# Other systems have none of Linux' own features; tests of these are skipped by name.
test-plain: ## units, virtual clock and sockets without what Linux alone has, as on another system
	@scripts/setup.sh check
	@PYTHONPATH=tests/plain_system $(python) -m pytest -n $$(nproc) --ignore tests/unit/natlab --ignore tests/unit/project \
		tests/unit tests/sim tests/loopback/aio $(PYTEST_ARGS)

# The tests that prove nat_traversal itself, and one case of each in the simulated world (tests/covering.py): with all others
# they would take five times as long.
coverage: ## 95 % of the lines and branches of nat_traversal are run by its own tests
	@scripts/setup.sh check
	@$(python) -m pytest -p tests.covering -n $$((2 * $$(nproc))) --dist worksteal --cov=nat_traversal --cov-branch --cov-report=term-missing:skip-covered \
		--ignore tests/unit/natlab --ignore tests/unit/project tests/unit tests/sim tests/loopback $(PYTEST_ARGS)

fuzz: ## the decoders and machines against random octets and faults, for long; FUZZ_ARGS="--fuzz-examples 500 --fuzz-seeds 2" picks
	@scripts/setup.sh check
	@$(python) -m pytest -p tests.fuzzing -m "hypothesis or seeded" --timeout 10800 -n auto tests/unit tests/sim $(FUZZ_ARGS)

explore: ## every order of one attempt's events within bounds, by the real machines; EXPLORE_ARGS="--faults 1" picks
	@scripts/setup.sh check
	@$(python) -m tests.exploration $(EXPLORE_ARGS)

soak: ## an hour of faults in the lab, a fault each 20 s: nothing grows, doubles or goes astray; SOAK_ARGS="--for 10m" picks
	@scripts/setup.sh test
	@$(python) -m tests.soak $(SOAK_ARGS)

scoreboard: ## programs that others made, and ours, through the NATs; SCOREBOARD_ARGS="--rival aioice --pairs presets" picks
	@scripts/setup.sh scoreboard
	@scripts/scoreboard.sh
	@$(python) -m scoreboard $(SCOREBOARD_ARGS)

ladder-runs: ## 20 runs of every pair, beside aioice with coturn (docs/ladder-runs.md); RUNS_ARGS="--most 60" does a share
	@scripts/setup.sh scoreboard
	@scripts/scoreboard.sh
	@$(python) -m scoreboard.runs $(RUNS_ARGS)

check: ## lint, format, types, and the workflows
	@scripts/setup.sh check
	$(python) -m ruff check
	$(python) -m ruff format --check
	$(python) -m mypy
	.venv/bin/zizmor --offline --quiet --persona pedantic --min-severity low .github action.yml

bench: ## a cell's network beside ip -batch, forwarding beside socat; BENCH_ARGS=--record adds a row to docs/benchmarks.json
	@scripts/setup.sh bench
	@$(python) -m lab bench $(BENCH_ARGS)

bench-lab: ## only a cell's network up and down, side by side with ip -batch and others that make the same
	@scripts/setup.sh bench
	@$(python) -m lab bench lab

doctor: ## what this machine has and lacks for the lab, and what is used instead
	@scripts/setup.sh check
	@$(python) -m lab doctor

docs: ## the documents as a site in build/site; a dead link or an unlisted page is an error
	@scripts/setup.sh check
	@$(python) -m sphinx --quiet --fail-on-warning --keep-going -c docs/site . build/site
	@echo build/site/index.html

dist: ## what a release holds, in dist/: sdist, wheel, one-file program, manual pages, shells' completion
	@scripts/setup.sh check
	@scripts/dist.sh

# uv resolves for every supported Python at once, from the oldest; pip for the running one only.
lock: ## pin constraints.txt to the newest releases that pyproject.toml admits, for every supported Python
	@scripts/setup.sh check
	rm -rf .make/lock
	$(python) -m venv .make/lock
	.make/lock/bin/python -m pip install --quiet uv
	{ head -1 constraints.txt; .make/lock/bin/uv pip compile --quiet --universal --python-version 3.11.0 --fork-strategy fewest \
		--python $(python) --no-python-downloads --no-header --no-annotate --extra dev pyproject.toml; } >.make/constraints.txt
	mv .make/constraints.txt constraints.txt
	rm -rf .make/lock

clean: ## remove everything that the other targets made here
	rm -rf .venv .make lab-report build dist *.egg-info .coverage* .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
