//! Annotations with an effect: those of crun's extensions that engines write. What their texts mean is said here alone.

use std::collections::BTreeMap;

/// The names of annotations with an effect begin with one of these; their values must not come from an untrusted source.
pub(crate) const PREFIXES: [&str; 2] = [CRUN, "org.systemd.property."];

const CRUN: &str = "run.oci.";

/// The options of a file system that give it an SELinux label.
const CONTEXTS: [&str; 4] = ["context", "fscontext", "defcontext", "rootcontext"];

/// What a configuration's annotations ask for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Annotations<'a> {
    /// `keep_original_groups`: the process keeps the groups of the runtime's caller, and gets no others.
    pub(crate) keep_groups: bool,
    /// `mount_context_type`: the option by which file systems get the container's label.
    pub(crate) mount_context: &'a str,
    /// `seccomp_fail_unknown_syscall`: an unknown name in a profile of system calls is an error.
    pub(crate) unknown_syscalls_fail: bool,
    /// Names and what is wrong with their values.
    pub(crate) faults: Vec<(&'a str, String)>,
    /// Names of crun's that mean nothing here.
    pub(crate) unknown: Vec<&'a str>,
}

impl<'a> Annotations<'a> {
    /// Reads them.
    pub(crate) fn of(annotations: &'a BTreeMap<String, String>) -> Self {
        let mut read = Self {
            keep_groups: false,
            mount_context: "context",
            unknown_syscalls_fail: false,
            faults: Vec::new(),
            unknown: Vec::new(),
        };
        for (name, value) in annotations {
            if let Some(extension) = name.strip_prefix(CRUN) {
                if let Err(fault) = read.extension(name, extension, value) {
                    read.faults.push((name, fault));
                }
            }
        }
        read
    }

    fn extension(&mut self, name: &'a str, extension: &str, value: &'a str) -> Result<(), String> {
        match extension {
            "keep_original_groups" => self.keep_groups = switch(value)?,
            "seccomp_fail_unknown_syscall" => self.unknown_syscalls_fail = switch(value)?,
            "mount_context_type" if CONTEXTS.contains(&value) => self.mount_context = value,
            "mount_context_type" => return Err(format!("{value:?} is not one of {}", CONTEXTS.join(", "))),
            // As a plain process the payload would be less isolated than was asked for, or could not be executed.
            "handler" => return Err(format!("there is no handler {value:?} here: remove it, or use crun")),
            _ => self.unknown.push(name),
        }
        Ok(())
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(format!("{value:?} is neither 1 nor 0")),
    }
}

#[cfg(test)]
mod tests {
    use super::Annotations;

    #[test]
    fn texts_are_typed() {
        let given = [
            ("run.oci.keep_original_groups", "1"),
            ("run.oci.mount_context_type", "rootcontext"),
            ("run.oci.seccomp_fail_unknown_syscall", "maybe"),
            ("run.oci.handler", "krun"),
            ("run.oci.systemd.subgroup", ""),
            ("org.example", "run.oci."),
        ];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let read = Annotations::of(&given);
        assert!(read.keep_groups && !read.unknown_syscalls_fail);
        assert_eq!(read.mount_context, "rootcontext");
        let faulty: Vec<&str> = read.faults.iter().map(|(name, _)| *name).collect();
        assert_eq!(faulty, ["run.oci.handler", "run.oci.seccomp_fail_unknown_syscall"]);
        assert_eq!(read.unknown, ["run.oci.systemd.subgroup"]);
    }
}
