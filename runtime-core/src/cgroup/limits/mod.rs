//! From `linux.resources` to files and values: pure, one file per controller; [`apply`] writes them.

mod apply;
mod block_io;
mod cpu;
mod hugepages;
mod memory;
mod network;
mod rdma;
mod unified;

use std::borrow::Cow;

pub(super) use apply::{apply, replace, restore};
pub(super) use block_io::cost_weight as io_weight;
pub(super) use cpu::weight as cpu_weight;
pub(super) use memory::check_usage;

use super::Error;
use crate::config::{Pids, Resources};

/// One value for one file of a controller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// The config value that asks for it.
    pub(super) pointer: Cow<'static, str>,
    /// The file, by the name it has in the version at hand.
    pub(super) file: Cow<'static, str>,
    /// What to write; of several lines each by itself.
    pub(super) value: String,
    /// What it means that the kernel does not have the file.
    missing: Missing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Missing {
    /// The limit cannot be had.
    Refused,
    /// A kernel without the file does what is wanted anyway.
    Fine,
    /// Another file does the same.
    Other(Box<Setting>),
}

impl Setting {
    fn new(
        pointer: impl Into<Cow<'static, str>>,
        file: impl Into<Cow<'static, str>>,
        value: impl ToString,
    ) -> Self {
        let (pointer, file, value) = (pointer.into(), file.into(), value.to_string());
        Self { pointer, file, value, missing: Missing::Refused }
    }

    fn optional(self, optional: bool) -> Self {
        Self { missing: if optional { Missing::Fine } else { Missing::Refused }, ..self }
    }

    fn or(self, other: Self) -> Self {
        Self { missing: Missing::Other(Box::new(other)), ..self }
    }

    /// The controller that has the file.
    pub(super) fn controller(&self) -> &str {
        self.file.split('.').next().unwrap_or_default()
    }
}

/// What to write. A controller is in a hierarchy of version 1, or else in the unified one.
pub(super) fn settings(resources: &Resources, is_v1: impl Fn(&str) -> bool) -> Result<Vec<Setting>, Error> {
    let mut settings = Vec::new();
    if let Some(memory) = &resources.memory {
        settings.extend(if is_v1("memory") { memory::v1(memory)? } else { memory::v2(memory)? });
    }
    if let Some(cpu) = &resources.cpu {
        settings.extend(if is_v1("cpu") { cpu::v1(cpu)? } else { cpu::v2(cpu)? });
        settings.extend(cpu::cpuset(cpu));
    }
    settings.extend(resources.pids.as_ref().and_then(pids));
    if let Some(io) = &resources.block_io {
        settings.extend(if is_v1("blkio") { block_io::v1(io) } else { block_io::v2(io)? });
    }
    settings.extend(hugepages::settings(&resources.hugepage_limits, is_v1("hugetlb")));
    if let Some(network) = &resources.network {
        settings.extend(network::settings(network, &is_v1)?);
    }
    settings.extend(rdma::settings(&resources.rdma));
    settings.extend(unified::settings(&resources.unified, &is_v1)?);
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The settings as `file=value`, `?` behind those that may be absent; after a comma what stands in for them.
    pub(super) fn shown(settings: &[Setting]) -> Vec<String> {
        let show = |setting: &Setting| match &setting.missing {
            Missing::Refused => format!("{}={}", setting.file, setting.value),
            Missing::Fine => format!("{}={}?", setting.file, setting.value),
            Missing::Other(other) => {
                format!("{}={}, {}={}", setting.file, setting.value, other.file, other.value)
            }
        };
        settings.iter().map(show).collect()
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
        assert_eq!(pids(&Pids { limit: Some(1) }).unwrap().controller(), "pids");
    }
}
