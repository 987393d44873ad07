# make help says what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Everything but the long tests, which have a target of their own.
long = /soak(/cluster|/dataflow|/html|/permits|/workers)?$$
packages = $$(go list ./... | grep -vE '$(long)')
# Packages whose tests, with all they import, build without Beam, and without
# gRPC, which Cloud Storage comes with. (Deps of a test binary, so that what
# only a test imports counts too.)
fast = $$(go list -test -f '{{.ImportPath}} {{join .Deps " "}}' ./... | grep '^[^ ]*\.test ' | grep -vE 'apache/beam|google.golang.org/grpc' | sed 's/\.test .*//' | grep -vE '/(soak|bench)(/|$$)')
sources = $$(find . -name '*.go' -not -path './.*')
# Pinned in tools/go.mod, apart from what Harrow itself needs.
golangci = go tool -modfile=tools/go.mod golangci-lint

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | while IFS=$$'\t' read -r t h; do printf '  make %-18s %s\n' "$$t" "$$h"; done

.PHONY: run
run: ## Serve the demo shop and harvest it
	go run ./cmd/harrow demo

.PHONY: build
build: ## Build ./harrow
	go build -trimpath -o harrow ./cmd/harrow

# Workers on Dataflow have a container without a C library. The tag leaves the
# parts of gRPC out that only a storage client in Google's network could use:
# a tenth of the program.
WORKER = .build/harrow-worker
.PHONY: worker
worker: ## Build .build/harrow-worker, which workers on Dataflow run: --worker_binary
	CGO_ENABLED=0 GOOS=linux GOARCH=amd64 go build -trimpath -tags disable_grpc_modules -ldflags "-s -w" -o $(WORKER) ./cmd/harrow

.PHONY: test
test: setup ## Run the tests
	go test -timeout 10m $(packages)

.PHONY: test-fast
test-fast: ## Run the tests of what doesn't need Beam: seconds
	go test -timeout 5m $(fast)

.PHONY: test-race
test-race: setup ## Run the tests with the race detector, without what says nothing of races
	go test -race -short -timeout 15m $$(go list ./... | grep -vE '$(long)|/bench/')

.PHONY: test-soak
test-soak: setup ## Run the long tests at their small counts: minutes
	go test -count=1 -timeout 15m $$(go list ./soak/... | grep -v '/soak/cluster$$')
	go test -count=1 -timeout 15m ./soak/cluster

.PHONY: check
check: ## What CI runs: format, vet, layers, lint, and all of the tests
	.ci/run

.PHONY: fmt
fmt: ## Format the Go files
	gofmt -w $(sources)

.PHONY: fmt-check
fmt-check:
	@unformatted=$$(gofmt -l $(sources)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, see make fmt:"; echo "$$unformatted"; exit 1; fi

.PHONY: vet
vet: ## Run go vet
	go vet ./...

.PHONY: layers
layers: ## Check imports, doc comments and what the README says
	go test -count=1 -run 'Import|Layers|Outside|DoFn|Clock|Policy|Doc|Long|README' .

.PHONY: lint
lint: ## Run the linters of .golangci.yml (the first time builds them: minutes)
	$(golangci) run ./...

.PHONY: deploy-check
deploy-check: setup ## Hold deploy/ to the schemas of Kubernetes and Flink's operator, and to BuildKit
	cd tools/deploy && go run . -crds ../../.build/crds ../../deploy && go test -count=1 ./...

.PHONY: bench
bench: bench-refine bench-harvest bench-fetch bench-upsert bench-html ## Run the benchmarks

.PHONY: bench-refine
bench-refine: ## Shuffle and dedup of millions of rows: memory and time
	go run ./bench/refine

.PHONY: bench-refine-small
bench-refine-small: ## The same in CI's size
	go run ./bench/refine -small

.PHONY: bench-harvest
bench-harvest: ## A harvest beside a loop written by hand: CPU a page
	go run ./bench/harvest

.PHONY: bench-fetch
bench-fetch: ## The fetch stage against the least time that politeness allows; writes docs/measurements/fetch.md
	go run ./bench/fetch -md docs/measurements/fetch.md

.PHONY: bench-fetch-small
bench-fetch-small: ## The same in CI's size: politeness is judged, time is not
	go run ./bench/fetch -small

.PHONY: bench-upsert
bench-upsert: setup ## Upserts into PostgreSQL beside psql; writes docs/measurements/upsert.md
	go run ./bench/upsert -md docs/measurements/upsert.md

.PHONY: bench-upsert-small
bench-upsert-small: ## The same in CI's size: what is loaded is judged, time is not
	go run ./bench/upsert -small

.PHONY: bench-html
bench-html: setup ## Parsing and selecting beside goquery, lexbor and lxml; writes docs/measurements/html.md
	go run ./bench/html -md docs/measurements/html.md

.PHONY: bench-html-small
bench-html-small: ## The same in CI's size: values and allocations are judged, time is not
	go run ./bench/html -small

.PHONY: simulate
simulate: ## A quarter of a billion requests in a day, on a virtual clock: minutes
	go run ./bench/simulate -out docs/measurements/simulation.md

.PHONY: bench-million
bench-million: ## A million requests over 100,000 hosts: memory, and what a request costs
	go run ./bench/fetch -only c

.PHONY: bench-runners
bench-runners: setup ## The same work on direct, Prism and Flink; writes docs/measurements/runners.md (40 minutes, 160 at most)
	HARROW_CACHE=$${HARROW_CACHE:-$(CURDIR)/.build/cache} go run ./bench/runners -md docs/measurements/runners.md

.PHONY: bench-runners-small
bench-runners-small: ## The same in CI's size, on direct and Prism: what comes of it is judged, time is not
	go run ./bench/runners -small

.PHONY: pages
pages: ## Fetch the pages that soak/html compares parsers on: Debian's documentation, 190 MB in .build/pages
	@tools/pages

.PHONY: soak
soak: setup pages ## Run long tests and benchmarks in full, write docs/measurements/soak.md
	tools/soak

.PHONY: setup
setup: ## Install what the tests need beside Go (quick when it is there)
	@tools/setup

.PHONY: clean
clean: ## Remove what was built and installed here
	rm -rf .build harrow
