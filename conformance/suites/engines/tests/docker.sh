# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2317 # variables and callers are in engines.sh
# Docker, with both cgroup drivers; the runtime is the daemon's default one.

# docker_with DRIVER FUNCTION ARG...
docker_with() {
    command=(docker)
    engine() { timeout -k 5 180 docker "$@"; }
    reset() { engine ps --all --quiet | xargs -r docker rm --force; }
    once docker_setup "$1"
    shift
    "$@"
}

docker_setup() {
    systemctl stop docker.socket docker.service
    mkdir -p /etc/docker
    cat >/etc/docker/daemon.json <<JSON
{
    "runtimes": { "rt": { "path": "$rt" } },
    "default-runtime": "rt",
    "exec-opts": ["native.cgroupdriver=$1"]
}
JSON
    # BuildKit does not ask for the default runtime.
    mkdir -p /run/systemd/system/docker.service.d
    printf '[Service]\nEnvironment=DOCKER_BUILDKIT_RUNC_COMMAND=%s\n' "$rt" >/run/systemd/system/docker.service.d/runtime.conf
    systemctl daemon-reload
    systemctl start docker
    docker load --quiet --input "$work/bb.tar"
}

# docker_build BUILDKIT: 1 with BuildKit, 0 with what the daemon had before.
docker_build() {
    printf '%s\n' "FROM $image" 'RUN echo "$(id -u) $(cat /proc/1/comm)" >/built' 'RUN ls /sys/class/net >>/built' >"$work/Dockerfile"
    DOCKER_BUILDKIT=$1 engine build --no-cache --tag localhost/built --file "$work/Dockerfile" "$work/bin"
    grep -qE '(^| )(create|run) ' "$calls"
    engine run --rm --network none localhost/built cat /built >"$seen"
    expect '0 sh' eth0
}

suite_docker() {
    local driver
    local -A place=([cgroupfs]='/docker/ID' [systemd]='/system.slice/docker-ID.scope')
    for driver in cgroupfs systemd; do
        check "docker, $driver: what the container sees" docker_with $driver engine_sees 'docker-default (enforce)'
        check "docker, $driver: place in the cgroups" docker_with $driver engine_placed "${place[$driver]}"
        check "docker, $driver: exec, update, pause, restart, stop" docker_with $driver engine_lives 126
    done
    check "docker: user and groups" docker_with systemd engine_identity
    check "docker: exit status" docker_with systemd engine_exit_status
    check "docker: terminals" docker_with systemd engine_terminal
    check "docker: a published port" docker_with systemd engine_network
    check "docker: build" docker_with systemd docker_build 0
    check "docker: build with BuildKit" docker_with systemd docker_build 1
}
