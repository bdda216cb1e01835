//! What this runtime supports, as the specification's features document says it. The lists come from the
//! tables by which configurations are read, so that neither can be forgotten.

use serde::Serialize;

use crate::OCI_VERSION;
use crate::check::schedule::{MEMORY_FLAGS, MEMORY_MODES};
use crate::check::{NAMESPACES, capabilities};
use crate::config::{Hooks, PREFIXES};
use crate::host::has_seccomp_flag;
use crate::plan::mount_options;
use crate::seccomp::{ACTIONS, Arch, FLAGS, operators};

/// The features document (specification: features.md).
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Oldest version of the specification that a configuration may follow.
    pub oci_version_min: &'static str,
    /// Newest version.
    pub oci_version_max: &'static str,
    /// Kinds of hooks.
    pub hooks: Vec<&'static str>,
    /// Options of mounts that are not left to the filesystem.
    pub mount_options: Vec<&'static str>,
    /// Everything that only Linux has.
    pub linux: LinuxFeatures,
    /// Annotations with an effect, or what their names begin with, whose values must not come from an untrusted source.
    pub potentially_unsafe_config_annotations: Vec<&'static str>,
}

/// Features that only Linux has.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxFeatures {
    /// Types of namespaces.
    pub namespaces: Vec<&'static str>,
    /// Names of capabilities.
    pub capabilities: Vec<String>,
    /// Kinds of cgroups.
    pub cgroup: CgroupFeatures,
    /// System call filters.
    pub seccomp: SeccompFeatures,
    /// AppArmor profiles.
    pub apparmor: Enabled,
    /// SELinux labels.
    pub selinux: Enabled,
    /// Cache and memory bandwidth allocation.
    pub intel_rdt: IntelRdtFeatures,
    /// How memory is spread over nodes.
    pub memory_policy: MemoryPolicyFeatures,
    /// Extensions of mounts.
    pub mount_extensions: MountExtensions,
    /// Network devices that move into the container.
    pub net_devices: Enabled,
}

/// Kinds of cgroups.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupFeatures {
    /// Version 1.
    pub v1: bool,
    /// Version 2.
    pub v2: bool,
    /// Cgroups made by systemd.
    pub systemd: bool,
    /// Cgroups made by a user's systemd.
    pub systemd_user: bool,
    /// Limits of remote direct memory access.
    pub rdma: bool,
}

/// Cache and memory bandwidth allocation.
#[derive(Debug, Serialize)]
pub struct IntelRdtFeatures {
    /// There is some.
    pub enabled: bool,
    /// Schemata of any resource.
    pub schemata: bool,
    /// Monitoring groups.
    pub monitoring: bool,
}

/// How memory is spread over nodes.
#[derive(Debug, Serialize)]
pub struct MemoryPolicyFeatures {
    /// Modes.
    pub modes: Vec<&'static str>,
    /// Flags of modes.
    pub flags: Vec<&'static str>,
}

/// System call filters.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SeccompFeatures {
    /// There are some.
    pub enabled: bool,
    /// Actions.
    pub actions: Vec<&'static str>,
    /// Comparisons of arguments.
    pub operators: Vec<&'static str>,
    /// Architectures.
    pub archs: Vec<&'static str>,
    /// Flags of seccomp(2) that a profile may have.
    pub known_flags: Vec<&'static str>,
    /// Those of them that the running kernel has.
    pub supported_flags: Vec<&'static str>,
}

/// Extensions of mounts.
#[derive(Debug, Serialize)]
pub struct MountExtensions {
    /// Mounts with mapped ids.
    pub idmap: Enabled,
}

/// Whether something is supported.
#[derive(Debug, Serialize)]
pub struct Enabled {
    /// It is.
    pub enabled: bool,
}

/// What this runtime supports, whether the host does or not, unless it says otherwise.
pub fn features() -> Features {
    let mut namespaces = NAMESPACES.to_vec();
    namespaces.sort_unstable();
    let yes = || Enabled { enabled: true };
    Features {
        oci_version_min: "1.0.0",
        oci_version_max: OCI_VERSION,
        hooks: Hooks::default().by_kind().map(|(kind, _)| kind).to_vec(),
        mount_options: mount_options().collect(),
        linux: LinuxFeatures {
            namespaces,
            capabilities: capabilities::known().collect(),
            cgroup: CgroupFeatures { v1: true, v2: true, systemd: true, systemd_user: true, rdma: true },
            seccomp: seccomp(),
            apparmor: yes(),
            selinux: yes(),
            intel_rdt: IntelRdtFeatures { enabled: true, schemata: true, monitoring: true },
            memory_policy: MemoryPolicyFeatures {
                modes: MEMORY_MODES.iter().map(|(name, _)| *name).collect(),
                flags: MEMORY_FLAGS.iter().map(|(name, _)| *name).collect(),
            },
            mount_extensions: MountExtensions { idmap: yes() },
            net_devices: yes(),
        },
        potentially_unsafe_config_annotations: PREFIXES.to_vec(),
    }
}

fn seccomp() -> SeccompFeatures {
    let mut archs: Vec<&str> = Arch::all().iter().map(Arch::name).collect();
    archs.sort_unstable();
    let supported = FLAGS.iter().filter(|(_, flag)| has_seccomp_flag(*flag));
    SeccompFeatures {
        enabled: Arch::NATIVE.is_some(),
        actions: ACTIONS.iter().map(|(name, _)| *name).collect(),
        operators: operators().collect(),
        archs,
        known_flags: FLAGS.iter().map(|(name, _)| *name).collect(),
        supported_flags: supported.map(|(name, _)| *name).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::features;

    #[test]
    fn engines_find_what_they_look_for() {
        let features = serde_json::to_value(features()).unwrap();
        assert_eq!(features["ociVersionMin"], "1.0.0");
        assert_eq!(features["linux"]["mountExtensions"]["idmap"]["enabled"], true);
        assert_eq!(features["linux"]["cgroup"]["systemdUser"], true);
        for (list, name) in [
            ("/hooks", "createContainer"),
            ("/mountOptions", "rro"),
            ("/linux/namespaces", "time"),
            ("/linux/capabilities", "CAP_CHECKPOINT_RESTORE"),
            ("/linux/seccomp/actions", "SCMP_ACT_NOTIFY"),
            ("/linux/seccomp/operators", "SCMP_CMP_MASKED_EQ"),
            ("/linux/seccomp/archs", "SCMP_ARCH_X32"),
            ("/linux/seccomp/knownFlags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
            ("/linux/seccomp/supportedFlags", "SECCOMP_FILTER_FLAG_LOG"),
        ] {
            let list = features.pointer(list).unwrap().as_array().unwrap();
            assert!(list.iter().any(|item| item == name), "{name}: {list:?}");
        }
        let sorted = |pointer: &str| {
            let list = features.pointer(pointer).unwrap().as_array().unwrap();
            list.iter().map(|item| item.as_str().unwrap()).is_sorted()
        };
        assert!(sorted("/mountOptions") && sorted("/linux/namespaces"));
    }
}
