# Short names for what is done most; CMake does the work. On a new Debian 12, `make demo` and `make test` install what they need.
.PHONY: all build setup demo test bless fuzz soak tsan plans zoo peers pipeline gpu-bundle install format lint clean help

all: build

build:
	@cmake --preset release
	@cmake --build --preset release

setup:
	@scripts/setup.sh build test lint

demo:
	@scripts/setup.sh build
	@scripts/demo.sh

test:
	@scripts/setup.sh build test
	@scripts/test.sh

# Writes what the command says now into tests/cli/*.expected; read the diff before committing it.
bless:
	@cmake --preset ci
	@cmake --build --preset ci --target batchcam_command
	@tests/cli/run.sh build/test/batchcam --bless

# New inputs for every fuzz target, FUZZ_SECONDS for each: docs/testing.md.
fuzz:
	@scripts/setup.sh build test
	@scripts/fuzz.sh

# 100,000 photos, watched: docs/testing.md. SOAK="--photos 20000" for fewer, SOAK=--save to write bench/results/soak-cpu.md.
soak:
	@scripts/setup.sh build test
	@scripts/soak.sh $(SOAK)

# The stream's tests under ThreadSanitizer: docs/testing.md.
tsan:
	@scripts/setup.sh build test tsan
	@scripts/tsan.sh

# What cuDNN plans for classifiers at full width, on cards that are described and not there: bench/results/plans.
plans:
	@scripts/setup.sh build test
	@scripts/plans.sh

# Every convolutional classifier of torchvision at full width, held against PyTorch: bench/results/zoo.md. PYTHON=... names one that has PyTorch.
zoo:
	@scripts/setup.sh build test
	@scripts/zoo.sh

# batchcam on this machine's CPU beside PyTorch, torch-cam, pytorch-grad-cam, Captum and ONNX Runtime: docs/performance.md. PEERS=--short tries it out.
peers:
	@scripts/setup.sh build peers
	@scripts/peers.sh $(PEERS)

# The whole job, photos to saved maps, beside a DataLoader with each of PyTorch's ways: docs/performance.md. PIPELINE=--short tries it out.
pipeline:
	@scripts/setup.sh build peers
	@scripts/pipeline.sh $(PIPELINE)

# One archive that proves and measures the CUDA device on another machine, with a card: docs/gpu.md.
gpu-bundle:
	@scripts/setup.sh build test
	@scripts/gpu-bundle.sh

# PREFIX=/usr make install; DESTDIR is honoured
install: build
	@cmake --install build $(if $(PREFIX),--prefix $(PREFIX))

format:
	@scripts/setup.sh lint
	@scripts/lint.sh --fix

lint:
	@scripts/setup.sh build lint
	@scripts/lint.sh

clean:
	@rm -rf build

help:
	@echo 'make          build the library and the command in build/ (make setup installs what that needs)'
	@echo 'make demo     explain the photos in data/ and say where the pictures are'
	@echo 'make test     build and run every test, plain and under the sanitizers'
	@echo 'make bless    write what the command says now into tests/cli/*.expected'
	@echo 'make fuzz     feed every reader with inputs made up on the way, FUZZ_SECONDS=300 for each (needs clang)'
	@echo 'make soak     watch a run over 100,000 photos: memory, descriptors, every row (three minutes)'
	@echo 'make tsan     run the tests of the stream under ThreadSanitizer (needs clang)'
	@echo 'make plans    write tables of what cuDNN plans for big models, without a card, to bench/results/plans'
	@echo 'make zoo      hold torchvision classifiers at full width against PyTorch (which it needs): bench/results/zoo.md'
	@echo 'make peers    time batchcam beside its peers on this CPU (fetches them from PyPI): bench/results/peers-cpu.md'
	@echo 'make pipeline  time whole jobs, photos to saved maps, beside PyTorch (from PyPI): bench/results/pipeline-cpu.md'
	@echo 'make gpu-bundle  one archive in build/ to prove and measure the CUDA device on a machine with a card'
	@echo 'make install  install (PREFIX=..., DESTDIR=...)'
	@echo 'make format   format the sources in place; make lint: check them'
	@echo 'make clean    remove build/'
