# Limeade's own commands. The editors' targets need node and what they install; all else Go alone.

GO ?= go
.PHONY: test lint matrix bench corpus history load soak stress fuzz test-editors editor-images

# test runs every check: formatting, vet, staticcheck, the Go tests, and the real editors.
test: lint
	$(GO) test -timeout 40m ./...
	$(MAKE) test-editors

# test-editors drives real editors through one scenario. What they need is installed with apt and npm where it is missing.
test-editors:
	editors/test/node.sh node editors/test/prepare.mjs
	cd editors/vscode && ../test/node.sh npm ci --no-audit --no-fund && ../test/node.sh npm run check && \
		../test/node.sh npm run lint && ../test/node.sh npm run package
	editors/test/node.sh node --test --test-concurrency=1 --test-reporter=spec \
		editors/nvim/test/nvim.test.mjs editors/vscode/test/vscode.test.mjs editors/recipes/recipes.test.mjs

# editor-images does the same and takes the pictures of editors/vscode/README.md.
editor-images:
	LIMEADE_IMAGES=$(CURDIR)/editors/vscode/images $(MAKE) test-editors

lint:
	@fmt="$$(gofmt -l $$(git ls-files '*.go' | grep -v /testdata/))"; if [ -n "$$fmt" ]; then echo "not gofmt'ed:"; echo "$$fmt"; exit 1; fi
	$(GO) vet ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# matrix runs every edit case on every toolchain and build mode.
matrix:
	LIMEADE_TEST_MATRIX=all $(GO) test -timeout 240m -v -run 'TestEdits|TestCasesAreSound' ./cmd/limeade-lsp

# bench prints the figures of "Speed to reach".
bench:
	$(GO) test -run '^$$' -bench . -benchtime 1x -timeout 60m ./reload/internal/proof/bench ./server

# corpus swaps the real bodies into Go's own test programs, edits random programs at random, refreshes one program a
# thousand times, and compiles real modules whole for each of hundreds of mutations.
corpus:
	LIMEADE_CORPUS=all $(GO) test -timeout 85m -v -run 'TestCorpus' ./reload/internal/proof/corpus
	LIMEADE_SEEDS=500 $(GO) test -timeout 240m -v ./reload/internal/proof/sequence
	LIMEADE_REFRESHES=1000 $(GO) test -timeout 40m -v ./reload/internal/proof/many
	LIMEADE_CORPUS=all $(GO) test -timeout 60m -v -run TestRecompileSet ./analysis

# history makes commits of a public program live, one after the other, in the program that the first of them built. The
# programs are those that reload/internal/proof/history can use.
history:
	@test -n "$$LIMEADE_HISTORY" && test -n "$$LIMEADE_RANGE" || { echo "make history: LIMEADE_HISTORY is to be the path of a \
	git repository, and LIMEADE_RANGE the commits (a..b), as in LIMEADE_HISTORY=~/src/caddy LIMEADE_RANGE=HEAD~50..HEAD" >&2; exit 64; }
	$(GO) test -timeout 240m -v -run 'TestHistory' ./reload/internal/proof/history

# load refreshes a server two hundred times under HTTP load.
load:
	LIMEADE_LOAD=200 $(GO) test -timeout 10m -v ./reload/internal/proof/load

# soak edits a server under HTTP load in every way there is, once a second for half an hour.
soak:
	LIMEADE_SOAK=30m,1s $(GO) test -timeout 40m -v ./reload/internal/proof/soak

# stress swaps running functions for a minute on each toolchain.
stress:
	LIMEADE_STRESS=60s $(GO) test -timeout 40m -v ./reload/internal/proof/stress

# fuzz gives each reader of foreign bytes ten minutes. What is new in an input is made small for a second only: a minute, which is
# the default, leaves no time to look further.
FUZZTIME ?= 10m
fuzz:
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z]*' analysis reload server | sed 's|/[^/]*:func | |' | while read dir name; do \
		echo "$$dir $$name"; \
		$(GO) test ./$$dir -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1s </dev/null || exit 1; \
	done
