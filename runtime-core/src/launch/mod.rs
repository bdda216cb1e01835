//! The host side of bringing init up: its image, its birth, its descriptors, its questions.
pub(crate) mod channel;
mod clone;
pub(crate) mod descriptors;
pub(crate) mod gate;
pub(crate) mod handshake;
pub(crate) mod hooks;
pub(crate) mod id_maps;
mod image;
mod locked;
pub(crate) mod net_devices;
mod netlink;
mod network;
mod spawn;
#[cfg(test)]
mod tests;
pub(crate) mod tree;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

use nix::errno::Errno;

use crate::container::end;
use crate::error::errno_text;
use crate::plan::{Descriptor, HostPart, Plan};
use crate::procfs;
use crate::sys;
use descriptors::Sources;

pub(crate) use spawn::Child;

/// Why init could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused something on the way.
    #[error("{doing}: {}", errno_text(*errno))]
    System {
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The container's memory does not suffice for init itself.
    #[error("execute init: {} (memory limit too low?)", errno_text(*errno))]
    Memory {
        /// The kernel's answer.
        errno: Errno,
    },
    /// A namespace to be joined cannot be opened.
    #[error("{pointer}: open namespace {path}: {}", errno_text(*errno))]
    Namespace {
        /// The JSON pointer of its path.
        pointer: String,
        /// The path.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A namespace to be joined is none, or of another type.
    #[error("{pointer}: {path} is not a namespace of that type")]
    NotNamespace {
        /// The JSON pointer of its path.
        pointer: String,
        /// The path.
        path: PathBuf,
    },
    /// A namespace to be joined is the caller's own, of which the config would change something.
    #[error("{pointer}: {path} is the host's own namespace, which the configuration would change")]
    OwnNamespace {
        /// The JSON pointer of its path.
        pointer: String,
        /// The path.
        path: PathBuf,
    },
    /// The source of a bind mount cannot be had.
    #[error("error mounting {path:?}: {}", errno_text(*errno))]
    Source {
        /// The JSON pointer of the mount.
        pointer: String,
        /// The source.
        path: PathBuf,
        /// It is wanted with all mounts below it.
        recursive: bool,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A bind mount in a user namespace shall be without what the host has restricted.
    #[error(
        "error during container init: error mounting {path:?}: cannot clear {what}, locked by the host's mount: operation not permitted"
    )]
    Locked {
        /// The JSON pointer of the mount.
        pointer: String,
        /// The source.
        path: PathBuf,
        /// The attributes.
        what: String,
    },
    /// The ids of a mount cannot be mapped.
    #[error("error mounting {path:?}: map its ids: {}", errno_text(*errno))]
    MountIds {
        /// The JSON pointer of the mount.
        pointer: String,
        /// The source.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The ids of a user namespace cannot be written.
    #[error("{pointer}: {reason}")]
    IdMap {
        /// The JSON pointer of the mappings.
        pointer: &'static str,
        /// Why not.
        reason: String,
    },
    /// A network interface cannot be moved into the container.
    #[error("network device {name}: {doing}: {}", errno_text(*errno))]
    NetDevice {
        /// The JSON pointer of the device.
        pointer: String,
        /// Its name on the host.
        name: String,
        /// What was being done.
        doing: &'static str,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A limit that the config wants cannot be had.
    #[error("/process/rlimits: raise {name} to {hard}: {}", errno_text(*errno))]
    Limit {
        /// The limit.
        name: String,
        /// The hard limit.
        hard: u64,
        /// The kernel's answer.
        errno: Errno,
    },
    /// `process.oomScoreAdj` cannot be set.
    #[error("/process/oomScoreAdj: set to {value}: {}", errno_text(*errno))]
    OomScore {
        /// The value.
        value: i32,
        /// The kernel's answer.
        errno: Errno,
    },
}

impl Error {
    /// For a plan that names what the operation that made it does not hold.
    const LACKING: Self = Self::System { doing: "find a descriptor of the plan", errno: Errno::EBADF };
    const MAKE_IMAGE: &str = "make the image of init";
    const EXECUTE: &str = "execute init";
    const CLONE: &str = "clone init";
    const NETWORK: &str = "make a network namespace";
    const LOCK: &str = "copy the mounts for a user namespace";

    /// True where another kind of image may be allowed.
    fn denies_image(&self) -> bool {
        let Self::System { doing, errno } = self else { return false };
        [Self::MAKE_IMAGE, Self::EXECUTE].contains(doing) && [Errno::EACCES, Errno::EPERM].contains(errno)
    }

    fn system(doing: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System { doing, errno }
    }

    /// The JSON pointer of the config value at fault, where one is.
    pub fn pointer(&self) -> Option<&str> {
        match self {
            Self::System { .. } => None,
            Self::Memory { .. } => Some("/linux/resources/memory/limit"),
            Self::Namespace { pointer, .. }
            | Self::NotNamespace { pointer, .. }
            | Self::OwnNamespace { pointer, .. } => Some(pointer),
            Self::Source { pointer, .. }
            | Self::Locked { pointer, .. }
            | Self::MountIds { pointer, .. }
            | Self::NetDevice { pointer, .. } => Some(pointer),
            Self::IdMap { pointer, .. } => Some(pointer),
            Self::Limit { .. } => Some("/process/rlimits"),
            Self::OomScore { .. } => Some("/process/oomScoreAdj"),
        }
    }

    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::System { doing, errno: Errno::EPERM } if *doing == Self::CLONE => Some(
                "without privileges a container needs a new user namespace, and the host may restrict those: see \
                 kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns",
            ),
            Self::System { doing, errno: Errno::EPERM } if *doing == Self::LOCK => Some(
                "sources of bind mounts are opened in a copy of the mount namespace, which takes CAP_SYS_CHROOT, and a caller \
                 whose root is that of its own mount namespace",
            ),
            Self::System { doing, errno: Errno::ENOSPC }
                if [Self::CLONE, Self::NETWORK, Self::LOCK].contains(doing) =>
            {
                Some("a limit of user.max_*_namespaces is reached")
            }
            Self::System { doing, errno: Errno::EAGAIN } if *doing == Self::CLONE => Some(
                "a limit of processes and threads is reached: RLIMIT_NPROC, or pids.max of the caller's cgroup",
            ),
            Self::MountIds { errno: Errno::EINVAL, .. } => {
                Some("the file system has no id-mapped mounts, or a mount below it is mapped already")
            }
            Self::MountIds { errno: Errno::EPERM, .. } => {
                Some("this needs CAP_SYS_ADMIN in the user namespace that owns the file system")
            }
            Self::Source { errno: Errno::ENOENT, .. } => Some("the source must exist on the host"),
            Self::Locked { .. } => {
                Some("leave the option out: in a user namespace the mount stays as the host has it")
            }
            Self::Source { errno: Errno::EINVAL, recursive, path, .. } => {
                if *recursive || path.starts_with("/proc") {
                    Some(
                        "it is unbindable, or of another mount namespace, where links like /proc/PID/root and /proc/PID/fd/N lead",
                    )
                } else {
                    Some("use rbind for a source with mounts below it")
                }
            }
            _ => None,
        }
    }

    /// The kernel's answer, where there was one.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Locked { .. } => Some(Errno::EPERM),
            Self::NotNamespace { .. } | Self::OwnNamespace { .. } | Self::IdMap { .. } => None,
            Self::System { errno, .. }
            | Self::Namespace { errno, .. }
            | Self::Source { errno, .. }
            | Self::MountIds { errno, .. }
            | Self::NetDevice { errno, .. }
            | Self::Limit { errno, .. }
            | Self::Memory { errno }
            | Self::OomScore { errno, .. } => Some(*errno),
        }
    }
}

/// The payload's descriptors.
pub(crate) struct Payload<'a> {
    /// Standard input, output and error; the caller's where absent.
    pub(crate) stdio: Option<[BorrowedFd<'a>; 3]>,
    /// Descriptors 3, 4, ….
    pub(crate) inherit: &'a [BorrowedFd<'a>],
}

/// Starts init with a plan.
pub(crate) fn launch(plan: &Plan, sources: &Sources<'_>, payload: &Payload<'_>) -> Result<Child, Error> {
    let opened = descriptors::open_all(plan, sources)?;
    let extra: Vec<BorrowedFd<'_>> = opened.iter().map(AsFd::as_fd).collect();
    let stdio = payload.stdio.unwrap_or_else(sys::standard_streams);
    let descriptors: Vec<BorrowedFd<'_>> = stdio.iter().chain(payload.inherit).copied().collect();
    let child = spawn::spawn(&spawn::Request {
        program: plan.program(),
        payload: &descriptors,
        extra: &extra,
        namespaces: plan.namespaces(),
        // Where the plan gives the directory to the second clone, that one is born in the cgroup.
        cgroup: sources.cgroup.filter(|_| !plan.descriptors().contains(&Descriptor::CgroupDir)),
    })?;
    if let Some(part) = plan.host().network {
        network::give(&child.channel, part).inspect_err(|_| end(&child))?;
    }
    log::debug!("init {} runs from {:?}", child.pid, child.way);
    Ok(child)
}

/// The plan in an image, as far as it takes to explain what init reports; none where another release of the library made it.
pub(crate) fn plan_of(image: File) -> Option<Plan> {
    image::program(image).and_then(Plan::of_program)
}

/// Sets what only the host side may set on the payload's process.
pub(crate) fn set_limits(pid: i32, host: &HostPart) -> Result<(), Error> {
    if let Some(value) = host.oom_score_adj {
        let written = procfs::write(&format!("{pid}/oom_score_adj"), &value.to_string());
        written.map_err(|errno| Error::OomScore { value, errno })?;
    }
    for &(resource, hard) in &host.hard_limits {
        let limited = |errno| Error::Limit { name: limit_name(resource), hard, errno };
        // Init has them of this process. To look at its own takes a privilege, once it has another user.
        let (soft, inherited) = sys::prlimit(0, resource, None).map_err(limited)?;
        if inherited < hard {
            sys::prlimit(pid, resource, Some((soft, hard))).map_err(limited)?;
        }
    }
    Ok(())
}

fn limit_name(resource: u32) -> String {
    crate::check::rlimits::rlimit_name(resource).map_or_else(|| format!("limit {resource}"), str::to_owned)
}
