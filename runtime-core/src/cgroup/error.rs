//! What can go wrong with cgroups, with everything a message needs.

use std::path::PathBuf;
use std::time::Duration;

use nix::errno::Errno;

use crate::error::errno_text;

/// An error of the cgroup driver.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused an operation on a cgroup.
    #[error("{action} {}: {}{}", path.display(), errno_text(*errno), hint(*errno))]
    Io {
        /// What was tried, `write` for one.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },

    /// A directory that should be the root of a cgroup hierarchy is none.
    #[error("{} is not a mounted cgroup file system", path.display())]
    NotCgroup {
        /// The directory.
        path: PathBuf,
    },

    /// This process has no place in a hierarchy where a relative path needs one.
    #[error("/linux/cgroupsPath: the runtime's own cgroup in {} is not known; use an absolute path", mount.display())]
    NoOwnCgroup {
        /// Root of the hierarchy.
        mount: PathBuf,
    },

    /// The container was made without a cgroup.
    #[error("the container has no cgroup: whoever made it lacked the right to make one")]
    NoCgroup,

    /// `linux.cgroupsPath` cannot be used.
    #[error("/linux/cgroupsPath: {value:?} {reason}")]
    Path {
        /// Its value.
        value: String,
        /// What is wrong with it.
        reason: &'static str,
    },

    /// A sub-cgroup given to `exec` is not one.
    #[error("bad sub cgroup path: {0}")]
    SubPath(String),

    /// A sub-cgroup given to `exec` cannot be understood.
    #[error("invalid --cgroup argument: {argument} ({reason})")]
    SubArgument {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A limit was refused by the kernel.
    #[error("{pointer}: writing {value:?} to {}: {}{}", path.display(), errno_text(*errno), limit_hint(*errno))]
    Limit {
        /// The value of the config that caused it.
        pointer: String,
        /// The file of the limit.
        path: PathBuf,
        /// What was written.
        value: String,
        /// The kernel's answer.
        errno: Errno,
    },

    /// A limit cannot be set, or not to this value, whatever the kernel says.
    #[error("{pointer}: {reason}")]
    Value {
        /// The value of the config at fault.
        pointer: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },

    /// A limit needs a controller that this host does not offer here.
    #[error("{pointer}: cgroup controller {controller:?} is not available in {}", path.display())]
    NoController {
        /// The value of the config that needs it.
        pointer: String,
        /// The controller.
        controller: String,
        /// Where it was looked for.
        path: PathBuf,
    },

    /// A cgroup that exists already has processes.
    #[error("container's cgroup is not empty: {} process(es) found in {}{}", pids.len(), path.display(), some_of(pids))]
    NotEmpty {
        /// The cgroup.
        path: PathBuf,
        /// The processes.
        pids: Vec<i32>,
    },

    /// A cgroup that exists already is frozen.
    #[error("container's cgroup unexpectedly frozen: {}", path.display())]
    Frozen {
        /// The cgroup.
        path: PathBuf,
    },

    /// A cgroup cannot be thawed.
    #[error("{} stays frozen, because a cgroup above it is: thaw that one", path.display())]
    FrozenAbove {
        /// The cgroup.
        path: PathBuf,
    },

    /// The cgroup is gone.
    #[error("cgroup not exist: {}", path.display())]
    Gone {
        /// The cgroup.
        path: PathBuf,
    },

    /// A cgroup did not become what it was told to be in time.
    #[error("{} did not become {state} within {after:?}", path.display())]
    Timeout {
        /// The cgroup.
        path: PathBuf,
        /// The state that was awaited.
        state: &'static str,
        /// How long.
        after: Duration,
    },

    /// The message bus on which systemd is cannot be used.
    #[error("D-Bus at {address}: {reason} (the systemd cgroup driver needs a running systemd)")]
    Bus {
        /// Its address.
        address: String,
        /// What is wrong.
        reason: String,
    },

    /// systemd has refused something.
    #[error("systemd: {doing}: {text} ({name})")]
    Systemd {
        /// What was being done.
        doing: String,
        /// The name of its error.
        name: String,
        /// Its words.
        text: String,
    },

    /// An unprivileged user's systemd manages no cgroups of version 1.
    #[error("the systemd cgroup driver needs cgroup v2 for an unprivileged user")]
    NoUserManager,

    /// The kernel refused the device filter.
    #[error("/linux/resources/devices: {action} the device filter of {}: {}{}", path.display(), errno_text(*errno), hint(*errno))]
    DeviceFilter {
        /// What was tried.
        action: &'static str,
        /// The cgroup.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl Error {
    /// The JSON pointer of the config value at fault, if there is one.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::Limit { pointer, .. }
            | Self::Value { pointer, .. }
            | Self::NoController { pointer, .. } => Some(pointer),
            Self::DeviceFilter { .. } => Some("/linux/resources/devices"),
            Self::Path { .. } | Self::NoOwnCgroup { .. } => Some("/linux/cgroupsPath"),
            _ => None,
        }
    }

    /// The kernel's answer, if it gave one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io { errno, .. } | Self::Limit { errno, .. } | Self::DeviceFilter { errno, .. } => {
                Some(*errno)
            }
            _ => None,
        }
    }

    /// True where this process lacks the right to manage cgroups, or there are none here to manage.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::NotCgroup { .. } | Self::NoOwnCgroup { .. })
            || self.errno().is_some_and(|errno| [Errno::EACCES, Errno::EPERM, Errno::EROFS].contains(&errno))
    }

    /// True where a cgroup that has been found is no longer there.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Io { errno: Errno::ENOENT | Errno::ENODEV, .. })
    }
}

/// A few of the processes, for who wants to look at them.
fn some_of(pids: &[i32]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = pids.iter().take(SHOWN).map(i32::to_string).collect();
    match pids.len() {
        0 => String::new(),
        count if count > SHOWN => format!(": {}, …", shown.join(", ")),
        _ => format!(": {}", shown.join(", ")),
    }
}

fn limit_hint(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => " (this kernel does not have this limit)",
        Errno::ENODEV => " (there is no such device)",
        _ => hint(errno),
    }
}

/// What a person can do about the usual refusals.
fn hint(errno: Errno) -> &'static str {
    match errno {
        Errno::EACCES | Errno::EPERM => " (the runtime lacks the right to manage this cgroup)",
        Errno::EROFS => " (the cgroup file system is mounted read-only)",
        Errno::EBUSY => " (the cgroup has processes, or the limit is below what they use)",
        _ => "",
    }
}
