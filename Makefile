# The commands of the house. `make demo` and `make test` need nothing but a Rust toolchain: they
# install what else they use, or say the one command that does.

CARGO ?= cargo
CONFIG ?= gateway.yaml
CASES ?= 2000
RUNS ?= 2000
SECONDS ?= 600
PREFIX ?= /usr/local
ifndef SEED
SEED := $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
endif

.PHONY: help demo test check run release install bench simulate faults fuzz

help:
	@echo "make demo            build and start the demonstration on https://*.portway.localhost:8443"
	@echo "make test            everything: format, lints, documentation, all tests, with their real parts"
	@echo "make check           the quick part of it, in minutes: format, lints, unit and decision tests"
	@echo "make run             start the gateway with CONFIG=$(CONFIG)"
	@echo "make release         the binary as it ships, in target/release/portway"
	@echo "make install         build it and put it below PREFIX=$(PREFIX), with manual pages and completions"
	@echo "make bench           build it and measure it: adoption, logout, sign-ins, policy, memory; PARTS=… for less"
	@echo "make simulate        RUNS=$(RUNS) simulated runs of several data centres, and more cases of the randomised"
	@echo "                     tests, from a fresh seed; SEED=… RUNS=1 replays a run and tells its story"
	@echo "make fuzz            RUNS=$(RUNS) runs of each reader of strangers' bytes, from a fresh seed; SEED=… replays"
	@echo "make faults          three data centres and everything that goes wrong, for SECONDS=$(SECONDS); SEED=… as above"

demo:
	@scripts/need.sh
	$(CARGO) build --locked --profile demo
	target/demo/portway demo

test:
	@scripts/need.sh
	@scripts/test-parts.sh
	@scripts/test.sh

check:
	@scripts/need.sh
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --lib --test architecture --test config --test decision --test house

run:
	@scripts/need.sh
	$(CARGO) run --locked --profile demo -- run --config $(CONFIG)

release:
	@scripts/need.sh
	cargo build --release --locked

install: release
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 0755 target/release/portway $(DESTDIR)$(PREFIX)/bin/portway
	target/release/portway man --dir $(DESTDIR)$(PREFIX)/share/man/man1
	target/release/portway completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/portway
	target/release/portway completions zsh > $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_portway
	target/release/portway completions fish > $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/portway.fish

# The machine should do nothing else meanwhile. PARTS=… measures less: hops, memory, policy,
# sign_ins, silence, stores.
bench: release
	$(CARGO) bench --locked --bench figures -- $(PARTS)

# Each run of the simulation has a seed of its own, counted up from this one. The randomised tests all
# start from it, so the same seed gives the same cases; they are left out where one run is replayed.
simulate:
	@echo "seed $(SEED), $(RUNS) runs"
	@PORTWAY_SIMULATION_SEED=$(SEED) PORTWAY_SIMULATION_RUNS=$(RUNS) \
		$(CARGO) test --locked --test simulation no_rule_is_broken -- --nocapture
	@[ "$(RUNS)" = 1 ] || PROPTEST_RNG_SEED=$(SEED) PROPTEST_CASES=$(CASES) \
		$(CARGO) test --locked --lib --test config --test decision \
		|| { echo "replay: make simulate SEED=$(SEED) RUNS=0 CASES=$(CASES)"; exit 1; }

# `fuzz/README.md` says how to do the same with coverage.
fuzz:
	@echo "seed $(SEED), $(RUNS) runs"
	@PORTWAY_FUZZ_SEED=$(SEED) PORTWAY_FUZZ_RUNS=$(RUNS) $(CARGO) test --locked --test fuzz

# Real processes that are killed, stopped, cut off and kept from writing; `make test` has a short form.
faults:
	@scripts/need.sh
	@scripts/test-parts.sh
	@echo "seed $(SEED), $(SECONDS) s"
	@PORTWAY_FAULTS_SEED=$(SEED) PORTWAY_FAULTS_SECONDS=$(SECONDS) \
		$(CARGO) test --locked --test faults -- --nocapture
