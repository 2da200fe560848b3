# What people do with Quadrille. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: help tools up test test-compose accept lint fmt docs

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

tools: ## install what is missing: C toolchain, PostgreSQL, a JRE
	@deploy/ensure-tools.sh

up: tools ## run the whole shop on this machine; Ctrl-C ends it
	cargo run -- up $(ARGS)

test: tools ## all tests, on a real PostgreSQL and a real Kafka of their own (ARGS='-p order-svc' for one part)
	cargo run -p quadrille-servers --bin with-servers -- cargo test --no-fail-fast $(if $(ARGS),$(ARGS),--workspace)

test-compose: ## docker-compose.yml for real: kills, second instances, down and up (needs a Docker engine, no registry)
	@deploy/compose/test.sh $(ARGS)

accept: tools ## the whole shop from a release build, put through its paces; prints its figures
	cargo build --release -p quadrille -p outbox-relay --bins
	cargo run --release -q -p quadrille --bin quadrille-accept -- $(ARGS)

lint: ## formatting, clippy, and what may be in the dependency tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo deny --log-level error check bans licenses

fmt: ## format the code
	cargo fmt --all

docs: ## write docs/CONFIGURATION.md anew from the code
	UPDATE_DOCS=1 cargo test -q -p quadrille --test configuration
