//! AppArmor profiles and SELinux labels of processes and of what they make.

use super::builder::{Builder, Descriptor};
use super::process::Payload;
use crate::wire::{Step, Str};

/// File systems that are labelled by the policy itself, not by an option of the mount.
const UNLABELLED: [&str; 5] = ["proc", "sysfs", "mqueue", "cgroup", "cgroup2"];

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

/// The option by which a new file system gets the label of the container's mounts.
pub(super) fn context(fstype: &str, label: Option<&str>) -> Option<String> {
    label.filter(|_| !UNLABELLED.contains(&fstype)).map(|label| format!("context={label}"))
}
