# `make export` and `make test`: each sets up everything it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
LEVELS ?= 10
BOARD ?= pynq-z2
PYTEST_OPTIONS ?=
SOURCES := $(shell find toolchain boards hls_templates -type f -not -path '*/__pycache__/*')
# uv installs faster, where it is.
INSTALL := $(if $(shell command -v uv),uv pip install --python $(VENV)/bin/python,$(VENV)/bin/pip install) --quiet

.PHONY: export test lint benchmark benchmark-small clean

export: $(VENV)/installed
	$(VENV)/bin/synq-export --levels $(LEVELS) --board $(BOARD)

test: lint
	$(VENV)/bin/synq train
	$(VENV)/bin/pytest -n 2 --dist loadgroup $(PYTEST_OPTIONS)

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# An hour or more: it fine-tunes networks, and reads tens of thousands of damaged files.
benchmark: $(VENV)/installed
	$(VENV)/bin/python benchmarks/csim.py
	$(VENV)/bin/python benchmarks/rtl.py
	$(VENV)/bin/python benchmarks/rtl_model.py --large
	$(VENV)/bin/python benchmarks/fuzz.py
	$(VENV)/bin/python benchmarks/faults.py
	$(VENV)/bin/python benchmarks/kill.py --signal KILL --count 50
	$(VENV)/bin/python benchmarks/kill.py --signal INT --count 20

# Each of them in minutes: that it runs and finds no failure, not how fast.
benchmark-small: $(VENV)/installed
	$(VENV)/bin/python benchmarks/csim.py --small
	$(VENV)/bin/python benchmarks/rtl.py --small
	$(VENV)/bin/python benchmarks/rtl_model.py --small
	$(VENV)/bin/python benchmarks/fuzz.py --count 200
	$(VENV)/bin/python benchmarks/faults.py --count 2 --mended 1
	$(VENV)/bin/python benchmarks/kill.py --count 3

clean:
	rm -rf $(VENV) build

$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	$(INSTALL) --no-deps --force-reinstall .
	touch $@

$(VENV)/dependencies: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "synq needs Python 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) --constraint constraints.txt '.[test]'
	touch $@
