# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2317 # variables and callers are in engines.sh
# buildah: `run` and RUN steps of a build, with OCI isolation.

buildah() { timeout -k 5 180 buildah "$@"; }

buildah_setup() {
    buildah pull --quiet "docker-archive:$work/bb.tar"
}

buildah_run() {
    local container
    once buildah_setup
    container=$(buildah from --pull=never "$image")
    buildah run --isolation oci --runtime "$rt" "$container" -- sh -c "$probe" >"$seen"
    returns 7 buildah run --isolation oci --runtime "$rt" "$container" -- sh -c 'exit 7'
    buildah rm "$container"
    expect pid=1 'ids=0:0:0.*' kcore=0 'null=1:3 666'
}

buildah_build() {
    once buildah_setup
    printf '%s\n' "FROM $image" 'RUN echo "$(id -u)" >/built' 'USER user' 'RUN id -u' >"$work/Containerfile"
    buildah build --isolation oci --runtime "$rt" --pull=never --tag localhost/built --file "$work/Containerfile" \
        "$work/bin" >"$seen"
    expect 1000
}

suite_buildah() {
    local who=buildah
    [ "$(id -u)" = 0 ] || who="buildah rootless"
    check "$who: run" buildah_run
    check "$who: build" buildah_build
}
