# Every target sets up what it needs, and does nothing the second time.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3.10 python3; do \
	found=$$($$p -c 'import sys; print(sys.executable if sys.version_info >= (3, 10) else "")' 2>/dev/null); \
	[ -n "$$found" ] && echo $$found && break; done)
VENV := .venv
PY := $(VENV)/bin/python
KERNELS := 5.10,6.1,6.12,7.3
STAMP := $(VENV)/.probee-ready

.PHONY: help setup demo test unit kernel-test lint bench clean

help:
	@echo "make demo    trace a real kernel with three bpftrace scripts and four BCC programs (here if it can be, else in the lab)"
	@echo "make test    all tests: unit tests here, kernel tests in lab guests (Linux 5.10, 6.1, 6.12, 7.3)"
	@echo "make unit    unit tests only: no root, no kernel, under a minute"
	@echo "make lint    ruff and mypy --strict"
	@echo "make bench   benchmarks, against the newest packaged bpftrace where it can be had"

$(STAMP): pyproject.toml
	@[ -n "$(PYTHON)" ] || { echo "probee needs Python 3.10 or newer"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv $(VENV) 2>/dev/null || { \
		[ "$$(id -u)" = 0 ] && apt-get install -y --no-install-recommends python3-venv >/dev/null && $(PYTHON) -m venv $(VENV); } || { \
		echo "python3 -m venv does not work here: install python3-venv"; exit 1; }
	@$(PY) -m pip install --quiet --disable-pip-version-check -e '.[dev,columns]'
	@touch $@

setup: $(STAMP)

# iproute2 makes the network namespaces in which ARP is shown and tested
SYSTEM := command -v ip >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	apt-get install -y --no-install-recommends iproute2 >/dev/null; } || { echo "install iproute2"; exit 1; }

demo: $(STAMP)
	@$(SYSTEM)
	@$(PY) -m probee demo

test: $(STAMP)
	@$(SYSTEM)
	@$(PY) -m probee lab setup
	@$(PY) -m pytest tests --lab-kernels $(KERNELS)

unit: $(STAMP)
	@$(PY) -m pytest tests/unit

kernel-test: $(STAMP)
	@$(SYSTEM)
	@$(PY) -m probee lab setup
	@$(PY) -m pytest tests/kernel tests/guest --lab-kernels $(KERNELS)

lint: $(STAMP)
	@$(VENV)/bin/ruff check src tests benchmarks
	@$(VENV)/bin/mypy

bench: $(STAMP)
	@$(PY) -c 'import llvmlite' 2>/dev/null || $(PY) -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@$(PY) benchmarks/startup.py
	@$(PY) benchmarks/compile_time.py
	@$(PY) benchmarks/listing.py
	@$(PY) benchmarks/probe_cost.py
	@$(PY) benchmarks/attach.py
	@$(PY) benchmarks/bcc.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
