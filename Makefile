# The checks of this repository. `make help` lists them.
GO       ?= go
LINT     := $(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHTIME ?= 1s
SETUP     ?= embedded
BASE      ?= HEAD
KILLS     ?= 500
FAULT     ?= .*
FAULTS    ?= 25
OUTAGE    ?= 30s
ROUNDS    ?= 2

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-14s %s\n", $$1, $$2}'

.PHONY: run
run: ## run the standalone server
	$(GO) run ./examples/standalone

.PHONY: test
test: ## run the tests, and say what was left out: without Docker, those on real servers
	@report=$$(mktemp); PLATFORM_TEST_REPORT=$$report $(GO) test -timeout 40m ./...; code=$$?; \
	(cd examples/embed && $(GO) test ./...) || code=1; \
	$(GO) run ./internal/test/teststack/report <$$report; rm -f $$report; exit $$code

.PHONY: race
race: ## run the tests with the race detector, in random order
	$(GO) test -timeout 40m -race -shuffle=on ./...

.PHONY: lint
lint: ## vet and lint
	$(GO) vet ./...
	$(LINT) run ./...
	cd examples/embed && $(GO) vet ./... && $(LINT) run ./...

.PHONY: tidy
tidy: ## fail if go.mod or go.sum is not tidy
	$(GO) mod tidy -diff
	cd examples/embed && $(GO) mod tidy -diff
	$(GO) mod verify

.PHONY: check
check: tidy lint race ## everything that must be green before a change is handed in

.PHONY: tour
tour: ## run the README's tour against a server of its own, with FLAGS such as --postgres=URL
	./docs/tour.sh $(FLAGS)

.PHONY: bench
bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: pairs
pairs: ## compare the standalone server with that of the commit BASE, in 20 interleaved pairs
	@dir=$$(mktemp -d) && trap 'git worktree remove --force '$$dir/base'; rm -rf '$$dir EXIT && \
	git worktree add --quiet --detach $$dir/base $(BASE) && \
	(cd $$dir/base && $(GO) build -o $$dir/old ./examples/standalone) && $(GO) build -o $$dir/new ./examples/standalone && \
	$(GO) run ./integration/pairs -base $$dir/old -head $$dir/new

.PHONY: kills
kills: ## kill -9 a server in the middle of imports, KILLS times on SETUP: embedded, postgres, postgres-redis or all
	$(GO) test -count=1 -timeout 120m -v -run '^TestKill$$/^$(SETUP)$$' ./integration -kills $(KILLS)

.PHONY: faults
faults: ## one kind of fault, FAULT ("postgres stopped"), FAULTS times with servers away for OUTAGE, on the four stores
	$(GO) test -count=1 -timeout 120m -v -run '^TestFaults$$/^$(subst $() ,_,$(FAULT))$$' ./integration -faults $(FAULTS) -outage $(OUTAGE)

.PHONY: neighbours
neighbours: ## measure a tenant's requests beside another one's scans, ROUNDS times on SETUP: embedded or postgres
	$(GO) test -count=1 -timeout 20m -v -run '^TestNeighbours$$/^$(SETUP)$$' ./integration -neighbours $(ROUNDS)

.PHONY: signins
signins: ## measure a tenant's requests beside four wrong sign-ins at a time, ROUNDS times on SETUP: embedded or postgres
	$(GO) test -count=1 -timeout 20m -v -run '^TestSignInsBesideReads$$/^$(SETUP)$$' ./integration -neighbours $(ROUNDS)

.PHONY: mongo-java
mongo-java: ## run what concerns MongoDB on mongo-java-server too; needs Maven, a JDK and Docker
	@exports=$$(internal/test/teststack/mongojava/build) && eval "$$exports" && report=$$(mktemp) && export PLATFORM_TEST_REPORT=$$report; \
	$(GO) test -count=1 -timeout 20m ./store/mongo && \
	$(GO) test -count=1 -timeout 20m -run '^(TestJourney|TestStopWithClientThatHangs|TestDocumentsAgree)$$/^(all)?$$' ./integration; code=$$?; \
	$(GO) run ./internal/test/teststack/report <$$report; rm -f $$report; exit $$code

.PHONY: openapi
openapi: ## print the OpenAPI document of the standalone server
	@$(GO) run ./examples/standalone openapi

# The targets below install tools of pinned versions into a folder of their own
# outside of the repository, and so reach package registries.
.PHONY: openapi-lint
openapi-lint: ## lint the OpenAPI document with Redocly and Spectral; needs Node
	./integration/outside/lint.sh

.PHONY: schemathesis
schemathesis: ## call every operation with what its description allows, and not, with FLAGS; needs Python
	./integration/outside/schemathesis.sh $(FLAGS)

.PHONY: tokens
tokens: ## verify tokens of each signing algorithm with jose (npm) and joserfc (PyPI); needs Node and Python
	./integration/outside/tokens.sh

.PHONY: browser
browser: ## use passkeys and session cookies in Chromium against built servers; needs Chromium and Node
	./integration/outside/browser.sh
	./integration/outside/cookies.sh

.PHONY: clients
clients: ## generate clients in TypeScript, Go and Python, and use them against the built server; needs Node, Python and Java
	./integration/outside/clients.sh
