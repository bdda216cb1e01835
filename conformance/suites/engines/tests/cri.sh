# shellcheck shell=bash disable=SC2154,SC2016,SC2034,SC2317 # variables and callers are in engines.sh
# containerd's CRI, as the kubelet uses it: a pod, a container in it, exec, removal; the systemd driver.

cri() { timeout -k 5 180 "$here/cri" "$@"; }

cri_setup() {
    # Not Podman's network of /etc/cni/net.d: Podman itself now makes another bridge with the same addresses.
    mkdir -p /etc/containerd "$work/cni"
    cat >"$work/cni/pods.conflist" <<'JSON'
{
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [{
        "type": "bridge",
        "bridge": "pods0",
        "isGateway": true,
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.99.0.0/16" }]] }
    }]
}
JSON
    cat >/etc/containerd/config.toml <<TOML
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:latest"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$work/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "rt"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.rt]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.rt.options]
        BinaryName = "$rt"
        SystemdCgroup = true
TOML
    systemctl restart containerd
    "$here/mkimage" "$work/pause.tar" localhost/pause:latest sleep 2147483647
    ctr -n k8s.io images import "$work/pause.tar" >/dev/null
    ctr -n k8s.io images import "$work/bb.tar" >/dev/null
}

cri_host_network() {
    once cri_setup
    cri --cgroup-parent pod.slice --memory 67108864 -- sh -c "$probe" >"$seen"
    expect init=sleep memory=67108864 "hostname=$(hostname)" 'interfaces=.*eth0.*' 'label=cri-containerd.* (enforce)' \
        'caps=00000000a80425fb .*' kcore=0 sysrq=denied
}

cri_pod_network() {
    once cri_setup
    cri --cgroup-parent pod.slice --network pod -- sh -c "$probe" >"$seen"
    expect init=sleep hostname=pod-host 'interfaces=eth0 lo ' memory=max
}

cri_exit_status() {
    once cri_setup
    returns 5 cri --cgroup-parent pod.slice -- sh -c 'exit 5'
}

suite_cri() {
    check "cri: a pod in the host's network" cri_host_network
    check "cri: a pod with its own network" cri_pod_network
    check "cri: exit status of exec" cri_exit_status
}
