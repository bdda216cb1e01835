//! `/linux/sysctl`: kernel parameters, allowed only where a namespace keeps them from the host.

use std::collections::BTreeMap;

use super::report::{Report, quote};
use crate::pointer;

/// A kernel parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sysctl {
    /// Its file, relative to `/proc/sys`.
    pub path: String,
    /// The type of the namespace that it belongs to, as it is written in a configuration.
    pub namespace: &'static str,
}

/// Reads the name of a parameter.
///
/// As in sysctl.d(5), the separator that comes first separates throughout, and the other one is an
/// ordinary character: `net.ipv4.conf.eth0/1.forwarding` and `net/ipv4/conf/eth0.1/forwarding` are one.
pub fn parse(name: &str) -> Result<Sysctl, String> {
    let dotted =
        name.find(['.', '/']).is_some_and(|at| name.get(at..).is_some_and(|rest| rest.starts_with('.')));
    let path = if dotted { swap_separators(name) } else { name.to_owned() };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(format!("{} is not a kernel parameter", quote(name)));
    }
    match owner(&path) {
        Some(namespace) => Ok(Sysctl { path, namespace }),
        None => Err(format!("{} belongs to the whole host, not to a namespace", quote(name))),
    }
}

fn swap_separators(name: &str) -> String {
    name.chars()
        .map(|letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect()
}

/// The type of namespace that has a parameter of its own.
fn owner(path: &str) -> Option<&'static str> {
    let (directory, rest) = path.split_once('/')?;
    match directory {
        "net" => Some("network"),
        "user" => Some("user"),
        "fs" if rest.starts_with("mqueue/") => Some("ipc"),
        "kernel" if rest.contains('/') => None,
        "kernel" if rest.starts_with("msg") || rest.starts_with("shm") || rest.starts_with("sem") => {
            Some("ipc")
        }
        "kernel" if matches!(rest, "domainname" | "hostname") => Some("uts"),
        _ => None,
    }
}

pub(super) fn check(sysctl: &BTreeMap<String, String>, report: &mut Report) {
    let mut seen = BTreeMap::new();
    for (name, value) in sysctl {
        let at = format!("/linux/sysctl/{}", pointer::escape(name));
        match parse(name) {
            Err(message) => {
                report.error(at.clone(), message);
            }
            Ok(Sysctl { path, .. }) if path == "kernel/hostname" => {
                report.error(at.clone(), "conflicts with /hostname").hint("set hostname");
            }
            Ok(Sysctl { path, .. }) => {
                if let Some(other) = seen.insert(path, name) {
                    report.error(at.clone(), format!("is the same parameter as {}", quote(other)));
                }
            }
        }
        if value.contains('\n') {
            report.error(at, "the value has more than one line");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Sysctl, parse};

    #[test]
    fn names() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", Some(("net/ipv4/ip_forward", "network"))),
            ("net/ipv4/ip_forward", Some(("net/ipv4/ip_forward", "network"))),
            ("net.ipv4.conf.eth0/1.forwarding", Some(("net/ipv4/conf/eth0.1/forwarding", "network"))),
            ("net/ipv4/conf/eth0.1/forwarding", Some(("net/ipv4/conf/eth0.1/forwarding", "network"))),
            ("kernel.shmmax", Some(("kernel/shmmax", "ipc"))),
            ("kernel.sem", Some(("kernel/sem", "ipc"))),
            ("fs.mqueue.msg_max", Some(("fs/mqueue/msg_max", "ipc"))),
            ("kernel.domainname", Some(("kernel/domainname", "uts"))),
            ("user.max_user_namespaces", Some(("user/max_user_namespaces", "user"))),
            ("kernel.core_pattern", None),
            ("vm.swappiness", None),
            ("fs.file-max", None),
            ("net", None),
            ("", None),
            ("net.", None),
            (".net.ipv4", None),
            ("/net/ipv4", None),
            ("net..ipv4", None),
            ("net/../kernel/core_pattern", None),
            ("net.//.kernel.core_pattern", None),
            ("kernel.msg/../../x", None),
        ] {
            let parsed = parse(name).ok();
            let expected = expected.map(|(path, namespace)| Sysctl { path: path.into(), namespace });
            assert_eq!(parsed, expected, "{name:?}");
        }
    }
}
