# make train: the main job.  make test: the suite.  make parity: all variants on all cases.  make check: format, lint,
# types.  make docs: the pages as a site, in build/docs.  make figures: the README's figures, measured here.
# make versions: a few checks under every other Python, and JAX, that this machine has or can install.
# Each sets up what it needs in .venv, once; PYTHON chooses the interpreter (3.11 or newer), TORCH torch's build, by its
# name at download.pytorch.org: TORCH=cpu.
PYTHON ?= python3
export TORCH ?=
BIN := .venv/bin
# setuptools warns of every editable install.
PIP := PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	--constraint constraints.txt $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))
ARGS ?=
# Every run has a folder of its own.
RUN ?= runs/$(shell date +%Y-%m-%d-%H%M%S)

define TORCH_NOTE
Installing torch. PyPI's build for Linux brings CUDA: up to 2.7 GB to download, 4.6 GB on disk.
The proof runs on the CPU; make TORCH=cpu installs the build for it, some 200 MB.
endef
export TORCH_NOTE

.PHONY: train test parity check versions docs figures clean

train: .venv/.train
	$(BIN)/python train.py pretrain --run $(RUN) $(ARGS)

test: .venv/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

parity: .venv/.train
	$(BIN)/python -m parity check $(ARGS)

check: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

versions: .venv/.pip
	$(BIN)/python .ci/versions.py

docs: .venv/.docs
	rm -rf build/docs build/doctrees docs/api
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs

figures: .venv/.train
	$(BIN)/python docs/figures.py $(ARGS)

clean:
	rm -rf .venv

.venv/.pip: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(PIP) pip
	touch $@

.venv/.train: .venv/.pip pyproject.toml
	@$(if $(TORCH),,[ `uname` != Linux ] || $(BIN)/python -c 'import torch' 2>/dev/null || echo "$$TORCH_NOTE")
	$(PIP) --editable '.[parity,demo]'
	touch $@

.venv/.dev: .venv/.train
	$(PIP) --group dev
	touch $@

.venv/.docs: .venv/.train
	$(PIP) --group docs
	touch $@
