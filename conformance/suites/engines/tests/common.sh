# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2317 # variables and callers are in engines.sh
# What Podman and Docker have in common. `engine` is a function that calls the one under test.

# engine_sees LABEL: a container with most of what one can ask for, and the AppArmor label that it must have.
engine_sees() {
    local label=$1
    mkdir -p "$work/volume"
    echo hello >"$work/volume/file"
    engine run --rm --name view --hostname box --network none --memory 64m --pids-limit 50 --cpus 0.5 --cap-drop ALL \
        --cap-add NET_BIND_SERVICE --read-only --tmpfs /tmp --env KEY=value --workdir /var --ulimit nofile=100:200 \
        --volume "$work/volume:/volume:ro" "$image" \
        sh -c "$probe"'echo "KEY=$KEY"; echo "volume=$(cat /volume/file)"; touch /volume/x /tmp/y; ls /volume /tmp' >"$seen"
    expect pid=1 'ids=0:0:0.*' hostname=box cwd=/var memory=67108864 pids=50 'cpu=50000 100000' root=ro seccomp=2 \
        'caps=0000000000000400 0000000000000400' "label=$label" open_files=100 'interfaces=lo ' kcore=0 sysrq=denied \
        'null=1:3 666' KEY=value volume=hello y
    [ ! -e "$work/volume/x" ]
    gone view
}

engine_identity() {
    engine run --rm --name ident --network none --user user --group-add 1001 --security-opt no-new-privileges \
        "$image" sh -c "$probe" >"$seen"
    expect 'ids=1000:1000:1000\( 1001\)*' 'caps=0000000000000000 .*' no_new_privileges=1
}

engine_exit_status() {
    returns 7 engine run --rm --network none "$image" sh -c 'exit 7'
    returns 127 engine run --rm --network none "$image" no-such-command
    returns 126 engine run --rm --network none "$image" /etc/not-executable
}

# The state of container "life", as the engine knows it.
state_is() {
    [ "$(engine inspect --format '{{.State.Status}}' life)" = "$1" ]
}

# engine_lives STATUS: the engine's exit status for an exec of a command that is not there.
engine_lives() {
    engine run --detach --name life --network none --memory 64m "$image" \
        sh -c 'trap "exit 0" TERM; echo started; while :; do sleep 0.2; done'
    within state_is running
    engine exec --env KEY=value --user user --workdir /tmp life sh -c "$probe"'echo "KEY=$KEY"' >"$seen"
    expect 'ids=1000:1000:.*' cwd=/tmp KEY=value memory=67108864 init=sh
    returns 5 engine exec life sh -c 'exit 5'
    returns "$1" engine exec life no-such-command
    engine logs life | grep -qx started
    engine top life | grep -q sleep
    engine stats --no-stream life | grep -qE '/ *(67.11MB|64MiB)'
    engine update --memory 128m --memory-swap 128m life
    [ "$(engine exec life cat /sys/fs/cgroup/memory.max)" = 134217728 ]
    engine pause life
    state_is paused
    engine unpause life
    state_is running
    engine restart --time 5 life
    state_is running
    [ "$(engine logs life | grep -cx started)" = 2 ]
    engine stop --time 5 life
    state_is exited
    [ "$(engine inspect --format '{{.State.ExitCode}}' life)" = 0 ]
    engine rm life
}

# engine_placed GLOB: the container's cgroup, as the host sees it; ID stands for the container's id.
engine_placed() {
    local id
    id=$(engine run --detach --name place --network none "$image" sleep 1000)
    placed "$(engine inspect --format '{{.State.Pid}}' place)" "${1//ID/$id}"
    engine rm --force place
    gone "$id"
}

engine_terminal() {
    engine run --rm --network none --tty "$image" sh -c 'tty; stat -c %a /dev/console' >"$seen"
    tr -d '\r' <"$seen" >"$seen.tty" && mv "$seen.tty" "$seen"
    expect /dev/pts/0
    engine run --detach --name term --network none "$image" sleep 1000
    returns 4 typed 'tty; exit 4' "${command[@]}" exec -it term sh >"$seen"
    expect '.*/dev/pts/[0-9]'
    engine rm --force term
    returns 4 typed 'tty; exit 4' "${command[@]}" run --rm -it --network none "$image" sh >"$seen"
    expect '.*/dev/pts/0'
}

# A published port, answered by a server in the container.
engine_network() {
    engine run --detach --name net --publish 127.0.0.1:8080:80 "$image" httpd -f -h /etc
    within fetch http://127.0.0.1:8080/not-executable
    expect data
    engine exec net ls /sys/class/net >"$seen"
    expect eth0
    engine rm --force net
}

fetch() {
    busybox wget -q -T 2 -O "$seen" "$1"
}
