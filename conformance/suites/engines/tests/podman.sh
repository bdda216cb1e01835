# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2317 # variables and callers are in engines.sh
# Podman, as root and rootless, with both cgroup managers.

# podman_with MANAGER FUNCTION ARG...: a test of engines/common.sh or of here.
podman_with() {
    command=(podman --runtime "$rt" --cgroup-manager "$1")
    shift
    engine() { timeout -k 5 180 "${command[@]}" "$@"; }
    reset() {
        engine pod rm --force --all --time 0
        engine rm --force --all --time 0
    }
    once podman_setup
    "$@"
}

podman_setup() {
    podman load --quiet --input "$work/bb.tar"
}

podman_pod() {
    engine pod create --name pod --hostname pod-host --network none
    engine run --detach --name one --pod pod "$image" sleep 1000
    engine run --rm --pod pod "$image" sh -c "$probe" >"$seen"
    expect hostname=pod-host 'interfaces=lo '
    [ "$(engine exec one readlink /proc/self/ns/ipc)" = "$(engine run --rm --pod pod "$image" readlink /proc/self/ns/ipc)" ]
    engine pod rm --force --time 0 pod
}

podman_user_namespace() {
    if [ "$(id -u)" = 0 ]; then
        engine run --rm --network none --uidmap 0:100000:2000 --gidmap 0:100000:2000 "$image" sh -c "$probe" >"$seen"
        expect 'uid_map= 0 100000 2000;' ids=0:0:0
    else
        engine run --rm --network none --userns keep-id "$image" sh -c "$probe" >"$seen"
        expect "ids=$(id -u):$(id -g):.*"
    fi
}

# The machine's own Debian, under a layer in memory, as a container that runs systemd.
podman_systemd() {
    local root=$work/debian
    mkdir -p "$root"/{upper,work,root}
    mount -t overlay -o "lowerdir=/,upperdir=$root/upper,workdir=$root/work" overlay "$root/root"
    engine run --detach --name systemd --network none --systemd=always --rootfs "$root/root" /sbin/init
    within engine exec systemd systemctl is-system-running --wait || true
    engine exec systemd systemctl is-active dbus.service basic.target >"$seen" || true
    engine exec systemd cat /proc/1/comm >>"$seen"
    engine stop --time 20 systemd
    engine rm --force systemd
    umount "$root/root"
    expect active systemd
}

podman_checkpoint() {
    engine run --detach --name freeze --network none "$image" sh -c 'i=0; while :; do echo $((i += 1)); sleep 0.5; done'
    within sh -c "podman logs freeze | grep -qx 3"
    engine container checkpoint freeze
    engine container restore freeze
    within sh -c "podman logs freeze | grep -qx 8"
    [ "$(engine logs freeze | grep -cx 1)" = 1 ]
    engine rm --force --time 0 freeze
}

suite_podman() {
    local who="podman" manager
    local -A place=([cgroupfs]='/libpod_parent/libpod-ID' [systemd]='/machine.slice/libpod-ID.scope')
    if [ "$(id -u)" != 0 ]; then
        who="podman rootless"
        place=([cgroupfs]='*/user@2000.service/*ID' [systemd]='*/user@2000.service/user.slice/libpod-ID.scope')
    fi
    for manager in cgroupfs systemd; do
        check "$who, $manager: what the container sees" podman_with $manager engine_sees "$(podman_label)"
        check "$who, $manager: place in the cgroups" podman_with $manager engine_placed "${place[$manager]}"
        check "$who, $manager: exec, update, pause, restart, stop" podman_with $manager engine_lives 127
    done
    check "$who: user and groups" podman_with systemd engine_identity
    check "$who: exit status" podman_with systemd engine_exit_status
    check "$who: terminals" podman_with systemd engine_terminal
    check "$who: a published port" podman_with systemd engine_network
    check "$who: a pod" podman_with systemd podman_pod
    check "$who: a user namespace" podman_with systemd podman_user_namespace
    if [ "$(id -u)" = 0 ]; then
        check "$who: systemd in the container" podman_with systemd podman_systemd
        check "$who: checkpoint and restore" podman_with systemd podman_checkpoint
    fi
}

podman_label() {
    if [ "$(id -u)" = 0 ]; then echo 'containers-default.* (enforce)'; else echo '.*'; fi
}
