# `make export` and `make test`: each sets up everything it needs. Python 3.11, 3.12 or 3.13.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
	$$each -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2> /dev/null \
	&& echo $$each && break; done)
VENV ?= .venv
DOCS_VENV ?= .venv-docs
LEVELS ?= 10
BOARD ?= pynq-z2
PYTEST_OPTIONS ?=
# The part of the tests that every Python has to pass; `make test` runs all.
CORE := $(addprefix tests/,$(addsuffix .py,$(addprefix test_,api doctests fixedpoint network npz quantizing stream device) \
	$(addprefix learn/test_,saved torch_module checkpoint keras_file onnx_file prepare) rtl/test_simulate))
TORCH := torch==2.13.0
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
SOURCES := $(shell find toolchain boards hls_templates -type f -not -path '*/__pycache__/*')
# uv installs faster, where it is.
INSTALL := $(if $(shell command -v uv),uv pip install --python $(VENV)/bin/python,$(VENV)/bin/pip install) --quiet

SHELL := /bin/bash
.PHONY: export test test-core lint lock docs sbom audit benchmark benchmark-small clean

export: $(VENV)/installed
	$(VENV)/bin/synq-export --levels $(LEVELS) --board $(BOARD)

test: lint
	$(VENV)/bin/synq train
	$(VENV)/bin/pytest -n 2 --dist loadgroup $(PYTEST_OPTIONS)

test-core: $(VENV)/tested
	$(VENV)/bin/pytest -n 2 --dist loadgroup $(PYTEST_OPTIONS) $(CORE)

lint: $(VENV)/tested
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# An hour or more: it fine-tunes networks, and reads tens of thousands of damaged files.
benchmark: $(VENV)/tested
	$(VENV)/bin/python benchmarks/csim.py
	$(VENV)/bin/python benchmarks/rtl.py
	$(VENV)/bin/python benchmarks/rtl_model.py --large
	$(VENV)/bin/python benchmarks/reload.py
	$(VENV)/bin/python benchmarks/datasets.py
	$(VENV)/bin/python benchmarks/chips.py
	$(VENV)/bin/python benchmarks/networks.py
	$(VENV)/bin/python benchmarks/oracles.py
	$(VENV)/bin/python benchmarks/fuzz.py
	$(VENV)/bin/python benchmarks/faults.py
	$(VENV)/bin/python benchmarks/kill.py --signal KILL --count 50
	$(VENV)/bin/python benchmarks/kill.py --signal INT --count 20

# Each of them in minutes: that it runs and finds no failure, not how fast.
benchmark-small: $(VENV)/tested
	$(VENV)/bin/python benchmarks/csim.py --small
	$(VENV)/bin/python benchmarks/rtl.py --small
	$(VENV)/bin/python benchmarks/rtl_model.py --small
	$(VENV)/bin/python benchmarks/reload.py --small
	$(VENV)/bin/python benchmarks/datasets.py --small
	$(VENV)/bin/python benchmarks/chips.py --small
	$(VENV)/bin/python benchmarks/networks.py --small
	$(VENV)/bin/python benchmarks/oracles.py --small
	$(VENV)/bin/python benchmarks/fuzz.py --count 100
	$(VENV)/bin/python benchmarks/faults.py --count 2 --mended 1
	$(VENV)/bin/python benchmarks/kill.py --count 3

# The site, in build/site, with its links checked. It needs none of the other environment.
docs: $(DOCS_VENV)/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs build --strict

$(DOCS_VENV)/installed: docs/requirements.lock
	$(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/pip install --quiet --no-deps --require-hashes --requirement docs/requirements.lock
	touch $@

clean:
	rm -rf $(VENV) $(DOCS_VENV) build

$(VENV)/installed: $(VENV)/dependencies $(SOURCES)
	$(INSTALL) --no-deps --force-reinstall .
	touch $@

$(VENV)/tested: $(VENV)/installed requirements-test.lock
	$(INSTALL) --no-deps --require-hashes --requirement requirements-test.lock
	touch $@

# PyTorch's CPU build where its index can be reached, else the default build, which brings CUDA.
# What only serves to compile extensions of TensorFlow and PyTorch, or to test PyTorch, is removed.
$(VENV)/dependencies: requirements.lock
	@test -n "$(PYTHON)" || { echo "synq needs Python 3.11, 3.12 or 3.13: make PYTHON=/path/to/python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --no-deps --retries 0 --timeout 10 --index-url $(TORCH_CPU_INDEX) $(TORCH) 2> /dev/null \
		|| echo "PyTorch's CPU build cannot be had: taking the default build"
	$(VENV)/bin/pip install --quiet $(TORCH)
	$(INSTALL) --no-deps --require-hashes --requirement requirements.lock
	rm -rf $(VENV)/lib/python3*/site-packages/{tensorflow,torch}/include $(VENV)/lib/python3*/site-packages/torch/test
	touch $@

# All versions and hashes for Python 3.11 to 3.13, by uv; PyTorch, of which there are several builds, apart.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header
COMPILE := $(LOCK) --override requirements.override --extra cpu
# The extra `docs` without synq itself, which the site does not need.
DOCS = $(shell $(PYTHON) -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
	print(*project['optional-dependencies']['docs'])")
lock:
	$(COMPILE) pyproject.toml --output-file requirements.lock
	$(COMPILE) --extra test pyproject.toml --constraint requirements.lock --output-file requirements-test.lock
	printf '%s\n' $(DOCS) | $(LOCK) - --output-file docs/requirements.lock

# What the environment installs, as build/sbom.json (CycloneDX), by uv.
sbom:
	$(PYTHON) docs/sbom.py $(TORCH)

# Known vulnerabilities of all that is locked, as PyPI tells them. A package that it cannot tell of fails.
audit:
	mkdir -p build
	echo $(TORCH) > build/torch.txt
	uv tool run pip-audit@2.10.1 --strict --disable-pip --no-deps --requirement requirements.lock \
		--requirement requirements-test.lock --requirement docs/requirements.lock --requirement build/torch.txt
