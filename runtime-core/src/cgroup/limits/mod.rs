//! From `linux.resources` to files and values: pure, one file per controller.

mod cpu;
mod memory;

use nix::errno::Errno;

pub(super) use memory::check_usage;

use super::Error;
use super::dir::Dir;
use crate::config::{Pids, Resources};

/// One value for one file of a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The config value that asks for it.
    pub(super) pointer: &'static str,
    /// The controller, by the name it has in the version at hand.
    pub(super) controller: &'static str,
    /// The file.
    pub(super) file: &'static str,
    /// What to write.
    pub(super) value: String,
    /// Whether a kernel without the file does what is wanted anyway.
    pub(super) optional: bool,
}

impl Setting {
    fn new(pointer: &'static str, file: &'static str, value: impl ToString) -> Self {
        let controller = file.split('.').next().unwrap_or(file);
        Self { pointer, controller, file, value: value.to_string(), optional: false }
    }

    fn optional(self, optional: bool) -> Self {
        Self { optional, ..self }
    }
}

/// What to write. A controller is in a hierarchy of version 1, or else in the unified one.
pub(super) fn settings(resources: &Resources, is_v1: impl Fn(&str) -> bool) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    if let Some(memory) = &resources.memory {
        settings.extend(if is_v1("memory") { memory::v1(memory)? } else { memory::v2(memory)? });
    }
    if let Some(cpu) = &resources.cpu {
        settings.extend(if is_v1("cpu") { cpu::v1(cpu)? } else { cpu::v2(cpu) });
        settings.extend(cpu::cpuset(cpu));
    }
    settings.extend(resources.pids.as_ref().and_then(pids));
    Ok(settings)
}

/// The same in both versions. A limit of 0 counts as 1, as with systemd, whose `TasksMax` cannot be 0.
fn pids(pids: &Pids) -> Option<Setting> {
    let value = match pids.limit? {
        limit if limit < 0 => "max".to_owned(),
        limit => limit.max(1).to_string(),
    };
    Some(Setting::new("/linux/resources/pids/limit", "pids.max", value))
}

/// Writes settings into the directories that `dir` gives for their controllers. What the kernel finds
/// invalid may only be waiting for another value (memory for swap, a quota for its period): it is
/// written once more at the end.
pub(super) fn apply<'a>(
    settings: &[Setting],
    mut dir: impl FnMut(&Setting) -> Result<&'a Dir, Error>,
) -> Result<(), Error> {
    let mut again = Vec::new();
    for setting in settings {
        match write(dir(setting)?, setting) {
            Err(error) if error.errno() == Some(Errno::EINVAL) => again.push(setting),
            answer => answer?,
        }
    }
    again.into_iter().try_for_each(|setting| write(dir(setting)?, setting))
}

fn write(dir: &Dir, setting: &Setting) -> Result<(), Error> {
    match dir.write(setting.file, &setting.value) {
        Err(Error::Io { errno: Errno::ENOENT, .. }) if setting.optional => Ok(()),
        Err(Error::Io { errno, path, .. }) => {
            Err(Error::Limit { pointer: setting.pointer.into(), path, value: setting.value.clone(), errno })
        }
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings as `file=value`, `?` behind those that may be absent.
    pub(super) fn shown(settings: &[Setting]) -> Vec<String> {
        let mark = |setting: &Setting| if setting.optional { "?" } else { "" };
        settings
            .iter()
            .map(|setting| format!("{}={}{}", setting.file, setting.value, mark(setting)))
            .collect()
    }

    #[test]
    fn nothing_asked_is_nothing_written() {
        assert!(settings(&Resources::default(), |_| true).unwrap().is_empty());
        assert!(settings(&Resources::default(), |_| false).unwrap().is_empty());
    }

    #[test]
    fn each_controller_in_its_own_version() {
        let resources: Resources = serde_json::from_str(
            r#"{"memory": {"limit": 5}, "cpu": {"shares": 1024, "cpus": "0"}, "pids": {"limit": 9}}"#,
        )
        .unwrap();
        let hybrid = settings(&resources, |controller| controller == "memory").unwrap();
        assert_eq!(
            shown(&hybrid),
            ["memory.limit_in_bytes=5", "cpu.weight=100", "cpuset.cpus=0", "pids.max=9"]
        );
    }

    #[test]
    fn pids_limit() {
        for (limit, expected) in
            [(None, None), (Some(-1), Some("max")), (Some(0), Some("1")), (Some(7), Some("7"))]
        {
            let setting = pids(&Pids { limit });
            assert_eq!(setting.as_ref().map(|setting| setting.value.as_str()), expected);
        }
        assert_eq!(pids(&Pids { limit: Some(1) }).unwrap().controller, "pids");
    }
}
