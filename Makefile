# The only entry point. `make help` lists the targets; docs/CONTRIBUTING.md says when to use which.
#
# Needs Go, git and make; `up`, `test` and `e2e` also need Java 17, Maven, npm and, for the browser test, Chromium.
# tools/dev names whatever is missing, with the command that installs it.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

# Modules come from go.work, so a new one is tested and linted without being named here.
WORKSPACE := $(shell go list -m -f '{{.Dir}}')
PACKAGES := $(WORKSPACE:%=%/...)
# Outside of go.work: Helm and Kubernetes would move the versions of libraries that the services are tested with.
CHART := $(CURDIR)/tools/chart
# So would the builders of dashboards.
DASHBOARDS := $(CURDIR)/tools/dashboards
# And so would the vulnerability database, which is a module with the programs that make it.
SUPPLY := $(CURDIR)/tools/supply
MODULES := $(WORKSPACE) $(CHART) $(DASHBOARDS) $(SUPPLY)

# Downloads and pinned tools outlive checkouts. Tools are keyed by their versions and by the Go that built them.
export ONEPX_CACHE ?= $(HOME)/.cache/onepx
TOOLS_KEY := $(shell (go env GOVERSION; cat tools/build/go.mod tools/build/go.sum) | git hash-object --stdin)
TOOLS := $(ONEPX_CACHE)/tools/$(TOOLS_KEY)
LINT := $(TOOLS)/golangci-lint
BUF := $(TOOLS)/buf

KAFKA ?= fake
FUZZTIME ?= 30s
ROUNDS ?= 10
SEED ?= 0

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

## Run it

.PHONY: demo up down logs
demo: bin/dev ## play a small shop's traffic through the whole pipeline and print the reports (KAFKA=real for the real broker)
	bin/dev demo --kafka $(KAFKA)

up: bin/dev ## start Kafka, ClickHouse, consumer, jobs, console and collector in the background; addresses in .dev/env
	bin/dev up

down: bin/dev ## stop what `make up` started
	bin/dev down

logs: bin/dev ## follow the logs of what `make up` started
	bin/dev logs

# Built, not `go run`: that would not pass signals on. Rebuilt each time; Go knows when there is nothing to do.
.PHONY: bin/dev
bin/dev:
	@go build -o bin/dev ./tools/dev

## Check it

.PHONY: check check-lint check-proto check-modules check-generated check-vulnerabilities fmt
check: check-modules check-proto check-generated check-vulnerabilities check-lint ## format, vet, lint, contract, GOWORK=off builds, generated files, known vulnerabilities; no tests

# Each module by itself, as a Docker build or `go install` sees it: outside the workspace.
check-modules:
	@failed=0; for module in $(MODULES); do \
		echo "build, vet, tidy: $${module#$(CURDIR)/}"; \
		(cd $$module && export GOWORK=off && go build -o /dev/null ./... && go vet -tags "$(TAGS)" ./... && go mod tidy -diff) || failed=1; \
	done; exit $$failed

check-lint: $(LINT)
	@failed=0; for module in $(MODULES); do \
		echo "lint: $${module#$(CURDIR)/}"; \
		(cd $$module && GOWORK=off $(LINT) run --allow-serial-runners ./...) || failed=1; \
	done; exit $$failed

fmt: $(LINT) ## format every module the way check wants it
	@for module in $(MODULES); do (cd $$module && $(LINT) fmt ./...); done

# The baseline is the contract as last released; bytes written under it decode for ever. See `baseline`.
check-proto: $(BUF)
	cd proto && $(BUF) lint && $(BUF) build && $(BUF) breaking --against $(BASELINE)

# Generated into a scratch folder and compared, so checking never changes the tree.
check-generated: $(BUF) $(TOOLS)/protoc-gen-go
	@scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	$(MAKE) --no-print-directory generate docs GENERATED=$$scratch; \
	cd $$scratch && find . -type f | while read -r file; do \
		diff -u "$(CURDIR)/$$file" "$$file" || { echo "$$file is out of date: run make generate docs"; exit 1; }; \
	done

# What is known is what the pinned database knows, so that a commit stays as good as it was. VULNDB=https://vuln.go.dev asks the newest one.
VULNDB_PINNED := $(ONEPX_CACHE)/vulndb/$(shell awk '$$1 == "golang.org/x/vulndb" {print $$2}' tools/supply/go.mod)
VULNDB ?= file://$(VULNDB_PINNED)

# A database that cannot be fetched is said, and fails nothing.
check-vulnerabilities:
	@pinned=file://$(VULNDB_PINNED); \
	if [ "$(VULNDB)" = $$pinned ] && ! (cd $(SUPPLY) && GOWORK=off go mod download golang.org/x/vulndb); then \
		echo "NOT CHECKED for known vulnerabilities: their database cannot be fetched here"; exit 0; \
	fi; \
	[ "$(VULNDB)" != $$pinned ] || $(MAKE) --no-print-directory -s $(VULNDB_PINNED); \
	cd $(SUPPLY) && GOWORK=off go run . vulnerabilities --db $(VULNDB)

# The module holds the entries; its own program makes them the database that govulncheck reads.
$(VULNDB_PINNED):
	@echo "indexing the vulnerability database once; kept in $@"
	@mkdir -p $(@D) && rm -rf $@.new
	@cd $(SUPPLY) && export GOWORK=off && go tool indexdb -vulns "$$(go list -m -f '{{.Dir}}' golang.org/x/vulndb)/data/osv" -out $@.new && mv $@.new $@

# Where the generators write: the tree itself, or the scratch folder of check-generated.
GENERATED ?= $(CURDIR)
BASELINE := testdata/v1.image.binpb

.PHONY: generate docs dashboards lists sbom baseline
generate: $(BUF) $(TOOLS)/protoc-gen-go ## write Go code from proto/, and the minified JavaScript tag
	cd proto && PATH="$(TOOLS):$$PATH" $(BUF) generate --output $(GENERATED)/proto
	go run ./tools/tagbuild --dir $(GENERATED)

docs: ## write the reference pages of docs/ from the code
	mkdir -p $(GENERATED)/docs
	go run ./services/collector docs --dir $(GENERATED)/docs
	go run ./services/consumer docs --dir $(GENERATED)/docs
	go run ./services/console docs --dir $(GENERATED)/docs
	cd $(SUPPLY) && GOWORK=off go run . licences --dir $(GENERATED)/docs

# Compared with the code by a test of its module.
dashboards: ## write the dashboards of the chart from tools/dashboards
	cd $(DASHBOARDS) && GOWORK=off go run . --dir $(CURDIR)/charts/onepx/dashboards

# Not part of check: what comes from outside is read as a diff, and its tests are run, before it counts.
lists: ## refresh the lists of robots from npm
	go run ./tools/lists

RELEASE ?= dev
sbom: ## write a bill of materials (CycloneDX) and the licences' texts for each image to bin/sbom (RELEASE=1.2.3)
	@cd $(SUPPLY) && GOWORK=off go run . sbom --dir $(CURDIR)/bin/sbom --release $(RELEASE)

# Only when a release is made: what is in it can no longer be taken back.
# CONTRACT is the number under which the files of the release are written, such as v2. Those that are there are not written again.
baseline: $(BUF) bin/dev
	$(if $(CONTRACT),,$(error make baseline CONTRACT=v2, the number of the release whose files are written))
	cd proto && mkdir -p $(dir $(BASELINE)) && $(BUF) build --exclude-source-info -o $(BASELINE)
	go test -count=1 -run Release ./proto/onepx/v1 ./services/shared/eventlog ./services/collector/internal/spool -release $(CONTRACT)
	bin/dev exec --clickhouse -- go test -count=1 -run Release -tags integration ./services/consumer/internal/store -release $(CONTRACT)

$(TOOLS)/golangci-lint: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/buf: PACKAGE := github.com/bufbuild/buf/cmd/buf
$(TOOLS)/protoc-gen-go: PACKAGE := google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/%:
	@echo "building $* once (golangci-lint and buf take a minute each); kept in $(TOOLS)"
	@mkdir -p $(TOOLS)
	@cd tools/build && GOWORK=off go build -o $@ $(PACKAGE)

## Test it

TAGS := integration,faults
# Packages that have tests on real parts.
tests_with = $(addprefix ./,$(sort $(dir $(shell git grep -l --untracked $(1) -- '*_test.go'))))
INTEGRATION = $(call tests_with,'^//go:build integration$$')
# Those among them that make and delete the topics of one broker: never two at once.
WITH_KAFKA = $(call tests_with,'Getenv("ONEPX_TEST_KAFKA")')

# Runs two commands side by side, both to their ends; fails if one does.
both = failed=0; $(1) & other=$$!; $(2) || failed=1; wait $$other || failed=1; exit $$failed

.PHONY: test test-unit test-integration test-faults e2e kube-test alert-test fuzz bench soak
# A fault round waits most of its time, so it runs beside the unit tests.
test: ## everything: unit with -race, real parts and browser, two fault rounds
	@$(call both,$(MAKE) test-faults,$(MAKE) test-unit)
	@$(MAKE) test-integration

test-unit: ## Go alone: every module with -race, fuzz seeds included
	go test -race -timeout 20m $(PACKAGES)
	go test -count=1 ./tools/docs ./tools/deploy # Go's cache does not see files outside of the module
	cd $(DASHBOARDS) && GOWORK=off go test -count=1 .
	cd $(SUPPLY) && GOWORK=off go test -count=1 .
	cd $(CHART) && GOWORK=off go test -count=1 . # nothing runs side by side there, and -race would compile Kubernetes twice
	@git grep -l --untracked '^//go:build !race$$' -- '*_test.go' | while read -r file; do \
		echo "without -race: $$file"; \
		go test -run "^($$(sed -n 's/^func \(Test[A-Za-z0-9_]*\).*/\1/p' "$$file" | paste -sd'|'))$$" "./$$(dirname "$$file")" || exit 1; \
	done

GO_TEST_INTEGRATION := go test -p 1 -race -count=1 -timeout 20m -tags integration

# Two groups, each on a ClickHouse of its own: one waits for Kafka much of its time, the other hardly ever.
test-integration: bin/dev ## real Kafka, ClickHouse and Chromium, with -race
	@$(call both,bin/dev exec -- $(GO_TEST_INTEGRATION) $(WITH_KAFKA),\
		bin/dev exec --clickhouse -- $(GO_TEST_INTEGRATION) $(filter-out $(WITH_KAFKA),$(INTEGRATION)))

test-faults:
	$(MAKE) --no-print-directory e2e ROUNDS=2

e2e: ## break each part in turn under load and compare what was sent with rows and conversions kept (ROUNDS=10; 21 do every kind of fault; SEED=0 draws one)
	@go build -o bin/e2e ./tools/e2e
	bin/e2e --rounds $(ROUNDS) --seed $(SEED)

# Kubernetes, etcd and Helm are built from their modules once, and kept; the first time takes a quarter of an hour.
KUBE := $(CHART)/cluster
KUBE_PROGRAMS := $(ONEPX_CACHE)/kube/$(shell (go env GOVERSION; cat tools/chart/cluster/go.mod tools/chart/cluster/go.sum) | git hash-object --stdin)

kube-test: $(KUBE_PROGRAMS)/etcd $(KUBE_PROGRAMS)/helm $(KUBE_PROGRAMS)/kube-apiserver ## install, upgrade, roll back and uninstall the chart on a real API server of Kubernetes, which is built first
	cd $(KUBE) && export GOWORK=off && go vet . && ONEPX_TEST_KUBE=$(KUBE_PROGRAMS) go test -count=1 -timeout 20m -v .

$(KUBE_PROGRAMS)/etcd: PACKAGE := go.etcd.io/etcd/server/v3
$(KUBE_PROGRAMS)/helm: PACKAGE := helm.sh/helm/v4/cmd/helm
$(KUBE_PROGRAMS)/kube-apiserver: PACKAGE := k8s.io/kubernetes/cmd/kube-apiserver
$(KUBE_PROGRAMS)/%:
	@echo "building $* once; kept in $(KUBE_PROGRAMS)"
	@mkdir -p $(KUBE_PROGRAMS)
	@cd $(KUBE) && export GOWORK=off && version=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes) && \
		go build -ldflags "-X k8s.io/component-base/version.gitVersion=$$version" -o $@ $(PACKAGE)

PROMTOOL := $(ONEPX_CACHE)/promtool/$(shell (go env GOVERSION; cat tools/chart/alerts/go.mod tools/chart/alerts/go.sum) | git hash-object --stdin)/promtool

alert-test: $(PROMTOOL) ## try each alert of the chart on its fault with promtool, which is built first (some minutes)
	$(PROMTOOL) check rules charts/onepx/rules/*.yaml
	$(PROMTOOL) check config --syntax-only deploy/compose/observability/prometheus.yml
	cd tools/chart/alerts && $(PROMTOOL) test rules onepx.test.yaml

$(PROMTOOL):
	@echo "building promtool once; kept in $(@D)"
	@mkdir -p $(@D)
	@cd tools/chart/alerts && GOWORK=off go build -o $@ github.com/prometheus/prometheus/cmd/promtool

fuzz: ## run every fuzz target for FUZZTIME (30s)
	@grep -rno --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' $(MODULES) | while IFS=: read -r file _ target; do \
		echo "fuzz: $${target#func } in $${file#$(CURDIR)/}"; \
		(cd "$$(dirname "$$file")" && go test -run '^$$' -fuzz "^$${target#func }$$" -fuzztime $(FUZZTIME) .); \
	done

bench: ## measure against bare alternatives on real parts, about 45 minutes; writes docs/benchmarks.md (ONLY=name)
	@go build -o bin/bench ./tools/bench
	bin/bench $(if $(ONLY),--only $(ONLY))

MINUTES ?= 30
RATE ?= 0
soak: ## the whole pipeline at half load for MINUTES (30): memory, goroutines, handles and parts must be flat, nothing lost or double; writes docs/benchmarks.md (RATE=events a second; 0 measures half of what it can do)
	@go build -o bin/bench ./tools/bench
	bin/bench soak --minutes $(MINUTES) --rate $(RATE)

.PHONY: clean
clean: down ## stop the local stack and remove what builds and runs left in this checkout; the cache stays
	rm -rf .dev bin
