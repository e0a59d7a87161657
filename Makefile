# The commands of this repository. `make` alone lists them.
#
# What is expensive is kept outside the tree, by version, in $(CACHE): Kubernetes' components, cargo-deny,
# the jars of netty-socketio, nginx, HAProxy and Envoy. Removing that directory costs time, nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/socketio-affinity
CARGO_DENY_VERSION := 0.20.2
CARGO_DENY := $(CACHE)/cargo-deny/$(CARGO_DENY_VERSION)/bin/cargo-deny
PYTHON_ENV := $(CACHE)/python/$(shell sha256sum tests/integration/python/requirements.txt | cut -c1-12)
NETTY_POM := tests/integration/java/pom.xml
NETTY_VERSION := $(shell sed -n '/<artifactId>netty-socketio</,$$s:.*<version>\(.*\)</version>:\1:p' $(NETTY_POM))
NETTY_JARS := $(CACHE)/netty-socketio/$(NETTY_VERSION)
NODE_PROGRAMS := examples/chat tests/load tests/integration/node tests/bench/node
HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
FUZZ_TARGETS := $(sort $(notdir $(wildcard sidecar/core/fuzz/corpus/*)))
FUZZ_SECONDS := 600
SOAK_SECONDS := 3600
NETTY_SECONDS := 120
SOAK_PARTS := fuzz attacks client-address clients parsers netty e2e
NOT_CHECKED := target/not-checked
IMAGES := target/images
CLUSTER := target/debug/cluster

# The programs that tests start, which else cargo builds for them.
PROGRAMS := SOCKETIO_SIDECAR_PROGRAM=$(CURDIR)/target/debug/socketio-sidecar SOCKETIO_OPERATOR_PROGRAM=$(CURDIR)/target/debug/socketio-operator

say = @printf '\n==> %s\n' "$(1)"

.PHONY: help demo test bench bench-operator attacks client-address soak $(SOAK_PARTS:%=soak-%) fuzz lint deny unit e2e chart images cluster prerequisites soak-prerequisites provider node-modules netty-socketio edge-programs clean

help: ## List the commands
	@printf 'socketio-affinity\n\n'
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1\t\2/' | expand -t 23

demo: provider cluster images ## Show a real cluster without and with the sidecar; runs until Ctrl-C
	$(call say,starting a cluster for the demo)
	cargo build --package socketio-affinity-tests --bin demo
	@$(CLUSTER) run -- $(CURDIR)/tests/with-images.sh $(CURDIR)/$(IMAGES) $(CURDIR)/target/debug/demo || test $$? = 130 # Ctrl-C

test: FUZZ_SECONDS := 3
test: provider lint deny unit fuzz e2e ## Run all tests, those on a real cluster included
	@printf '\nAll tests passed.\n'; cat $(NOT_CHECKED) 2>/dev/null || true

lint: prerequisites ## Check formatting, lints and the words of comments
	$(call say,formatting and lints)
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --all-features -- --deny warnings
	$(call say,doc comments and descriptions name their subject)
	cargo test --quiet --package socketio-affinity-tests --test integration -- --nocapture words::

deny: $(CARGO_DENY) ## Check licences, sources and advisories of all dependencies
	$(call say,dependencies: licences - sources - bans)
	$(CARGO_DENY) --workspace check licenses sources bans
	$(call say,dependencies: advisories)
	@rm -f $(NOT_CHECKED)
	@if $(CARGO_DENY) fetch db; then \
		$(CARGO_DENY) --workspace check advisories; \
	else \
		mkdir -p target; \
		echo 'NOT CHECKED: advisories, because their database cannot be fetched from here.' | tee $(NOT_CHECKED); \
	fi

unit: prerequisites node-modules netty-socketio edge-programs ## Run unit and integration tests, with real Socket.IO servers and clients
	$(call say,unit and integration tests)
	cargo build --workspace --bins
	$(PROGRAMS) cargo test --workspace -- --skip netty_socketio
	@# Alone, and twice if need be. Without a sidecar, its server left clients without an upgrade in 13 of 25 tries of 8 s, and ended
	@# sessions in 2. Why is not known.
	@for attempt in 1 2; do \
		$(PROGRAMS) cargo test --package socketio-affinity-tests --test integration -- netty_socketio && exit; \
		echo "attempt $$attempt failed"; \
	done; exit 1
	cd tests/load && npm test --silent

e2e: cluster images ## Run the end-to-end tests on a real cluster
	$(call say,end-to-end tests on a real cluster)
	cargo test --no-run --package socketio-affinity-tests --features e2e --test e2e
	cargo test --no-run --package socketio-operator --lib
	$(PROGRAMS) $(CLUSTER) run -- $(CURDIR)/tests/with-images.sh $(CURDIR)/$(IMAGES) \
		cargo test --offline --package socketio-affinity-tests --features e2e --test e2e -- --test-threads=1

chart: cluster images ## Run the end-to-end tests of the chart; UPDATE_GOLDEN=1 writes their golden files
	$(call say,the chart on a real cluster)
	cargo test --no-run --package socketio-affinity-tests --features e2e --test e2e
	$(PROGRAMS) $(CLUSTER) run -- $(CURDIR)/tests/with-images.sh $(CURDIR)/$(IMAGES) \
		cargo test --offline --package socketio-affinity-tests --features e2e --test e2e -- --test-threads=1 chart::

images: prerequisites node-modules ## Make the images that go onto the cluster
	$(call say,images)
	cargo build --release --package socketio-sidecar
	cargo build --package socketio-operator --package socketio-affinity-tests --bin socketio-operator --bin cluster
	mkdir -p $(IMAGES)
	$(CLUSTER) image sidecar --bin target/release/socketio-sidecar --out $(IMAGES)/sidecar.tar
	$(CLUSTER) image operator --bin target/debug/socketio-operator --out $(IMAGES)/operator.tar
	$(CLUSTER) image node-app --dir examples/chat --entry server.js --tag socketio-affinity/chat:dev --out $(IMAGES)/chat.tar
	$(CLUSTER) image node-app --dir tests/load --entry load.js --tag socketio-affinity/load:dev --out $(IMAGES)/load.tar
	$(CLUSTER) image redis --out $(IMAGES)/redis.tar

cluster: prerequisites ## Build what a cluster needs, unless it is built already
	$(call say,the cluster's components - the first time about 15 minutes on two cores)
	cargo build --package socketio-affinity-tests --bin cluster
	$(CLUSTER) build

prerequisites:
	@for tool in cargo c++ go node npm; do \
		command -v $$tool >/dev/null || { echo "$$tool is missing; install Rust, a C++ compiler, Go and Node.js first (see CONTRIBUTING.md)."; exit 1; }; \
	done

soak-prerequisites:
	@test "$$(id -u)" = 0 || { echo 'make soak needs root, for network namespaces; run it as root.'; exit 1; }
	@need() { command -v "$$1" >/dev/null || { echo "$$1 is missing; install $$2 first (see CONTRIBUTING.md)."; exit 1; }; }; \
	need ip iproute2; need ss iproute2; need setpriv util-linux; need prlimit util-linux; \
	need python3 'Python 3'; need java 'Java 17 or newer'; need mvn Maven
	@python3 -c 'import ensurepip, venv' 2>/dev/null || { echo 'python3 -m venv does not work; install python3-venv first (see CONTRIBUTING.md).'; exit 1; }

provider:
	@if [ -n "$${KUBECONFIG:-}" ]; then \
		echo "KUBECONFIG is set: the cluster that it names will be used ($$KUBECONFIG)."; \
	elif [ "$$(id -u)" != 0 ] && ! { command -v kind && docker info; } >/dev/null 2>&1; then \
		echo 'The cluster needs root; or kind and a running Docker; or a cluster of yours in KUBECONFIG.'; exit 1; \
	fi

node-modules: $(NODE_PROGRAMS:%=%/node_modules/.package-lock.json)

%/node_modules/.package-lock.json: %/package-lock.json
	$(call say,npm packages of $*)
	cd $* && npm ci --no-audit --no-fund --no-progress --loglevel=error

netty-socketio: $(NETTY_JARS)

$(NETTY_JARS):
	$(call say,netty-socketio $(NETTY_VERSION) - jars copied once)
	@for tool in java mvn; do \
		command -v $$tool >/dev/null || { echo "$$tool is missing; install Java 17 or newer and Maven first (see CONTRIBUTING.md)."; exit 1; }; \
	done
	rm -rf $@.partial
	mvn --batch-mode --quiet --file $(NETTY_POM) dependency:copy-dependencies -DoutputDirectory=$@.partial
	mv $@.partial $@

edge-programs:
	$(call say,nginx and HAProxy - fetched once)
	cargo build --package socketio-affinity-bench
	target/debug/bench --fetch nginx,haproxy

$(CARGO_DENY):
	$(call say,cargo-deny $(CARGO_DENY_VERSION) - built once)
	CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
		cargo install cargo-deny --version $(CARGO_DENY_VERSION) --locked --root $(CACHE)/cargo-deny/$(CARGO_DENY_VERSION)

bench: prerequisites tests/bench/node/node_modules/.package-lock.json ## Measure what the sidecar costs, beside nginx, HAProxy and Envoy; nothing else should run
	$(call say,what the sidecar costs)
	cargo build --release --package socketio-sidecar --package socketio-affinity-bench
	target/release/bench --callgrind $(if $(BENCH),,--report docs/performance.md) $(BENCH)

bench-operator: cluster ## Measure what the operator costs, by the number of SocketIoClusters; nothing else should run
	$(call say,what the operator costs)
	cargo build --package socketio-affinity-bench-operator
	cargo build --release --package socketio-operator
	$(CLUSTER) run -- $(CURDIR)/target/debug/bench-operator $(if $(BENCH),,--out docs/performance-operator.md) $(BENCH)

client-address: prerequisites node-modules $(PYTHON_ENV)/bin/gunicorn ## Try what Express, NestJS, uvicorn, gunicorn and Flask see of clients
	$(call say,client addresses as real applications see them)
	cargo build --package socketio-sidecar
	$(PROGRAMS) SOCKETIO_PYTHON_BIN=$(PYTHON_ENV)/bin \
		cargo test --package socketio-affinity-tests --test integration -- --include-ignored client_address

$(PYTHON_ENV)/bin/gunicorn:
	$(call say,Python packages)
	python3 -m venv $(PYTHON_ENV)
	$(PYTHON_ENV)/bin/pip install --quiet --disable-pip-version-check --requirement tests/integration/python/requirements.txt

attacks: prerequisites node-modules ## Attack the sidecar beside honest clients, and write docs/attacks.md; needs root
	$(call say,the sidecar under attack - about 25 minutes)
	cargo build --release --package socketio-sidecar
	cargo build --package socketio-affinity-tests --bin attacks
	target/debug/attacks $(if $(ATTACK),$(ATTACK),--out docs/attacks.md)

soak: soak-prerequisites ## Run long tests, and write docs/soak.md; for a part: soak-fuzz, -attacks, -client-address, -clients, -parsers, -netty, -e2e
	@$(MAKE) --keep-going $(SOAK_PARTS:%=soak-%)

soak-fuzz:
	tests/soak.sh fuzz make fuzz

soak-attacks:
	tests/soak.sh attacks make attacks

soak-client-address:
	tests/soak.sh client-address make client-address

soak-clients: prerequisites node-modules
	$(call say,the connections that clients share - each attack is sent 5000 times or for 2 s)
	cargo build --package socketio-sidecar
	tests/soak.sh clients env ATTACKS=5000 $(PROGRAMS) cargo test --package socketio-affinity-tests --test integration -- attacks

soak-parsers: prerequisites node-modules
	$(call say,our parsers against those of hyper and Node - 20000 inputs each)
	tests/soak.sh parsers env PROPTEST_CASES=20000 cargo test --package socketio-affinity-tests --test integration -- differential

soak-netty: prerequisites node-modules netty-socketio
	$(call say,netty-socketio - $(NETTY_SECONDS) s)
	cargo build --package socketio-sidecar
	tests/soak.sh netty env NETTY_SECONDS=$(NETTY_SECONDS) $(PROGRAMS) cargo test --package socketio-affinity-tests --test integration -- netty_socketio

soak-e2e: cluster images
	$(call say,the long end-to-end tests on a real cluster - one of them takes $(SOAK_SECONDS) s)
	cargo test --no-run --package socketio-affinity-tests --features e2e --test e2e
	tests/soak.sh e2e env SOAK_SECONDS=$(SOAK_SECONDS) $(PROGRAMS) $(CLUSTER) run -- $(CURDIR)/tests/with-images.sh $(CURDIR)/$(IMAGES) \
		cargo test --offline --package socketio-affinity-tests --features e2e --test e2e -- --test-threads=1 --ignored

# What cargo-fuzz passes to the compiler, which also works with a stable one. Debug assertions find overflows.
FUZZ_FLAGS := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions
FUZZ_DIR := target/fuzz

# Link-time optimisation would double the time of the build, which is one minute on two cores.
# A crash leaves its input in $(FUZZ_DIR)/<target>-crash-*; with the fix, the input joins the corpus of its target.
fuzz: prerequisites ## Fuzz each target for FUZZ_SECONDS (600; 3 in make test)
	$(call say,fuzzing: $(FUZZ_TARGETS) - $(FUZZ_SECONDS) s each)
	CARGO_PROFILE_RELEASE_LTO=off RUSTFLAGS='$(FUZZ_FLAGS)' \
		cargo build --release --target-dir $(FUZZ_DIR) --target $(HOST) --package socketio-sidecar-core-fuzz
	@rm -f $(FUZZ_DIR)/*.log
	@for target in $(FUZZ_TARGETS); do \
		mkdir -p $(FUZZ_DIR)/corpus/$$target; \
		$(FUZZ_DIR)/$(HOST)/release/fuzz_$$target -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10 -print_final_stats=1 \
			-artifact_prefix=$(FUZZ_DIR)/$$target- $(FUZZ_DIR)/corpus/$$target sidecar/core/fuzz/corpus/$$target \
			>$(FUZZ_DIR)/$$target.log 2>&1 || { tail -n 50 $(FUZZ_DIR)/$$target.log; exit 1; }; \
	done
	@awk '/^stat::number_of_executed_units/ { ran += $$2 } /^stat::new_units_added/ { new += $$2 } \
		END { printf "result: %d targets, %.1f million inputs, of which %d reached new code and are kept, no crash\n", ARGC - 1, ran / 1e6, new }' $(FUZZ_DIR)/*.log

clean: ## Remove what was built in the tree
	cargo clean
	rm -rf $(NODE_PROGRAMS:%=%/node_modules)
