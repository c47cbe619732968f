# make demo    a GAN and a VAE on handwritten digits, and a page that compares them
# make test    the tests that need no network, no GPU and no patience
# Both set up .venv by themselves; PYTHON=python3.12 chooses another interpreter (3.11 to 3.13).

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo-$(shell date +%Y%m%d-%H%M%S)
export WANDB_SILENT ?= true
# Digits are so small that a second thread gains little on an idle machine, and on a busy one the
# threads wait for each other far longer than they work.
export OMP_NUM_THREADS ?= 1

.PHONY: demo docs test test-slow test-browser test-gpu lint format typecheck clean
.DEFAULT_GOAL := help

.PHONY: help
help:
	@sed -n '1,3s/^# //p' Makefile

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] < (3, 14); sys.exit(0 if ok else "synthgen needs Python 3.11, 3.12 or 3.13, and this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@ $(VENV)/.installed

demo: $(VENV)/.installed
	$(BIN)/synthgen run experiment=demo model=gan out=$(DEMO)/gan
	$(BIN)/synthgen run experiment=demo model=vae out=$(DEMO)/vae
	$(BIN)/synthgen compare $(DEMO)/gan $(DEMO)/vae out=$(DEMO)/comparison
	@echo "Open $(DEMO)/gan/report/report.html, $(DEMO)/vae/report/report.html and $(DEMO)/comparison/comparison.html"

# Each worker takes a file at a time and about 2 GB of memory.
test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

# The pages of docs/ as a site, at http://127.0.0.1:8000.
docs: $(VENV)/pyvenv.cfg
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[docs]'
	$(BIN)/mkdocs serve

# Needs a CUDA device.
test-gpu: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m gpu

# Needs a Chromium on the PATH (Debian: apt-get install chromium).
test-browser: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m browser

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

typecheck: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) dist build .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +
