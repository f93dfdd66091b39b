# The README's commands.  Everything real is in meson.build and tests/run.
SHELL := /bin/bash
BUILD ?= build/release

.PHONY: all deps demo demo-fabric demo-director test conformance bench clean install

all: deps
	@test -f $(BUILD)/build.ninja || { echo "Building, which takes a minute or two the first time"; \
	    meson setup $(BUILD) --buildtype=release >/dev/null; }
	@ninja -C $(BUILD) --quiet

deps:
	@packaging/install-dependencies

test: all
	@tests/run

# Other people's suites against weft-api (also part of 'make test').
conformance: all
	@tests/run conformance

# QUICK=1 for three short rounds.
bench: all
	@bench/run

# Three hosts and two tenants on this machine; ONCE=1 ends by itself and fails if anything shown fails.  UNDERLAY=fabric: over Open
# vSwitch and weft-fabric instead of a bridge.
demo: all
	@BUILD=$(BUILD) ONCE=$(ONCE) UNDERLAY=$(UNDERLAY) demo/demo

# Five switches with weft-fabric as their controller; ONCE=1 likewise.
demo-fabric: all
	@BUILD=$(BUILD) ONCE=$(ONCE) demo/fabric

# Three nginx and a client, with weft-agent as the director between them; ONCE=1 likewise.
demo-director: all
	@BUILD=$(BUILD) ONCE=$(ONCE) demo/director

clean:
	rm -rf build

install: all
	meson install -C $(BUILD)
