#!/bin/bash
# Runs every engine of the test machine with the runtime RT, and checks what the containers saw. Prints TAP.
# As root: containerd (ctr, CRI), Podman, Docker, buildah; as another user: rootless Podman and buildah.
# usage: RT=PATH engines.sh [PATTERN]     runs the tests whose names match the extended regular expression
set -u

here=$(dirname "$(realpath "$0")")
RT=$(realpath "$(command -v "${RT:?set it to the path of the runtime}")") || exit 2
pattern=${1:-.}
work=$(mktemp -d /tmp/engines.XXXXXX)
seen=$work/seen
calls=$work/calls
image=localhost/bb:latest
count=0
failed=0

# What engines are given is a script that notes the call: proof that it was this runtime that they ran. It carries the
# runtime's own name, since engines judge by it.
rt=$work/bin/${RT##*/}
mkdir "$work/bin"
printf '#!/bin/sh\necho "$*" >>%s\nexec %s "$@"\n' "$calls" "$RT" >"$rt"
chmod 755 "$work" "$rt"

# What a container says of itself, for `expect`.
# shellcheck disable=SC2016,SC2034
probe='
status() { sed -n "s/^$1:[[:space:]]*//p" /proc/self/status; }
echo "pid=$$"
echo "init=$(cat /proc/1/comm)"
echo "ids=$(id -u):$(id -g):$(id -G)"
echo "hostname=$(hostname)"
echo "cwd=$(pwd)"
cgroup=$(cut -d: -f3 /proc/self/cgroup)
echo "cgroup=$cgroup"
echo "memory=$(cat "/sys/fs/cgroup$cgroup/memory.max")"
echo "pids=$(cat "/sys/fs/cgroup$cgroup/pids.max")"
echo "cpu=$(cat "/sys/fs/cgroup$cgroup/cpu.max")"
echo "caps=$(status CapEff) $(status CapBnd)"
echo "seccomp=$(status Seccomp)"
echo "no_new_privileges=$(status NoNewPrivs)"
echo "label=$(cat /proc/self/attr/current)"
echo "open_files=$(ulimit -n)"
echo "interfaces=$(ls /sys/class/net | tr "\n" " ")"
echo "root=$(sed -n "s,^[^ ]* [^ ]* [^ ]* [^ ]* / \(r[ow]\).*,\1,p" /proc/self/mountinfo)"
echo "uid_map=$(tr -s " " </proc/self/uid_map | tr "\n" ";")"
echo "kcore=$(head -c 1 /proc/kcore 2>/dev/null | wc -c)"
echo "sysrq=$(echo 1 2>/dev/null >/proc/sys/kernel/sysrq && echo writable || echo denied)"
echo "null=$(stat -c "%t:%T %a" /dev/null)"
'

# expect REGEX...: each matches a whole line of what the container printed.
expect() {
    local regex
    for regex; do
        grep -qx -- "$regex" "$seen" || {
            echo "no line '$regex' in what was seen:"
            cat "$seen"
            return 1
        }
    done
}

# returns STATUS COMMAND...: the command exits so.
returns() {
    local expected=$1 status=0
    shift
    "$@" || status=$?
    [ "$status" = "$expected" ] || {
        echo "exit status $status, not $expected: $*" >&2
        return 1
    }
}

# within COMMAND...: it succeeds before twenty seconds have gone.
within() {
    local deadline=$((SECONDS + 20))
    while ((SECONDS < deadline)); do
        "$@" && return 0
        sleep 0.5
    done
    echo "did not come true: $*"
    return 1
}

# gone ID: no cgroup and no mount carries this name any more.
gone() {
    within no_trace "$1" || {
        find /sys/fs/cgroup -type d -name "*$1*"
        grep -F "$1" /proc/self/mountinfo
        return 1
    }
}

no_trace() {
    [ -z "$(find /sys/fs/cgroup -type d -name "*$1*")" ] && ! grep -qF "$1" /proc/self/mountinfo
}

# placed PID GLOB: the process is in this cgroup or in a child of it (crun puts one below a systemd scope).
placed() {
    local path
    path=$(cut -d: -f3 "/proc/$1/cgroup")
    # shellcheck disable=SC2053 # a pattern
    [[ $path == $2 || $path == $2/* ]] || {
        echo "cgroup $path, not $2"
        return 1
    }
}

# typed TEXT COMMAND...: gives the command a terminal, and TEXT as what is typed there.
typed() {
    local text=$1
    shift
    printf '%s\n' "$text" | timeout -k 5 120 script -qefc "$(printf '%q ' "$@")" /dev/null | tr -d '\r'
    return "${PIPESTATUS[1]}"
}

# once COMMAND...: a preparation that several tests share.
once() {
    [ ! -e "$work/done.$*" ] || return 0
    "$@"
    touch "$work/done.$*"
}

# Removes what a failed test left; an engine's tests put their own in its place.
reset() { :; }

# check NAME FUNCTION ARG...: one test, in its own shell. It has to call the runtime.
check() {
    local name=$1 status
    shift
    [[ $name =~ $pattern ]] || return 0
    count=$((count + 1))
    : >"$calls"
    : >"$seen"
    # runc and crun lose these when they mount cgroups for a container without a cgroup namespace.
    [ "$(id -u)" != 0 ] || mount -o remount,nsdelegate,memory_recursiveprot /sys/fs/cgroup
    (
        set -eE
        trap 'echo "failed at line $LINENO: $BASH_COMMAND"' ERR
        trap '[ $? = 0 ] || { trap - ERR; reset >/dev/null 2>&1; }' EXIT
        "$@"
        grep -q create "$calls" || {
            echo "the runtime was not called"
            exit 1
        }
    ) >"$work/log" 2>&1 </dev/null
    status=$?
    if [ "$status" = 0 ]; then
        echo "ok $count - $name"
    else
        failed=$((failed + 1))
        echo "not ok $count - $name"
        sed 's/^/# /' "$work/log"
        tail -n 8 "$calls" | sed 's/^/# call: /'
    fi
}

echo "# $("$RT" --version | head -n 2 | paste -sd " "), $(id -un)"
"$here/mkimage" "$work/bb.tar" "$image"
# shellcheck source=/dev/null
for file in "$here"/tests/*.sh; do
    . "$file"
done
if [ "$(id -u)" = 0 ]; then
    suites=(containerd cri podman docker buildah)
else
    suites=(podman buildah)
fi
for suite in "${suites[@]}"; do
    "suite_$suite"
done
echo "1..$count"
rm -rf "$work"
[ "$failed" = 0 ]
