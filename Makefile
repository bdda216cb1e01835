# corten: build, try, test, install.
#
#   make            the release binary, static
#   make demo       a container that shows what it sees
#   make test       everything that CI checks
#   make conformance   third parties' suites, with corten and a peer (long)
#   make bench      corten beside the installed peers
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

.PHONY: release glibc aarch64 demo test deps lint unit integration bench install clean

release:
	$(FLAGS) cargo build --release --locked --target $(TARGET) -p corten

glibc:
	RUSTFLAGS="$(STATIC_GLIBC)" cargo build --release --locked --target $(HOST) -p corten

aarch64:
	rustup target add aarch64-unknown-linux-musl
	cargo build --release --locked --target aarch64-unknown-linux-musl -p corten

demo: release
	$(FLAGS) cargo build --release --locked --target $(TARGET) -p demo
	demo/run $(CORTEN) $(OUT)/$(TARGET)/release/demo

test: deps lint unit integration

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	cargo test --locked --workspace --exclude conformance

deps:
	conformance/install-deps.sh

integration: release
	CORTEN=$(abspath $(CORTEN)) cargo test --locked -p conformance

# The suites' own failures are theirs; `results` fails where corten is behind the peer.
runtime-tools: release
	conformance/suites/runtime-tools/build $(SUITES)
	conformance/suites/runc/build $(SUITES)
	-conformance/suites/runtime-tools/run $(SUITES) $(CORTEN) $(TABLES)/runtime-tools.host.corten.tsv
	-conformance/suites/runtime-tools/run $(SUITES) $(RUNTIME) $(TABLES)/runtime-tools.host.$(PEER).tsv
	conformance/suites/results $(TABLES)/runtime-tools.md $(TABLES)/runtime-tools.host.*.tsv

conformance: runtime-tools
	-conformance/suites/runc/run $(SUITES) $(CORTEN) $(TABLES)/runc.host.corten.tsv
	-conformance/suites/runc/run $(SUITES) $(RUNTIME) $(TABLES)/runc.host.$(PEER).tsv
	conformance/suites/results conformance/RESULTS.md $(TABLES)/*.tsv

bench: release
	benches/run

install: release
	install -D -m 0755 $(CORTEN) $(DESTDIR)$(PREFIX)/bin/corten

clean:
	cargo clean
