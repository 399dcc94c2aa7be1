# `make export` and `make test`: each sets up everything it needs.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
LEVELS ?= 10
BOARD ?= pynq-z2
SOURCES := $(shell find toolchain boards hls_templates -type f -not -path '*/__pycache__/*')

.PHONY: export test lint benchmark clean

export: $(VENV)/installed
	$(VENV)/bin/synq-export --levels $(LEVELS) --board $(BOARD)

test: lint
	$(VENV)/bin/synq train
	$(VENV)/bin/pytest -n 2 --dist loadgroup

lint: $(VENV)/installed
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

benchmark: $(VENV)/installed
	$(VENV)/bin/python benchmarks/csim.py

clean:
	rm -rf $(VENV) build

$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	$(VENV)/bin/pip install --quiet --no-deps --force-reinstall .
	touch $@

$(VENV)/dependencies: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
		|| { echo "synq needs Python 3.11: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt '.[test]'
	touch $@
