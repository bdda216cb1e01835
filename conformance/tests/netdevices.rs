//! Network devices of the host that move into the container. The host's network is one of the test's own.

use conformance::{Command, Sandbox, corten_only, sandbox, skip, tool};
use serde_json::json;

/// Makes a command run in a new network namespace with an interface `ct0`, if this machine can do that.
pub(crate) fn with_interface(t: &Sandbox, command: Command) -> Option<Command> {
    const MAKE: &str = "ip link add ct0 type veth peer name ct1 && ip address add 10.11.12.13/24 dev ct0 && \
        ip -6 address add fd00::13/64 dev ct0 nodad && ip link set ct0 mtu 1400";
    tool("ip")?;
    let tried = t.command(["sh", "-c", MAKE]).wrap(["unshare", "-n"]).run();
    tried.success().then(|| command.after(MAKE).wrap(["unshare", "-n"]))
}

pub(crate) const NO_INTERFACES: &str = "interfaces of type veth cannot be made here";

macro_rules! in_network {
    ($t:expr, $command:expr) => {
        match with_interface(&$t, $command) {
            Some(command) => command.run(),
            None => skip!("{NO_INTERFACES}"),
        }
    };
}

const SHOW: &str = "for name in /sys/class/net/*; do echo ${name##*/}; done; \
    /bin/busybox ip address show dev $0 2>/dev/null | grep -o 'mtu.*qdisc\\|inet.*global'";

#[test]
fn a_device_keeps_its_addresses() {
    corten_only!();
    let t = sandbox!();
    for (config, name) in [
        (json!({"ct0": {}}), "ct0"),
        (json!({"ct0": {"name": "lan"}}), "lan"),
        (json!({"ct0": {"name": "lan%d"}}), "lan0"),
    ] {
        for user in [false, true] {
            let mut bundle = t.bundle();
            if user {
                let map = json!([{"containerID": 0, "hostID": 0, "size": 65_536}]);
                bundle.push("/linux/namespaces", json!({"type": "user"}));
                bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
            }
            bundle.set("/linux/netDevices", config.clone()).args(["sh", "-c", SHOW, name]);
            let output = in_network!(t, t.on_bundle(["run"], &bundle, &t.id()));
            let text = output.ok();
            for expected in [name, "lo", "mtu 1400", "inet 10.11.12.13/24", "inet6 fd00::13/64"] {
                assert!(text.contains(expected), "{expected}: {}", output.report());
            }
            assert_eq!(text.contains("ct0"), name == "ct0", "{text}");
        }
    }
    t.assert_clean();
}

#[test]
fn what_cannot_be_moved_is_named() {
    corten_only!();
    let t = sandbox!();
    for (config, text) in [
        (json!({"missing0": {}}), "network device missing0: find"),
        (json!({"ct0": {"name": "lo"}}), "file exists"),
        (json!({"lo": {}}), "network device lo"),
    ] {
        let mut bundle = t.bundle();
        bundle.set("/linux/netDevices", config).args(["true"]);
        in_network!(t, t.on_bundle(["run"], &bundle, &t.id())).fails_with(1, text);
    }
    t.assert_clean();
}

/// Of this kind nothing would be left of it, were it lost.
#[test]
fn a_device_comes_back_from_a_failed_create() {
    corten_only!();
    let t = sandbox!();
    for user in [false, true] {
        let mut bundle = t.bundle();
        if user {
            let map = json!([{"containerID": 0, "hostID": 0, "size": 65_536}]);
            bundle.push("/linux/namespaces", json!({"type": "user"}));
            bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        }
        bundle.set("/linux/netDevices", json!({"ct0": {"name": "lan"}})).args(["/missing"]);
        let look = r#"ip link set ct0 up && { "$@"; ip -o link show; ip -o address show dev ct0; }"#;
        let create = t.on_bundle(["create"], &bundle, &t.id()).wrap(["sh", "-c", look, "sh"]);
        let output = in_network!(t, create);
        let text = output.ok();
        assert!(output.stderr().contains("/missing"), "{}", output.report());
        for expected in ["ct0@ct1: <", ",UP", "mtu 1400", "inet 10.11.12.13/24", "inet6 fd00::13/64"] {
            assert!(text.contains(expected), "{expected}: {}", output.report());
        }
    }
    // One that has moved already when another cannot.
    let mut bundle = t.bundle();
    bundle.set("/linux/netDevices", json!({"ct0": {}, "missing0": {}})).args(["true"]);
    let create = t.on_bundle(["create"], &bundle, &t.id());
    let output = in_network!(t, create.wrap(["sh", "-c", r#""$@"; ip -o address show dev ct0"#, "sh"]));
    assert!(output.ok().contains("inet 10.11.12.13/24"), "{}", output.report());
    t.assert_clean();
}
