# Everything runs in .venv, made from plain Python 3.11+ and pip with locked versions.
PYTHON ?= python3
BIN := .venv/bin

# Versions are locked to the last, so packages need no order: two pips at once, 16 packages a call.
# They compile, or each process does it anew at every start where PYTHONDONTWRITEBYTECODE is set.
INSTALL = grep '^[a-z]' $(1) | sort -r | tr '\n' '\0' | xargs -0 -n 16 -P 2 \
	$(BIN)/python -m pip install -q --no-deps --disable-pip-version-check

.PHONY: demo gallery test lint clean
.DELETE_ON_ERROR:

demo: .venv/.installed  ## the main job on the digits of scikit-learn; pages in reports/demo
	$(BIN)/toolkit demo --out reports/demo

gallery: .venv/.installed  ## the sample pages in reports/; TOOLKIT_DATA names a folder with the data
	$(BIN)/python benchmarks/gallery.py

test: .venv/.dev  ## all tests; TOOLKIT_DATA names a folder with more data
	$(BIN)/python -m pytest -q --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: .venv/.dev  ## style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

.venv/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv

.venv/.installed: requirements.txt pyproject.toml | .venv/bin/python
	$(call INSTALL,requirements.txt)
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

.venv/.dev: requirements-dev.txt .venv/.installed
	$(call INSTALL,requirements-dev.txt)
	touch $@

clean:
	rm -rf .venv build *.egg-info reports/demo
