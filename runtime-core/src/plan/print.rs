//! A plan as text and as JSON, for `corten plan`.

use std::fmt::{self, Write};

use serde_json::{Map, Value as Json, json};

use super::namespaces::KINDS;
use super::{Descriptor, IdMaps, MountMaps, Plan, Tree, UserNamespace};
use crate::config::IdMapping;
use crate::init::abi::MOUNT_ATTR__ATIME;
use crate::wire::{Attrs, Setting, Step, Value};

const ATTRIBUTES: [(u32, &str); 8] = [
    (0x1, "ro"),
    (0x2, "nosuid"),
    (0x4, "nodev"),
    (0x8, "noexec"),
    (0x10, "noatime"),
    (0x20, "strictatime"),
    (0x80, "nodiratime"),
    (0x20_0000, "nosymfollow"),
];

const PROPAGATION: [(u64, &str); 5] = [
    (libc::MS_SHARED, "shared"),
    (libc::MS_SLAVE, "slave"),
    (libc::MS_PRIVATE, "private"),
    (libc::MS_UNBINDABLE, "unbindable"),
    (libc::MS_REC, "rec"),
];

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "clone: {}", names(self.namespaces(), &kinds()))?;
        for (number, descriptor) in self.descriptors().iter().enumerate() {
            writeln!(f, "fd {number}: {descriptor}")?;
        }
        let host = host(self);
        if !host.is_empty() {
            writeln!(f, "host: {}", Json::Object(host))?;
        }
        for (number, (step, origin)) in self.steps().enumerate() {
            let mut line = format!("{number:3} {}", step.name());
            operands(&step, &mut |name, value| {
                // Writing to a string cannot fail.
                let _ = match value {
                    Json::Bool(true) => write!(line, " {name}"),
                    Json::Bool(false) | Json::Null => Ok(()),
                    value => write!(line, " {name}={value}"),
                };
            });
            match origin {
                Some(origin) => writeln!(f, "{line}  <- {origin}")?,
                None => writeln!(f, "{line}")?,
            }
        }
        Ok(())
    }
}

impl Plan {
    /// The plan as a document.
    pub fn to_json(&self) -> Json {
        let steps = self.steps().map(|(step, origin)| {
            let mut object = Map::new();
            object.insert("step".into(), step.name().into());
            if let Some(origin) = origin {
                object.insert("origin".into(), origin.into());
            }
            operands(&step, &mut |name, value| {
                object.insert(name.into(), value);
            });
            Json::Object(object)
        });
        let descriptors = self.descriptors().iter().map(|descriptor| Json::from(descriptor.to_string()));
        json!({
            "version": crate::wire::PROGRAM_VERSION,
            "clone": names(self.namespaces(), &kinds()),
            "descriptors": descriptors.collect::<Vec<_>>(),
            "host": host(self),
            "steps": steps.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Descriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Descriptor::Rootfs => f.write_str("root filesystem"),
            Descriptor::ContainerRoot => f.write_str("root of the container"),
            Descriptor::Proc => f.write_str("/proc of the host"),
            Descriptor::Gate => f.write_str("start gate"),
            Descriptor::CgroupFile(number) => write!(f, "cgroup file {number}"),
            Descriptor::CgroupDir => f.write_str("cgroup"),
            Descriptor::Namespace { path, kind, .. } => {
                write!(f, "{} namespace {}", names((*kind).into(), &kinds()), path.display())
            }
            Descriptor::ContainerPidfd => f.write_str("pidfd of the container"),
            Descriptor::HookOutput => f.write_str("output of hooks"),
            Descriptor::Tree(tree) => tree.fmt(f),
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (all, words) = (if self.recursive { " and all below" } else { "" }, attributes(self.attrs));
        let blank = if words.is_empty() { "" } else { " " };
        write!(f, "tree of {}{all}{blank}{words}", self.source.display())?;
        match self.ids.as_ref().map(|ids| &ids.maps) {
            Some(MountMaps::Given(maps)) => write!(f, " ids {}", id_maps(maps)),
            Some(MountMaps::Joined(path)) => write!(f, " ids of {}", path.display()),
            Some(MountMaps::Running) => f.write_str(" ids of the container"),
            None => Ok(()),
        }
    }
}

fn host(plan: &Plan) -> Map<String, Json> {
    let host = plan.host();
    let limit = |value: u64| if value == u64::MAX { Json::from("unlimited") } else { value.into() };
    let mut object = Map::new();
    if let Some(score) = host.oom_score_adj {
        object.insert("oomScoreAdj".into(), score.into());
    }
    if !host.hard_limits.is_empty() {
        let raised = host.hard_limits.iter().map(|(resource, hard)| json!([resource, limit(*hard)]));
        object.insert("hardLimits".into(), raised.collect());
    }
    if !host.net_devices.is_empty() {
        let moved = host.net_devices.iter().map(|device| json!([device.name, device.new_name]));
        object.insert("netDevices".into(), moved.collect());
    }
    if !host.trees.is_empty() {
        let mapped = host.trees.iter().map(|tree| Json::from(tree.to_string()));
        object.insert("mapIds".into(), mapped.collect());
    }
    if let Some(namespace) = &host.user_namespace {
        let (what, maps) = match namespace {
            UserNamespace::New(maps) => ("writeIds", maps),
            UserNamespace::Joined(maps) => ("compareIds", maps),
        };
        object.insert(what.into(), id_maps(maps));
    }
    let parts = [
        ("hooks", host.hooks_at_mounted),
        ("forks", host.forks),
        ("terminal", host.terminal),
        ("lockedTrees", host.locked_trees),
        ("makesNetwork", host.network.is_some()),
        ("loopback", host.network.is_some_and(|network| network.loopback)),
    ];
    object.extend(parts.into_iter().filter(|(_, part)| *part).map(|(name, _)| (name.into(), true.into())));
    object
}

fn id_maps(maps: &IdMaps) -> Json {
    let ranges = |list: &[IdMapping]| -> Json {
        list.iter().map(|range| json!([range.container_id, range.host_id, range.size])).collect()
    };
    json!({"uids": ranges(&maps.uids), "gids": ranges(&maps.gids)})
}

/// Shows each operand of a step, flags by their names.
fn operands(step: &Step<'_>, see: &mut dyn FnMut(&'static str, Json)) {
    step.operands(&mut |name, value| {
        let shown = match (name, value) {
            ("kinds", Value::Number(bits)) => names(bits, &kinds()).into(),
            ("flags", Value::Number(bits)) if matches!(step, Step::Propagation { .. }) => {
                names(bits, &PROPAGATION).into()
            }
            (
                "flags" | "keep" | "effective" | "permitted" | "inheritable" | "ambient",
                Value::Number(bits),
            ) => format!("{bits:#x}").into(),
            ("mode" | "mask", Value::Number(bits)) => format!("{bits:04o}").into(),
            ("soft" | "hard", Value::Number(u64::MAX)) => "unlimited".into(),
            ("nice", Value::Number(nice)) => (nice as u32 as i32).into(),
            (_, Value::Number(number)) => number.into(),
            (_, Value::Flag(flag)) => flag.into(),
            (_, Value::Fd(number)) => format!("fd {number}").into(),
            ("cpus" | "nodes", Value::Bytes(bits)) => set(bits).into(),
            ("program", Value::Bytes(program)) => format!("{} instructions", program.len() / 8).into(),
            (_, Value::Text(text) | Value::Bytes(text)) => lossy(text).into(),
            (_, Value::Texts(list)) => list.iter().map(|text| lossy(text.bytes())).collect(),
            (_, Value::Numbers(list)) => list.iter().collect(),
            (_, Value::Settings(list)) => list.iter().map(setting).collect(),
            (_, Value::Attrs(attrs)) if attrs == Attrs::default() => Json::Null,
            (_, Value::Attrs(attrs)) => attributes(attrs).into(),
            (_, Value::Absent) => Json::Null,
        };
        see(name, shown);
    });
}

/// The numbers whose bits are set.
fn set(bits: &[u8]) -> String {
    let bits = bits.iter().flat_map(|byte| (0..8).map(move |bit| byte & 1 << bit != 0));
    let numbers = bits.enumerate().filter(|(_, set)| *set).map(|(number, _)| number.to_string());
    numbers.collect::<Vec<_>>().join(",")
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

fn setting(setting: Setting<'_>) -> String {
    match setting.value {
        Some(value) => format!("{}={}", lossy(setting.key.bytes()), lossy(value.bytes())),
        None => lossy(setting.key.bytes()),
    }
}

/// What is set, cleared, and cleared where that is allowed (`~`), of the mount and of all below it (`r`).
fn attributes(attrs: Attrs) -> String {
    let mut parts = Vec::new();
    let fields = [
        (attrs.set, "+"),
        (attrs.clear, "-"),
        (attrs.implied, "~"),
        (attrs.set_all, "r+"),
        (attrs.clear_all, "r-"),
    ];
    for (bits, sign) in fields {
        // A whole field cleared makes room for the way of keeping access times that is set.
        let bits = if sign.ends_with('-') && bits & 0x70 == 0x70 { bits & !0x70 } else { bits };
        let known = ATTRIBUTES.iter().filter(|(bit, _)| bits & bit != 0);
        parts.extend(known.map(|(_, name)| format!("{sign}{name}")));
    }
    let relatime = |set: u32, clear: u32| clear & 0x70 == 0x70 && set & 0x70 == 0;
    if relatime(attrs.set, attrs.clear) {
        parts.push("+relatime".into());
    }
    if relatime(attrs.set_all, attrs.clear_all) {
        parts.push("r+relatime".into());
    }
    if attrs.propagation != 0 {
        parts.push(names(attrs.propagation.into(), &PROPAGATION));
    }
    parts.join(" ")
}

/// The names of attributes that a mount has or has not. A whole field stands for any of its values.
pub(crate) fn attribute_names(bits: u32) -> String {
    let times = bits & MOUNT_ATTR__ATIME == MOUNT_ATTR__ATIME;
    let bits = if times { bits & !MOUNT_ATTR__ATIME } else { bits };
    let names = ATTRIBUTES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name);
    names.chain(times.then_some("the way of keeping access times")).collect::<Vec<_>>().join(", ")
}

fn kinds() -> Vec<(u64, &'static str)> {
    KINDS.iter().map(|(name, kind)| (u64::from(*kind), *name)).collect()
}

fn names(bits: u64, table: &[(u64, &str)]) -> String {
    let known: Vec<&str> = table.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    known.join("|")
}
