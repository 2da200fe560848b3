# What people do with Quadrille. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: help tools tools-kafka tools-api up test test-kafka test-stripe-mock test-api test-compose accept accept-kafka lint fmt docs

# schemathesis and what it needs, of the versions in its requirements, apart from this machine's Python.
api_test = $(CURDIR)/target/api-test/venv

# The program that has the embedded broker in it.
quadrille = $(or $(CARGO_TARGET_DIR),target)/debug/quadrille

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

tools: ## install what is missing: C toolchain, cmake, OpenSSL's headers, PostgreSQL
	@deploy/ensure-tools.sh

tools-kafka: ## the same, and a JRE for Apache Kafka
	@deploy/ensure-tools.sh kafka

tools-api: $(api_test)/bin/schemathesis

up: tools ## run the whole shop on this machine; Ctrl-C ends it
	cargo run -- up $(ARGS)

test: tools ## all tests, on a real PostgreSQL and an embedded broker of their own (ARGS='-p order-svc' for one part)
	cargo build -p quadrille --bin quadrille
	cargo run -p quadrille-servers --bin with-servers -- --broker $(quadrille) \
		cargo test --no-fail-fast $(or $(ARGS),--workspace) $(if $(filter --,$(ARGS)),,--) --skip on_apache_kafka_

test-kafka: tools-kafka ## the same on Apache Kafka, and what only that can show: outages, TLS, large messages
	cargo run -p quadrille-servers --bin with-servers -- cargo test --no-fail-fast $(or $(ARGS),--workspace)

# What Stripe has tagged last; it holds Stripe's OpenAPI document.
stripe_mock_version = v0.203.0
stripe_mock = $(CURDIR)/target/stripe-mock/stripe-mock-$(stripe_mock_version)

$(stripe_mock):
	@command -v go >/dev/null || { echo "stripe-mock is a Go module: install Go (https://go.dev/dl) to run this" >&2; exit 1; }
	GOBIN=$(@D) go install github.com/stripe/stripe-mock@$(stripe_mock_version)
	mv $(@D)/stripe-mock $@

test-stripe-mock: tools $(stripe_mock) ## payment-svc's Stripe adapter against stripe-mock, Stripe's own (needs Go)
	cargo build -p quadrille --bin quadrille
	STRIPE_MOCK=$(stripe_mock) cargo run -p quadrille-servers --bin with-servers -- --broker $(quadrille) \
		cargo test --workspace --features payment-svc/stripe-mock --test on_stripe_mock

$(api_test)/bin/schemathesis: deploy/api-test/requirements.txt
	python3 -m venv --clear $(api_test)
	$(api_test)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

test-api: tools $(api_test)/bin/schemathesis ## every service against its own OpenAPI document, with schemathesis (needs Python 3.10)
	cargo build -p quadrille --bin quadrille
	$(api_test)/bin/python deploy/api-test/run.py --quadrille $(quadrille) $(ARGS)

test-compose: ## docker-compose.yml for real: kills, second instances, down and up (needs a Docker engine, no registry)
	@deploy/compose/test.sh $(ARGS)

PROFILE = release
accept: tools ## the whole shop from a release build, put through its paces; prints its figures
	cargo build --profile $(PROFILE) -p quadrille -p outbox-relay --bins
	cargo run --profile $(PROFILE) -q -p quadrille --bin quadrille-accept -- $(ARGS)

accept-kafka: tools-kafka ## the same on Apache Kafka
	$(MAKE) accept ARGS="--kafka $(ARGS)"

lint: ## formatting, clippy, and what may be in the dependency tree
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo deny --log-level error check bans licenses

fmt: ## format the code
	cargo fmt --all

docs: ## write docs/CONFIGURATION.md anew from the code
	UPDATE_DOCS=1 cargo test -q -p quadrille --test configuration
