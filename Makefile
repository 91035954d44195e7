# One control panel. Everything that a target needs is set up by itself; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := /bin/sh
export PATH := $(CURDIR)/build/bin:$(PATH)

LAB := build/venv-lab/bin/python
TEST := build/venv-test/bin/python
BIN := build/venv-test/bin
# The clone under the path that Ansible wants; build/ is where setup puts it.
COLLECTION := build/workspace/ansible_collections/microservices/autoscale
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/workspace
PYTHONS := plugins tests
PYTEST_ARGS ?=

.PHONY: help
help: ## Show the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 24

.PHONY: setup-lab setup setup-hosts
setup-lab: ## Install what the lab and the demo need
	@python3 tests/lab/setup.py lab

setup: setup-lab ## Install what the lab, the demo and the tests need
	@python3 tests/lab/setup.py test

setup-hosts: setup-lab ## Install what the hosts lab needs, too: packages of Debian's, as root
	@python3 tests/lab/setup.py hosts

.PHONY: demo
demo: setup-lab ## Show a flash crowd on the local lab, with a report in build/demo
	@$(LAB) tests/lab/demo.py

.PHONY: lab-up lab-down
lab-up: setup-lab ## Start the local lab in the background (inventories/local)
	@$(LAB) tests/lab/lab.py up

lab-down: setup-lab ## End the local lab
	@$(LAB) tests/lab/lab.py down

.PHONY: hosts-up hosts-down
hosts-up: setup-hosts ## Start the hosts lab: containers with systemd, reached by ssh (inventories/lab)
	@$(TEST) tests/lab/hosts.py up

hosts-down: setup-hosts ## Take the hosts lab away
	@$(TEST) tests/lab/hosts.py down

# The hosts lab needs root, and Debian's packages.
ON_HOSTS := $(and $(filter 0,$(shell id -u)),$(shell command -v apt-get))

# Molecule waits for its hosts most of the time: the others run beside it, one after the other, and the tests on hosts when it is done.
.PHONY: test beside-molecule images without-hosts
test: $(if $(ON_HOSTS),images,without-hosts) ## Everything; ends with the integration tests
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(if $(ON_HOSTS),molecule) beside-molecule

beside-molecule: setup
	$(MAKE) --no-print-directory check sanity unit
	$(MAKE) --no-print-directory --output-sync=none integration

without-hosts:
	@echo "Without root on a Debian there is no hosts lab: molecule's scenarios and the tests on hosts are left out."

# Beside the fast checks: it waits for the archive most of the time. What needs the images waits for it.
images: setup-hosts
	@mkdir -p build
	@$(TEST) tests/lab/hosts.py images >build/images.log 2>&1 &

.PHONY: check
check: format-check types lint changelog-check ## The fast checks

.PHONY: format format-check types lint changelog-check sanity unit molecule hosts integration
format: setup ## Format the code
	$(BIN)/ruff check --fix $(PYTHONS)
	$(BIN)/ruff format $(PYTHONS)

format-check: setup
	$(BIN)/ruff check $(PYTHONS)
	$(BIN)/ruff format --check $(PYTHONS)

types: setup
	$(BIN)/mypy -p ansible_collections.microservices.autoscale.plugins.module_utils
	MYPYPATH=tests/lab $(BIN)/mypy --python-version 3.11 tests/lab

# With a home of its own: ansible-lint installs the collection there, and would find an older one in a person's.
lint: setup
	PATH="$(CURDIR)/$(BIN):$$PATH" ANSIBLE_HOME="$(CURDIR)/build/lint" $(BIN)/ansible-lint --offline --profile production --strict

changelog-check: setup
	cd $(COLLECTION) && PATH="$(CURDIR)/$(BIN):$$PATH" antsibull-changelog lint

sanity: setup ## ansible-test sanity, on a copy
	$(TEST) tests/sanity/run.py

unit: setup ## Unit tests
	$(TEST) -m pytest tests/unit -q $(PYTEST_ARGS)

# The rolling restart of Consul's servers takes minutes: all of its scenario belongs to the full loops.
MOLECULE := $(TEST) tests/lab/hosts.py run molecule
molecule: setup-hosts ## Molecule's scenarios, on the hosts lab
	$(MOLECULE) test --all --exclude consul --destroy=never

hosts: setup-hosts ## Integration tests on the hosts lab
	$(TEST) -m pytest tests/integration/hosts -q $(PYTEST_ARGS)

# The tests on the hosts lab run in one of the three processes.
integration: $(if $(ON_HOSTS),setup-hosts,setup) ## Integration tests on real processes
	$(TEST) -m pytest tests/integration $(if $(ON_HOSTS),,--ignore tests/integration/hosts) -q -n 3 --no-loadscope-reorder $(PYTEST_ARGS)

.PHONY: faults
faults: $(if $(ON_HOSTS),setup-hosts,setup) ## Full loops with faults in them, and newer balancers, over an hour long
	$(if $(ON_HOSTS),$(MOLECULE) test --scenario-name consul --destroy=never)
	$(TEST) -m pytest tests/integration $(if $(ON_HOSTS),,--ignore tests/integration/hosts) -q -m faults -n 2 --no-loadscope-reorder $(PYTEST_ARGS)

.PHONY: bench
bench: $(if $(ON_HOSTS),hosts-up,setup) ## Measure, side by side with the alternative; AUTOSCALE_TRACES is a folder of loads to replay
	@set -e; for each in $(if $(ON_HOSTS),$(patsubst tests/bench/bench_%.py,%,$(wildcard tests/bench/bench_*.py)),decide drain pools reconcile register replay); do \
	  $(TEST) tests/bench/bench_$$each.py; \
	done

.PHONY: changelog artifact
changelog: setup ## Write CHANGELOG.md for the version in galaxy.yml from the fragments
	cd $(COLLECTION) && PATH="$(CURDIR)/$(BIN):$$PATH" antsibull-changelog release --reload-plugins --update-existing

artifact: setup ## Build the artifact into build/
	$(BIN)/ansible-galaxy collection build --force --output-path build/artifact .

.PHONY: requirements
requirements: ## Pin the newest versions of what tests/requirements/*.in name
	@set -e; for each in lab test; do \
	  uv pip compile --quiet --upgrade --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
	    tests/requirements/$$each.in --output-file tests/requirements/$$each.txt; \
	  sed -i "1i # Written by \`make requirements\` from $$each.in." tests/requirements/$$each.txt; \
	done
