# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2317 # variables and callers are in engines.sh
# containerd by ctr, without CNI: a network namespace with nothing but lo.

ctr() { timeout -k 5 120 ctr "$@"; }

ctr_setup() {
    systemctl start containerd
    ctr images import "$work/bb.tar" >/dev/null
}

# ctr_with FUNCTION ARG...
ctr_with() {
    reset() {
        local id
        for id in $(ctr container ls --quiet); do
            ctr task rm --force "$id"
            ctr container rm "$id"
        done
    }
    once ctr_setup
    "$@"
}

# ctr_run DRIVER ID OPTION... -- COMMAND...
ctr_run() {
    local driver=$1 id=$2 options=(--runc-binary "$rt")
    shift 2
    [ "$driver" = cgroupfs ] || options+=(--runc-systemd-cgroup --cgroup "system.slice:ctr:$id")
    while [ "$1" != -- ]; do
        options+=("$1")
        shift
    done
    shift
    ctr run "${options[@]}" "$image" "$id" "$@"
}

# ctr_cgroup DRIVER ID: where ctr_run puts it.
ctr_cgroup() {
    case $1 in
        cgroupfs) echo "/default/$2" ;;
        systemd) echo "/system.slice/ctr-$2.scope" ;;
    esac
}

ctr_sees() {
    # ctr makes no cgroup namespace, and no cgroup mount of itself.
    ctr_run "$1" view --rm --memory-limit 67108864 --cpus 0.5 --cwd /var --seccomp --apparmor-default-profile test \
        --mount type=cgroup,src=cgroup,dst=/sys/fs/cgroup,options=ro -- sh -c "$probe" >"$seen"
    expect pid=1 ids=0:0:0 cwd=/var "cgroup=$(ctr_cgroup "$1" view).*" memory=67108864 'cpu=50000 100000' 'interfaces=lo ' root=rw \
        'caps=00000000a80425fb 00000000a80425fb' no_new_privileges=1 seccomp=2 'label=test (enforce)' kcore=0 sysrq=denied 'null=1:3 666'
    gone view
}

ctr_exit_status() {
    returns 7 ctr_run "$1" status --rm -- sh -c 'exit 7'
    gone status
}

ctr_lives() {
    local pid
    ctr_run "$1" life --detach -- sleep 1000
    pid=$(ctr task ls | awk '$1 == "life" { print $2 }')
    placed "$pid" "$(ctr_cgroup "$1" life)"
    ctr task exec --exec-id e1 life sh -c "$probe" >"$seen"
    expect init=sleep 'interfaces=lo ' no_new_privileges=1
    returns 5 ctr task exec --exec-id e2 life sh -c 'exit 5'
    ctr task pause life
    ctr task ls | grep -q 'life .*PAUSED'
    ctr task resume life
    ctr task ls | grep -q 'life .*RUNNING'
    ctr task ps life | grep -qw "$pid"
    ctr task metrics life | grep -q memory
    ctr task kill --signal KILL life
    within ctr_stopped life
    ctr task rm life || true # says the container's exit status, 137
    ctr container rm life
    gone life
}

ctr_stopped() {
    ctr task ls | grep -q "^$1 .*STOPPED"
}

ctr_terminal() {
    returns 4 typed 'tty; exit 4' ctr run --rm -t --runc-binary "$rt" "$image" term sh >"$seen"
    expect '.*/dev/pts/0'
    gone term
}

suite_containerd() {
    local driver
    for driver in cgroupfs systemd; do
        check "ctr, $driver: what the container sees" ctr_with ctr_sees $driver
        check "ctr, $driver: exit status" ctr_with ctr_exit_status $driver
        check "ctr, $driver: exec, pause, resume, kill" ctr_with ctr_lives $driver
    done
    check "ctr: a terminal" ctr_with ctr_terminal
}
