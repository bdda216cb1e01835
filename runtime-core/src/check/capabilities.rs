//! `/process/capabilities`, and the names of capabilities.

use super::report::{Report, quote};
use crate::config::Capabilities;

/// Names in the order of their numbers, without `CAP_`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The number of a capability: in any case, with or without `CAP_`, or `CAP_<number>` for one that
/// is newer than this runtime.
pub fn parse_capability(name: &str) -> Option<u8> {
    let prefix = name.get(..4).filter(|prefix| prefix.eq_ignore_ascii_case("CAP_"));
    let bare = if prefix.is_some() { name.get(4..)? } else { name };
    if let Some(number) = NAMES.iter().position(|known| known.eq_ignore_ascii_case(bare)) {
        return u8::try_from(number).ok();
    }
    if prefix.is_none() || !bare.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    bare.parse().ok().filter(|number| *number < 64)
}

/// The name of a capability, as it is written in a configuration.
pub fn capability_name(number: u8) -> String {
    match NAMES.get(usize::from(number)) {
        Some(name) => format!("CAP_{name}"),
        None => format!("CAP_{number}"),
    }
}

/// The names of all capabilities that this runtime knows.
pub fn known() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| format!("CAP_{name}"))
}

/// The set that names stand for, one bit each; unknown names stand for none.
pub fn capability_mask(names: &[String]) -> u64 {
    names.iter().filter_map(|name| parse_capability(name)).fold(0, |mask, number| mask | 1 << number)
}

pub(super) fn check(capabilities: &Capabilities, at: &str, report: &mut Report) {
    for (set, names) in [
        ("bounding", &capabilities.bounding),
        ("effective", &capabilities.effective),
        ("inheritable", &capabilities.inheritable),
        ("permitted", &capabilities.permitted),
        ("ambient", &capabilities.ambient),
    ] {
        for (index, name) in names.iter().enumerate() {
            if parse_capability(name).is_none() {
                report.warning(
                    format_args!("{at}/{set}/{index}"),
                    format!("unknown capability {} has no effect", quote(name)),
                );
            }
        }
    }
    let permitted = capability_mask(&capabilities.permitted);
    for (index, name) in capabilities.effective.iter().enumerate() {
        if parse_capability(name).is_some_and(|number| permitted & 1 << number == 0) {
            report
                .error(format_args!("{at}/effective/{index}"), format!("{name} is not in the permitted set"));
        }
    }
    let raisable = permitted & capability_mask(&capabilities.inheritable);
    for (index, name) in capabilities.ambient.iter().enumerate() {
        if parse_capability(name).is_some_and(|number| raisable & 1 << number == 0) {
            report
                .warning(
                    format_args!("{at}/ambient/{index}"),
                    format!("can't raise ambient capability {name}: it has no effect"),
                )
                .hint("only what is both permitted and inheritable can be ambient");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, capability_mask, capability_name, parse_capability};

    #[test]
    fn names() {
        for (name, number) in [
            ("CAP_CHOWN", Some(0)),
            ("cap_chown", Some(0)),
            ("chown", Some(0)),
            ("CAP_SYS_ADMIN", Some(21)),
            ("CAP_CHECKPOINT_RESTORE", Some(40)),
            ("CAP_41", Some(41)),
            ("CAP_63", Some(63)),
            ("CAP_64", None),
            ("CAP_300", None),
            ("CAP_", None),
            ("41", None),
            ("", None),
            ("CAP_NOPE", None),
            ("é", None),
            ("CAPé", None),
        ] {
            assert_eq!(parse_capability(name), number, "{name:?}");
        }
    }

    #[test]
    fn every_name_reads_back() {
        for number in 0..64 {
            assert_eq!(parse_capability(&capability_name(number)), Some(number));
        }
        assert_eq!(NAMES.len(), 41);
    }

    #[test]
    fn masks_drop_unknown_names() {
        assert_eq!(capability_mask(&["CAP_CHOWN".into(), "CAP_NOPE".into(), "KILL".into()]), 0b10_0001);
    }
}
