# `make demo` shows a living console, `make test` proves it. Nothing here needs root.
# Writes below this folder and in the cache folder only.

CACHE := $(or $(XDG_CACHE_HOME),$(and $(HOME),$(HOME)/.cache),$(CURDIR)/.cache)/infra-console
export PIP_CACHE_DIR ?= $(CACHE)/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1

PY := .venv/bin/python
STAMPS := .venv/.stamps
PIP_INSTALL := $(PY) -m pip install --progress-bar on
DEMO ?=
PYTEST ?=

.PHONY: help demo up test lint constraints clean
help:
	@echo "make demo         the whole console on a simulated fleet (DEMO='--port 8001' adds options)"
	@echo "make test         install and run every check (PYTEST='-k name' adds options)"
	@echo "make lint         format and lint in place"
	@echo "make constraints  choose and pin the newest versions that fit pyproject.toml"
	@echo "make clean        remove what was installed and fetched; the state in .state stays"

demo: $(STAMPS)/embedded $(STAMPS)/frontend
	@exec $(PY) manage.py demo $(DEMO)

up: $(STAMPS)/embedded $(STAMPS)/frontend
	@exec $(PY) manage.py up $(DEMO)

test: $(STAMPS)/test $(STAMPS)/frontend
	@$(PY) -m infra_console.embedded.prometheus_program
	@$(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(PYTEST)

lint: $(STAMPS)/test
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

# A Python of 3.11 or 3.12 that can make environments; said in one line when there is none.
$(STAMPS)/venv:
	@python=; for name in $(PYTHON) python3.11 python3.12 python3; do \
	    if command -v "$$name" >/dev/null 2>&1 && "$$name" -c \
	        'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' 2>/dev/null; \
	    then python="$$name"; break; fi; done; \
	if [ -z "$$python" ]; then \
	    echo "Missing: Python 3.11 or 3.12. Install it (Debian: apt-get install python3 python3-venv), or name it with PYTHON=." >&2; exit 2; fi; \
	if ! "$$python" -c 'import venv, ensurepip' 2>/dev/null; then \
	    echo "Missing: the venv module of $$python. Install it (Debian: apt-get install python3-venv)." >&2; exit 2; fi; \
	echo "making .venv with $$("$$python" --version)"; \
	"$$python" -m venv --clear .venv
	@mkdir -p $(STAMPS) && touch $@

# One folder of stamps inside .venv: a removed environment forgets what it had installed.
$(STAMPS)/embedded: pyproject.toml constraints.txt | $(STAMPS)/venv
	@echo "installing Python packages (3 GB on disk, 6 GB where torch comes with CUDA; minutes the first time)"
	@$(PIP_INSTALL) -c constraints.txt -e '.[embedded]' \
	    || { echo "Could not install the Python packages: see pip's message above." >&2; exit 2; }
	@touch $@

$(STAMPS)/test: pyproject.toml constraints.txt | $(STAMPS)/venv
	@echo "installing Python packages and the tools of the tests (minutes the first time)"
	@$(PIP_INSTALL) -c constraints.txt -e '.[embedded,test]' \
	    || { echo "Could not install the Python packages: see pip's message above." >&2; exit 2; }
	@touch $@ $(STAMPS)/embedded

$(STAMPS)/frontend: package-lock.json infra_console/embedded/frontend.py | $(STAMPS)/venv
	@$(PY) -m infra_console.embedded.frontend
	@touch $@

constraints: | $(STAMPS)/venv
	@$(PY) infra_console/embedded/constraints.py

clean:
	rm -rf .venv node_modules static/vendor .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
