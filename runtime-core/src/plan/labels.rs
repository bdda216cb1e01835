//! AppArmor profiles and SELinux labels of processes and of what they make.

use std::collections::BTreeMap;

use super::builder::{Builder, Descriptor};
use super::process::Payload;
use crate::config::{Annotations, Spec};
use crate::wire::{Step, Str};

/// File systems that are labelled by the policy itself.
const UNLABELLED: [&str; 4] = ["proc", "sysfs", "cgroup", "cgroup2"];

/// Its superblock is older than its mount, which can therefore bring no option: the label is put on its root directory.
const BY_ATTRIBUTE: &str = "mqueue";

impl Payload<'_> {
    /// A session keyring, with the process's label.
    pub(super) fn keyring(&self, builder: &mut Builder, id: &str, keep: bool) {
        if keep {
            return;
        }
        let label = self.process.selinux_label.as_deref();
        if let Some(label) = label {
            self.write(builder, "/selinuxLabel", "attr/keycreate", None, label);
        }
        let name = format!("_ses.{id}");
        builder.add("", Step::SessionKeyring { name: Str::from(name.as_str()) });
        if label.is_some() {
            self.write(builder, "/selinuxLabel", "attr/keycreate", None, "");
        }
    }

    /// What the payload changes to when it is executed. AppArmor has a directory of its own where several security modules
    /// are stacked.
    pub(super) fn labels(&self, builder: &mut Builder) {
        if let Some(profile) = &self.process.apparmor_profile {
            let value = format!("exec {profile}");
            self.write(builder, "/apparmorProfile", "attr/apparmor/exec", Some("attr/exec"), &value);
        }
        if let Some(label) = &self.process.selinux_label {
            self.write(builder, "/selinuxLabel", "attr/exec", None, label);
        }
    }

    fn write(&self, builder: &mut Builder, field: &str, path: &str, fallback: Option<&str>, value: &str) {
        let proc = builder.descriptor(Descriptor::Proc);
        let (path, fallback, value) = (Str::from(path), fallback.map(Str::from), Str::from(value));
        builder.add(self.at(field), Step::WriteOwn { proc, path, fallback, value });
    }
}

/// Options that give a file system, or what is in it, an SELinux label.
const LABELS: [&str; 4] = ["context=", "fscontext=", "defcontext=", "rootcontext="];

/// Whether an option of a mount is one of those.
pub(super) fn is_label(option: &str) -> bool {
    LABELS.iter().any(|label| option.starts_with(label))
}

/// The label of the container's mounts.
#[derive(Clone, Copy)]
pub(super) struct MountLabel<'a> {
    /// The option by which a file system gets it.
    option: &'a str,
    label: &'a str,
}

impl<'a> MountLabel<'a> {
    pub(super) fn of(spec: &'a Spec) -> Option<Self> {
        Some(Self::new(spec.linux.as_ref()?.mount_label.as_deref()?, &spec.annotations))
    }

    /// The label for a container with these annotations.
    pub(super) fn new(label: &'a str, annotations: &'a BTreeMap<String, String>) -> Self {
        Self { option: Annotations::of(annotations).mount_context, label }
    }

    /// The option for a new file system.
    pub(super) fn option(self) -> String {
        format!("{}={}", self.option, self.label)
    }

    /// The same, for a type that takes it.
    pub(super) fn context(self, fstype: &str) -> Option<String> {
        (fstype != BY_ATTRIBUTE && !UNLABELLED.contains(&fstype)).then(|| self.option())
    }

    /// The label itself, for a type whose root directory gets it.
    pub(super) fn attribute(self, fstype: &str) -> Option<&'a str> {
        (fstype == BY_ATTRIBUTE).then_some(self.label)
    }
}
