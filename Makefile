# make help lists what can be made; make alone builds.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

GO ?= go
PREFIX ?= /usr/local
DESTDIR ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
STATIC := CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)'
MAX_BINARY := 25000000 # bytes

.PHONY: build
build: ## bin/telemetry-hub and bin/firmware-sim, static
	$(STATIC) -o bin/ ./cmd/telemetry-hub ./cmd/firmware-sim

.PHONY: help
help: ## what can be made
	@sed -nE 's/^([a-z0-9-]+):[^#]*## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: test
test: setup format vet staticcheck unit unit32 fuzz size units clients page disks demo ## everything that CI checks; installs what it lacks, where it may

.PHONY: setup
setup: ## install what the tests need, or say by which command
	@.ci/setup

.PHONY: format
format: ## check that the code is formatted
	@unformatted=$$("$$($(GO) env GOROOT)/bin/gofmt" -l .); \
	if [ -n "$$unformatted" ]; then \
		printf 'error: not formatted:\n%s\nhint: gofmt -w .\n' "$$unformatted" >&2; \
		exit 1; \
	fi

.PHONY: vet
vet: ## go vet, and whether go.mod is tidy
	$(GO) mod tidy -diff
	$(GO) vet ./... ./.ci/progress

.PHONY: staticcheck
staticcheck: ## more checks of the code
	$(GO) tool -modfile=.ci/tools/go.mod staticcheck ./...

.PHONY: unit
unit: ## all Go tests, with the race detector
	$(GO) test -race -timeout 15m -json ./... ./.ci/progress | $(GO) run ./.ci/progress

# The parts that take bytes from elsewhere, where an int has 32 bits, as on many gateways; what has no tests run there compiles.
# The race detector does not exist for it, and so no C compiler is needed either.
.PHONY: unit32
unit32: export GOARCH = 386
unit32: export CGO_ENABLED = 0
unit32: ## device, store and hub on a 32-bit processor
	@case "$$(GOARCH= $(GO) env GOHOSTARCH)" in amd64|386) ;; *) \
		echo "error: programs for 386 do not run on this machine" >&2; \
		echo "hint: make setup format vet staticcheck unit fuzz size units page disks demo" >&2; \
		exit 1; \
	esac
	$(GO) vet ./...
	$(GO) test -timeout 15m -json ./device/... ./store/... ./hub/... | GOARCH= $(GO) run ./.ci/progress

.PHONY: fuzz
fuzz: ## each fuzz target for ten seconds
	.ci/fuzz 10s

.PHONY: size
size: build ## the program has fewer bytes than promised
	@size=$$(stat -c %s bin/telemetry-hub); \
	echo "bin/telemetry-hub has $$size bytes"; \
	if [ "$$size" -gt $(MAX_BINARY) ]; then \
		echo "error: that is more than the $(MAX_BINARY) promised" >&2; \
		exit 1; \
	fi

.PHONY: units
units: build ## what systemd says of the installed service
	.ci/check-units

# Clients that generators make of the API's document: they compile, and call every operation of a hub.
.PHONY: clients
clients: build ## clients that generators make of the API
	.ci/clients/check

# The dashboard's page: types, its modules by themselves, and in a real browser with a real hub. Pictures are kept in
# dashboard/webtest/screenshots.
.PHONY: page
page: build ## the dashboard's page, in a real browser
	cd dashboard/webtest && npm ci --no-audit --no-fund && npm run --silent types
	cd dashboard/webtest && node --test --test-reporter=spec unit/*.test.js
	cd dashboard/webtest && node --test --test-reporter=spec --test-concurrency=3 browser/*.test.mjs # they wait most of the time

# A hub on file systems of 64 and 32 MB that it fills itself or others fill, and on one that stands still. They are mounted
# where nobody else sees them, which needs root; sudo is used where it asks for no password.
.PHONY: disks
disks: ## a hub on small and full file systems, as root
ifeq ($(shell id -u),0)
	$(GO) vet -tags disks ./cmd/telemetry-hub
	unshare --mount --propagation private $(GO) test -tags disks -count 1 -timeout 20m -v -run '^TestDisk' ./cmd/telemetry-hub
else
	@sudo --non-interactive true 2>/dev/null || { \
		printf 'error: only root may mount file systems\nhint: sudo env "PATH=$$PATH" make disks\n' >&2; exit 1; }
	sudo --non-interactive env "PATH=$$PATH" $(MAKE) disks
endif

.PHONY: demo
demo: ## run the demo as the README says, until readings come
	.ci/demo

.PHONY: install
install: ## the program and its systemd service (systemd/README.md)
	@test -x bin/telemetry-hub || { echo "error: make build comes first, as an ordinary user" >&2; exit 1; }
	install -D -m 0755 bin/telemetry-hub '$(DESTDIR)$(PREFIX)/bin/telemetry-hub'
	install -D -m 0644 systemd/sysusers.d/telemetry-hub.conf '$(DESTDIR)/etc/sysusers.d/telemetry-hub.conf'
	@install -d '$(DESTDIR)/etc/systemd/system'
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' systemd/telemetry-hub.service > '$(DESTDIR)/etc/systemd/system/telemetry-hub.service'
	@test -e '$(DESTDIR)/etc/telemetry-hub/telemetry-hub.toml' || \
		install -v -D -m 0644 systemd/telemetry-hub.toml '$(DESTDIR)/etc/telemetry-hub/telemetry-hub.toml'

.PHONY: uninstall
uninstall: ## remove them; data and configuration stay
	rm -f '$(DESTDIR)$(PREFIX)/bin/telemetry-hub' '$(DESTDIR)/etc/sysusers.d/telemetry-hub.conf' \
		'$(DESTDIR)/etc/systemd/system/telemetry-hub.service'

# Measurements of the page, with Chromium and Node 20 or later. They take minutes, are only as good as the machine is idle,
# and print what they measured; dashboard/webtest/bench/*.mjs says how, and takes other sizes.
BENCH := cd dashboard/webtest && { test -d node_modules || npm ci --silent; } && node bench

# From a frame's arrival at the hub to its changed text, with 200 devices at 1 Hz; and a new browser's first paint.
.PHONY: bench-latency
bench-latency: build ## from a frame to its text on the page
	$(BENCH)/latency.mjs
	$(BENCH)/paint.mjs

# What a browser receives and needs while it scrolls through 10,000 devices at 0.2 frames/s, for ten minutes.
.PHONY: bench-fleet
bench-fleet: build ## what a browser needs for 10,000 devices
	ulimit -n $$(ulimit -Hn); $(BENCH)/fleet.mjs

# What 200 viewers, 20 of whom never read, change for 1,000 devices: ingest rate, acks, the hub's CPU and memory.
.PHONY: bench-viewers
bench-viewers: build ## what 200 viewers change
	ulimit -n $$(ulimit -Hn); $(BENCH)/viewers.mjs

# From a click that sends a command to its result on the page, through browser, hub and device.
.PHONY: bench-commands
bench-commands: build ## from a click to its result
	$(BENCH)/commands.mjs
