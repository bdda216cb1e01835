#!/bin/sh
# Installs what the tests need, on Debian and its kin. Without root it says what is missing, and the
# tests that need it say so too.
set -eu

# busybox: the root filesystem of every bundle. Next to it peers, engines, helpers and oracles, whose tests are skipped without
# them; what the suites are built and run with; what the virtual machine is made of.
needed="busybox-static util-linux coreutils procps"
wanted="strace valgrind runc crun containerd podman libseccomp-dev pkgconf \
    mmdebstrap debian-archive-keyring bats jq gawk gcc libc6-dev iproute2 python3 secilc erofs-utils \
    qemu-system-x86 e2fsprogs cpio xz-utils openssh-client"

missing() {
    for package in "$@"; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
    done
}

packages=$(missing $needed $wanted)
[ -n "$packages" ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
    echo "not installed: $packages(as root: apt-get install --no-install-recommends $packages)" >&2
    exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -qq -y --no-install-recommends \
        $packages >"$log" 2>&1
}
if ! install; then
    apt-get update -qq >>"$log" 2>&1 || true
    install || { cat "$log" >&2; exit 1; }
fi
