# make smoke:      set-up and every step on a few clips, in about a minute
# make reproduce:  set-up and the whole pipeline on the embedded default
# make test:       set-up and the tests (test-full: a variant of every method at full size, 25 minutes)
# make test-gpu:   the tests that need a GPU, on this machine's; all others hide it
# make fuzz:       random inputs at every door, FUZZ=2000 of them a door, of which `make test` tries 50
# make campaign:   what takes longer than tests: trainings killed 30 times, the pipeline 60 times and on full disks, jobs of a
#                  real SLURM disturbed (root, on Debian)
# make lint:       style, import layers, workflow
# make docs:       docs/ as a site, docs/_build/index.html
# make bench:      counted costs, cold; a training step of each method (bench-data: decoding, loading);
#                  with OFFICIAL=DIR, a folder of the authors' checkouts, ours beside their code
# make bench-gpu:  the papers' measured cells at full size, on a GPU of this machine
PYTHON ?= python3
PIP_ARGS ?=                # e.g. --extra-index-url https://download.pytorch.org/whl/cpu
CORES ?= all
FUZZ ?= 2000               # inputs a door of `make fuzz`
# Snakemake asks for the name of its user, which one without an entry in /etc/passwd has not.
export USER ?= vidtune
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup smoke reproduce test test-full test-gpu fuzz campaign lint docs bench bench-gpu bench-data clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("vidtune needs Python >= 3.11, found " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt $(PIP_ARGS) torch
	$(BIN)/python -m pip install --quiet -c constraints.txt $(PIP_ARGS) -e '.[test,lint,cluster]'
	touch $@

smoke: $(READY)
	$(BIN)/snakemake --cores $(CORES) --config scale=smoke
	@echo "open results/smoke/report.html in a browser; its learned numbers mean nothing"

reproduce: $(READY)
	$(BIN)/snakemake --cores $(CORES)
	@echo "open results/mini/report.html (or the scale you chose) in a browser"

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

test-full: $(READY)  # two processes of one thread at a time
	OMP_NUM_THREADS=1 VIDTUNE_FULL_SIZE=1 $(BIN)/python -m pytest tests/test_every_method_at_full_size.py -v

test-gpu: $(READY)
	VIDTUNE_ON_A_GPU=1 $(BIN)/python -m pytest tests/engine/test_on_a_gpu.py --numprocesses 4 -v

fuzz: $(READY)
	FUZZ=$(FUZZ) $(BIN)/python -m pytest tests/doors/test_fuzz.py --numprocesses auto -v

campaign: $(READY)
	VIDTUNE_KILLS=30 $(BIN)/python -m pytest tests/engine/test_killed_trainings.py -v
	VIDTUNE_PIPELINE_KILLS=60 VIDTUNE_FULL_DISKS=12 $(BIN)/python -m pytest tests/workflow/test_disturbed_pipeline.py -vs
	tests/cluster/run

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/lint-imports
	$(BIN)/snakefmt --check workflow
	$(BIN)/snakemake --lint

docs: .venv/.docs
	$(BIN)/python -m sphinx -W --keep-going -q docs docs/_build

.venv/.docs: $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt $(PIP_ARGS) -e '.[docs]'
	touch $@

bench: $(READY)
	$(BIN)/python benchmarks/counting.py
	$(BIN)/python benchmarks/steps.py
	$(if $(OFFICIAL),$(BIN)/python benchmarks/against.py --official $(OFFICIAL))

bench-gpu: $(READY)
	$(BIN)/python benchmarks/published.py

bench-data: $(READY)  # decord and OpenCV are compared where installed
	$(BIN)/python benchmarks/decoding.py --out benchmarks/decoding.md
	$(BIN)/python benchmarks/loading.py --out benchmarks/loading.md

clean:
	rm -rf results/smoke results/mini results/mini-long results/mini-other results/data/specs/generated \
		docs/_build docs/reference data/motion data/motion-* .snakemake .pytest_cache .ruff_cache .import_linter_cache
