# corten: build, try, test, install.
#
#   make            the release binary, static
#   make demo       a container that shows what it sees
#   make test       all tests; CI makes the builds of a release too
#   make conformance   third parties' suites and the engines, with corten or RUNTIME=PATH (hours)
#   make peers      the newest crun, for the next
#   make bench      corten beside the installed peers, and beside the newest crun after `make peers`
#   make bench-machine   the same in the virtual machine
#   make install    to $(PREFIX)/bin

PREFIX ?= /usr/local
HOST := $(shell rustc -vV | sed -n 's/^host: //p')
MUSL := $(firstword $(subst -, ,$(HOST)))-unknown-linux-musl
HAS_MUSL := [ -d "$$(rustc --print sysroot)/lib/rustlib/$(MUSL)" ]

# The static musl target where it can be had, else static glibc.
TARGET := $(shell $(HAS_MUSL) || rustup target add $(MUSL) >/dev/null 2>&1; $(HAS_MUSL) && echo $(MUSL) || echo $(HOST))
STATIC_GLIBC := -C target-feature=+crt-static -C relocation-model=static
FLAGS := $(if $(filter $(HOST),$(TARGET)),RUSTFLAGS="$(STATIC_GLIBC)",)
OUT := $(or $(CARGO_TARGET_DIR),target)
CORTEN := $(OUT)/$(TARGET)/release/corten

# Third parties' suites, what they are built from, and the tables of what they found.
SUITES := $(abspath $(OUT)/suites)
TABLES := $(abspath $(OUT)/tables)
RUNTIME ?= $(CORTEN)
PEER ?= runc
CI_TABLES := $(TABLES)/ci/runtime-tools.host.corten.tsv $(TABLES)/ci/runtime-tools.host.$(notdir $(PEER)).tsv
TOPICS := cgroups cgroup_files delegation rootless events update limits schedule systemd labels peers races::the_label
ENGINES := systemd:.(what|exec)|own.network|terminals|user.namespace|a.pod|build
HOST_SUITES := runtime-tools runc busybox
# The runs in the machine, the longest first, and how many machines run at once: each takes a processor and 4 GB.
RUNS := runc-systemd runc integration-v1 integration runc-rootless runc-rootless-systemd integration-selinux runtime-tools engines engines-rootless
MACHINES ?= $(shell awk -v most=$$(nproc) '/MemAvailable/ { fit = int($$2 / 4e6); print fit < 1 ? 1 : fit < most ? fit : most }' /proc/meminfo)
# The tables that a run of all of it leaves.
EXPECTED = $(patsubst %,$(TABLES)/%.$(notdir $(RUNTIME)).tsv,$(HOST_SUITES:%=%.host) \
    $(shell printf '%s\n' $(RUNS) | sed -E 's/^(integration|engines|runtime-tools|runc)/\1.machine/'))

.PHONY: release glibc aarch64 demo test list-tests root deps lint unit instructions integration tests suites runtime-tools machine conformance peers bench bench-machine install clean

# With its functions in the order of their use where GNU's linker makes it.
release:
	$(FLAGS) $(if $(filter x86_64-%-musl,$(TARGET)),CORTEN_LAYOUT=1) cargo build --release --locked --target $(TARGET) -p corten

glibc:
	RUSTFLAGS="$(STATIC_GLIBC)" cargo build --release --locked --target $(HOST) -p corten

aarch64:
	rustup target add aarch64-unknown-linux-musl
	cargo build --release --locked --target aarch64-unknown-linux-musl -p corten

demo: release
	$(FLAGS) cargo build --release --locked --target $(TARGET) -p demo
	demo/run $(CORTEN) $(OUT)/$(TARGET)/release/demo

TESTS := deps lint unit instructions integration runtime-tools machine
test: $(TESTS)

# What .ci/run goes through one by one.
list-tests:
	@echo $(TESTS)

root:
	@[ "$$(id -u)" = 0 ] || { echo "this needs root: the suites, the benchmark and the virtual machine" >&2; exit 1; }

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	cargo test --locked --workspace --exclude conformance

# The instructions of the pure part of a create, beside those that are stored: no other work of the machine disturbs these.
instructions:
	benches/instructions/check

deps:
	conformance/install-deps.sh

# The integration tests as one static program, for here and for the machine, with the programs that they bring along.
tests:
	mkdir -p $(SUITES)/integration
	$(FLAGS) cargo test --locked --target $(TARGET) -p conformance --test conformance --no-run
	cp "$$($(FLAGS) cargo test --locked --target $(TARGET) -p conformance --test conformance --no-run --message-format=json | \
	    sed -n 's/.*"kind":\["test"\].*"executable":"\([^"]*\)".*/\1/p')" $(SUITES)/integration/conformance
	cp $(OUT)/$(TARGET)/debug/seccomp-agent conformance/suites/engines/mkimage $(SUITES)/integration

# What can be done without root is done, but does not count as all of it.
integration: deps release tests
	@command -v busybox >/dev/null || { echo "the integration tests need busybox" >&2; exit 1; }
	$(FLAGS) CORTEN=$(abspath $(CORTEN)) cargo test --locked --target $(TARGET) -p conformance
	@[ "$$(id -u)" = 0 ] || { echo "without root most of these tests were skipped" >&2; exit 1; }

suites:
	conformance/suites/runtime-tools/build $(SUITES)
	conformance/suites/runc/build $(SUITES)
	conformance/suites/busybox/build $(SUITES)

# The suites' own failures are theirs; `results` fails where corten is behind the peer.
runtime-tools: root release deps
	conformance/suites/runtime-tools/build $(SUITES)
	rm -f $(CI_TABLES)
	-conformance/suites/runtime-tools/run $(SUITES) $(CORTEN) $(word 1,$(CI_TABLES))
	-conformance/suites/runtime-tools/run $(SUITES) $(PEER) $(word 2,$(CI_TABLES))
	conformance/suites/results $(TABLES)/ci/runtime-tools.md $(CI_TABLES)

# In the virtual machine: the topics of the integration tests that this host may not have all of, and each engine once.
machine: export RUN_SECONDS = 900
machine: root release deps tests
	failed=0; for runs in "integration:$(TOPICS)" "engines:$(ENGINES)" "engines-rootless:$(ENGINES)" integration-selinux:labels; do \
	    conformance/suites/machine $(SUITES) $(CORTEN) $(TABLES)/ci "$$runs" || failed=1; done; exit $$failed

# All of it with RUNTIME; busybox's tests are compared with the peer's results. Each run has a table; RESULTS.md has those of all runtimes that were tried.
conformance: root release deps suites tests
	rm -f $(EXPECTED)
	-for suite in $(HOST_SUITES); do \
	    conformance/suites/$$suite/run $(SUITES) $(RUNTIME) $(TABLES)/$$suite.host.$(notdir $(RUNTIME)).tsv; done
	-conformance/suites/busybox/run $(SUITES) $(PEER) $(TABLES)/busybox.host.$(notdir $(PEER)).tsv
	-printf '%s\n' $(RUNS) | xargs -P $(MACHINES) -I {} conformance/suites/machine $(SUITES) $(RUNTIME) $(TABLES) {}
	conformance/suites/results conformance/RESULTS.md $(EXPECTED) $(wildcard $(TABLES)/*.tsv)

# The newest crun, which `bench` takes in place of an installed one.
peers: root deps
	benches/peers $(SUITES)

bench: root release deps
	CORTEN=$(abspath $(CORTEN)) benches/run

# With real limits and all controllers; few rounds, since the machine is slow. RESULTS.md shows it beside what `bench` measured.
bench-machine: root release deps
	benches/machine $(CORTEN)

install: release
	install -D -m 0755 $(CORTEN) $(DESTDIR)$(PREFIX)/bin/corten

clean:
	cargo clean
