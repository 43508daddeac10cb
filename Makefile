# The checks of this repository. `make help` lists them.
GO       ?= go
LINT     := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHTIME ?= 1s

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

.PHONY: run
run: ## run the standalone server
	$(GO) run ./examples/standalone

.PHONY: test
test: ## run the tests
	$(GO) test ./...

.PHONY: race
race: ## run the tests with the race detector, in random order
	$(GO) test -race -shuffle=on ./...

.PHONY: lint
lint: ## vet and lint
	$(GO) vet ./...
	$(LINT) run ./...

.PHONY: tidy
tidy: ## fail if go.mod or go.sum is not tidy
	$(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: check
check: tidy lint race ## everything that must be green before a change is handed in

.PHONY: tour
tour: ## run the README's tour against a server of its own
	./docs/tour.sh

.PHONY: bench
bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: kills
kills: ## kill -9 a server in the middle of imports, 500 times (about 20 minutes)
	$(GO) test -count=1 -timeout 60m -run TestKill ./integration -kills 500

.PHONY: openapi
openapi: ## print the OpenAPI document of the standalone server
	@$(GO) run ./examples/standalone openapi
