# Two commands do all: `make run` and `make test`. The rest is for those who work on it.
# One build profile serves both.

CARGO ?= cargo
BIN   := target/debug

# What `shoal_build_info` calls itself; nothing where there is no git. It is told to the program that
# runs, not to the compiler: else each commit would compile the gateway anew.
SHOAL_REVISION ?= $(shell git rev-parse --short HEAD 2>/dev/null)

# Features of the packages that are built, such as shoal-node/wgpu.
FEATURES ?=
WITH     := $(if $(FEATURES),--features "$(FEATURES)")

.PHONY: run build test test-real test-arm test-attacks test-cases test-clients test-schema chaos soak bench-engine check check-dependencies check-devices test-devices measure eval train help

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

# Neither the trainer nor the evaluation: burn without its gradients compiles faster.
build: ## the gateway, the node and the launcher
	$(CARGO) build --package shoal-gateway --package shoal-node --package shoal-sim --bins $(WITH)

# Job control (`set -m`) gives the launcher the terminal: Ctrl-C reaches it alone, it ends the
# swarm in order, and make sees its exit code.
run: build ## a gateway and the bundled specialists, ready to answer; MODELS=smollm2-135m,... joins them
	@bash -c 'set -m; SHOAL_REVISION=$(SHOAL_REVISION) $(BIN)/shoal-swarm; exit $$?'

# Builds the programs too: each has integration tests, so that one set of features serves all.
test: ## every test
	@if $(CARGO) nextest --version >/dev/null 2>&1; \
	then $(CARGO) nextest run --workspace --no-fail-fast $(WITH); \
	else $(CARGO) test --workspace --no-fail-fast $(WITH); fi

test-real: build ## the engine against llama.cpp on real weights (MODELS="smollm2-135m ..."): needs Python and a C++ compiler
	node/tests/real/run

test-arm: ## the kernels on 64-bit ARM, by qemu on another processor: wants Debian's cross compiler
	node/kernel/arm

test-cases: build ## situations from public bug reports against the bundled swarm, if ../shared/cases/bugs is here (CASES="04 19"): needs Python
	@BIN=$(BIN) CASES="$(CASES)" sim/tests/cases

test-clients: ## the newest clients of each kind against the bundled swarm: needs Python and Node
	SHOAL_TEST_CLIENTS=1 $(CARGO) test --workspace --test live -- clients:: --nocapture

test-schema: ## schemathesis against what the gateway says it serves, thousands of requests: needs Python
	SHOAL_TEST_CLIENTS=1 SHOAL_TEST_SCHEMA=$(or $(CASES),320) $(CARGO) test --workspace --test live -- schema:: --nocapture

test-attacks: build ## runs every script of ../shared/cases/attacks if the folder is there (ATTACKS="12 22"): needs Python
	sim/tests/attacks/run

chaos: ## kills a third of the bundled nodes all the time while clients ask (SECONDS=600)
	SHOAL_CHAOS_SECONDS=$(or $(SECONDS),600) $(CARGO) test --workspace --test live -- chaos:: --nocapture

soak: ## the bundled swarm is asked all the time, and its memory is watched (MINUTES=60)
	SHOAL_SOAK_MINUTES=$(or $(MINUTES),60) $(CARGO) test --workspace --test live -- soak:: --nocapture

bench-engine: ## the engine beside llama.cpp in one run: docs/BENCHMARKS.md
	$(CARGO) build --release --package shoal-node
	node/bench/run $(BENCH)

check: ## format and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets $(WITH) -- -D warnings

check-dependencies: ## licences, sources, duplicate versions (deny.toml), unused dependencies: needs Python
	sim/tidy/dependencies

measure: ## a row for each crate (sizes, names, import cycles, documentation), locked packages; TIMINGS=1 builds and times too
	@sim/tidy/measure $(if $(TIMINGS),--timings)

# DOCS_RS keeps a dependency of cuda's from fetching a whole LLVM, which compiling alone does not need.
check-devices: ## compiles the node for other devices than the processor (DEVICES="wgpu cuda metal")
	for device in $(or $(DEVICES),wgpu cuda metal); do \
	    DOCS_RS=1 $(CARGO) check --package shoal-node --features $$device || exit 1; \
	done

# Without a device of the kind the tests say that they left it out.
test-devices: ## the models' code on the devices that are found here, for wgpu a software one such as Mesa's lavapipe too
	$(CARGO) test --package shoal-decoder --lib --features $(or $(DEVICES),wgpu) -- devices --nocapture

eval: ## measures the swarm against its members, a majority vote and cheats; writes eval/results/
	$(CARGO) build --workspace --bins
	$(BIN)/shoal-eval --start $(EVAL)
	SHOAL_CONFIG=eval/everybody/gateway.toml $(BIN)/shoal-eval --start --questions 520 --seed 77 \
	    --join eval/everybody/calendar.toml --join eval/everybody/order.toml \
	    --join eval/everybody/story.toml --own-temperatures --no-fill \
	    --records target/eval/everybody.jsonl --results target/eval/everybody
	$(BIN)/shoal-eval logit --records target/eval/everybody.jsonl --out target/eval/logit.jsonl
	$(BIN)/shoal-eval ablate --records target/eval/everybody.jsonl --logit target/eval/logit.jsonl
	$(BIN)/shoal-eval injections --records target/eval/everybody.jsonl --out target/eval/injections.jsonl
	$(BIN)/shoal-eval cheats --records target/eval/everybody.jsonl --injections target/eval/injections.jsonl

train: ## trains one specialist: make train SPECIALIST=shoal-sum SEED=7
	$(CARGO) run --release --package shoal-train -- --specialist $(SPECIALIST) --seed $(or $(SEED),7)
