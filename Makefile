# Run "make" for the list of targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

# How long all tests, each fuzz target, and the simulation may take.
TEST_TIMEOUT ?= 12m
FUZZ_TIME ?= 30s
SIM_TIME ?= 10m
HA_ROUNDS ?= 14

# What the simulation runs on: sqlite, or postgres with three nodes.
SIM_STORE ?= sqlite

# What is measured: sqlite, postgres or both.
STORE ?= both

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
GENERATED := api/api.gen.go client/internal/rest/rest.gen.go
GO_FILES = $(shell find . -name '*.go' -not -path './.*')
LINT := go tool -modfile=tools/go.mod golangci-lint

##@ Use

.PHONY: help
help: ## Show this list
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

.PHONY: build
build: ## Build bin/saldo, static
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X github.com/saldo-ledger/saldo/internal/cli.version=$(VERSION)" -o bin/saldo ./cmd/saldo

.PHONY: demo
demo: build ## Build, and serve a throwaway ledger
	@bin/saldo serve --demo

##@ Test

# Many tests start the real binary, of which go test does not know that it has
# changed: it would show results of before. The race detector leaves SQLite's own
# code alone, which is C in Go's clothes: to watch its memory takes half of the
# time of all tests, and what it tells of it would be nothing about Saldo. What
# takes longest begins first.
.PHONY: test
test: needs ## Run every test, with the race detector
	CGO_ENABLED=1 go test -race -gcflags=modernc.org/sqlite/lib=-race=false -count=1 -timeout $(TEST_TIMEOUT) ./test/acceptance ./test/sim ./...

.PHONY: short
short: ## Run the quick tests, without the race detector
	go test -short -timeout $(TEST_TIMEOUT) ./...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZ_TIME (30s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
		for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p' "$$file"); do \
			echo "== $$target in $$(dirname "$$file")"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZ_TIME) "$$(dirname "$$file")"; \
		done; \
	done

.PHONY: sim
sim: ## Run the simulation with injected faults for SIM_TIME (10m) on SIM_STORE (sqlite)
	go test -count=1 -timeout 0 -v -run '^TestSim$$' ./test/sim -time $(SIM_TIME) -store $(SIM_STORE)

.PHONY: test-ha
test-ha: needs ## Take the leader away from PostgreSQL under Patroni, HA_ROUNDS times (14)
	go test -count=1 -timeout 0 -v -run '^TestFailover$$' ./test/ha -rounds $(HA_ROUNDS)

.PHONY: mutate
mutate: ## Change the code of ledger and engine, and count which changes the tests notice (an hour)
	go run ./test/mutate

.PHONY: cover
cover: ## Measure test coverage, into bin/cover.html
	@mkdir -p bin
	go test -timeout $(TEST_TIMEOUT) -coverpkg=./... -coverprofile=bin/cover.all ./...
	@grep -v '\.gen\.go:' bin/cover.all > bin/cover.out
	go tool cover -html=bin/cover.out -o bin/cover.html
	@go tool cover -func=bin/cover.out | tail -1

.PHONY: bench
bench: build needs ## Compare with the least that could do the same work, on each STORE (both)
	go run ./test/bench -store $(STORE)

.PHONY: bench-large
bench-large: build needs ## Measure a ledger of a million accounts on each STORE (half an hour)
	go run ./test/bench -store $(STORE) -large 1000000

##@ Change

.PHONY: generate
generate: ## Generate code from api/openapi.yaml
	go generate ./api ./client/internal/rest

.PHONY: lint
lint: ## Run the linters
	$(LINT) run

.PHONY: check
check: stale ## Run everything that a change must pass
	@echo "gofmt -l"; files=$$(gofmt -l $(GO_FILES)); [ -z "$$files" ] || { echo "not formatted:"; echo "$$files"; exit 1; }
	go vet ./...
	go mod tidy -e -diff 2>/dev/null # -e: tests of dependencies need not be there
	$(MAKE) --no-print-directory lint
	$(MAKE) --no-print-directory test

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin .bench-*

# stale fails where generated code is not what api/openapi.yaml says. It leaves
# the right code behind.
.PHONY: stale
stale:
	@before=$$(cat $(GENERATED) | cksum); \
	$(MAKE) --no-print-directory generate; \
	[ "$$before" = "$$(cat $(GENERATED) | cksum)" ] || { echo "generated code was stale, and is new now: look at it and commit it"; exit 1; }

# needs makes sure of what the tests take beside Go: a C compiler for the race
# detector, curl for the examples of the documentation, and a PostgreSQL server,
# of which the tests start clusters of their own in temporary folders, PgBouncer
# to stand before one, etcd and Patroni to take over from one to another, and
# Prometheus for its promtool, which checks rules and dashboard. Where that can be
# done without asking anybody, it installs what is missing.
.PHONY: needs
needs:
	@missing=""; cc=$$(go env CC); \
	command -v "$${cc%% *}" > /dev/null || missing="gcc libc6-dev"; \
	command -v curl > /dev/null || missing="$$missing curl"; \
	{ command -v initdb > /dev/null || ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1; } || missing="$$missing postgresql"; \
	command -v pgbouncer > /dev/null || [ -x /usr/sbin/pgbouncer ] || missing="$$missing pgbouncer"; \
	command -v promtool > /dev/null || missing="$$missing prometheus"; \
	[ -x /usr/bin/etcd ] || missing="$$missing etcd-server"; \
	[ -x /usr/bin/patroni ] && /usr/bin/python3 -c "import etcd, psycopg2" 2> /dev/null || missing="$$missing patroni python3-etcd python3-psycopg2"; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
		echo "The tests need $$missing: installing with apt-get."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	else \
		echo "The tests need $$missing. Install that, or run \"make short\" without the race detector."; exit 1; \
	fi
