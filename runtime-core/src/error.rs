//! What can go wrong: a kind for machines; a text, a place in the config and a hint for people.

use std::io;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::container::Status;
use crate::launch::handshake::PATIENCE;

/// An error of the library.
///
/// The texts are those that engines look for in a runtime's output (`container does not exist`, `container not running`,
/// `executable file not found in $PATH`, …), without the `runc create failed: ` that a command puts in front.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No container has the id.
    #[error("container does not exist")]
    NotFound,
    /// A container has the id already.
    #[error("container with given ID already exists")]
    AlreadyExists,
    /// The id is empty.
    #[error("container id cannot be empty")]
    EmptyId,
    /// The id is not a name that a container can have.
    #[error(
        "invalid container ID format: {0:?} (use letters, digits and _+-. , at most 255, not starting with a dot)"
    )]
    InvalidId(String),
    /// The container has no process that could be signalled, paused or listed.
    #[error("container not running")]
    NotRunning,
    /// The container is not paused.
    #[error("container not paused")]
    NotPaused,
    /// Only a stopped or created container can be deleted without force.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// The container.
        id: String,
        /// What it is instead.
        status: Status,
    },
    /// Its process is still there, 10 s after SIGKILL.
    #[error("container init still running{0}")]
    StillRunning(String),
    /// It cannot be started, since it has ended.
    #[error("cannot start a container that has stopped")]
    StartStopped,
    /// It cannot be started twice.
    #[error("cannot start an already running container")]
    StartRunning,
    /// It cannot be started while it is paused.
    #[error("cannot start a container in the paused state")]
    StartPaused,
    /// Nothing can be executed in it.
    #[error("cannot exec in a stopped container")]
    ExecStopped,
    /// Nothing can be executed in it until it is resumed.
    #[error("cannot exec in a paused container (use --ignore-paused to override)")]
    ExecPaused,
    /// The config asks for no process.
    #[error("/process: the container has no process to start; add `process` to config.json")]
    NoProcess,
    /// The config has faults; the first is the one to mend first.
    #[error("{}", list(.0))]
    Config(Vec<crate::check::Finding>),
    /// The bundle cannot be read.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// The root file system cannot be used.
    #[error("/root/path: {path} {reason}")]
    Rootfs {
        /// Its directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The host is not one that containers can run on.
    #[error(transparent)]
    Host(#[from] crate::host::Error),
    /// The config cannot be turned into a plan.
    #[error(transparent)]
    Plan(#[from] crate::plan::Error),
    /// The container's cgroup could not be made, changed or removed.
    #[error(transparent)]
    Cgroup(#[from] crate::cgroup::Error),
    /// The caller may not make the cgroup that the config needs.
    #[error(
        "unable to apply cgroup configuration: rootless needs no limits + no cgrouppath when no permission is granted for cgroups: {cause}"
    )]
    CgroupDenied {
        /// What of the config needs it.
        pointer: &'static str,
        /// The refusal.
        cause: crate::cgroup::Error,
    },
    /// The container cannot have the share of caches and memory bandwidth that it asks for.
    #[error("{pointer}: {reason}")]
    IntelRdt {
        /// The JSON pointer of the value at fault.
        pointer: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Init could not be brought up.
    #[error("unable to start container process: {0}")]
    Launch(#[from] crate::launch::Error),
    /// A step of the container's set-up failed.
    #[error("unable to start container process: error during container init: {0}")]
    Create(crate::plan::StepError),
    /// A step of starting or entering the container failed.
    #[error("unable to start container process: {0}")]
    Enter(crate::plan::StepError),
    /// The sources of mounts for a running container could not be had.
    #[error(transparent)]
    Sources(crate::launch::Error),
    /// A mount could not be made in a running container, or taken from it.
    #[error("{0}")]
    Mounts(crate::plan::StepError),
    /// Mounts made in the container would be made for others too.
    #[error("the container has no mount namespace of its own: its mounts cannot be changed")]
    SharedMounts,
    /// Init ended before it could say why.
    #[error("unable to start container process: container init {0}")]
    InitDied(String),
    /// The agent that the seccomp profile names could not be given the listener.
    #[error("/linux/seccomp/listenerPath: failed to connect with seccomp agent {path}: {reason}")]
    Agent {
        /// Its socket.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Init waits at a system call for which nobody answers.
    #[error(
        "/linux/seccomp: the agent does not answer for a system call that init makes, within {PATIENCE} s"
    )]
    AgentSilent,
    /// A hook of the host side failed.
    #[error("error running {kind} hook #{index}: {path}: {reason}")]
    Hook {
        /// Which list of `/hooks`.
        kind: &'static str,
        /// Its place in the list, from 0.
        index: usize,
        /// The program.
        path: String,
        /// How it failed, with what it wrote to standard error.
        reason: String,
    },
    /// The state directory holds something that this version cannot read.
    #[error("{path}: {reason}")]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A system call failed.
    #[error("{doing} {path}: {}", errno_text(*errno))]
    System {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A part of the interface that does not exist yet.
    #[error("{0} is not supported yet")]
    NotYet(&'static str),
}

impl Error {
    /// A failed system call.
    pub(crate) fn system(doing: &'static str, path: impl AsRef<Path>) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::System { doing, path: path.as_ref().to_owned(), errno }
    }

    /// The kind of error, for programs that decide by it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound => ErrorKind::NotFound,
            Self::AlreadyExists => ErrorKind::AlreadyExists,
            Self::EmptyId | Self::InvalidId(_) => ErrorKind::InvalidId,
            Self::NotRunning
            | Self::NotPaused
            | Self::SharedMounts
            | Self::NotStopped { .. }
            | Self::StillRunning(_)
            | Self::StartStopped
            | Self::StartRunning
            | Self::StartPaused
            | Self::ExecStopped
            | Self::ExecPaused => ErrorKind::WrongStatus,
            Self::NoProcess | Self::Config(_) | Self::Bundle(_) | Self::Rootfs { .. } | Self::Plan(_) => {
                ErrorKind::Config
            }
            Self::Host(_) => ErrorKind::Host,
            Self::Cgroup(_) | Self::CgroupDenied { .. } | Self::IntelRdt { .. } => ErrorKind::Cgroup,
            Self::Launch(_)
            | Self::Sources(_)
            | Self::Create(_)
            | Self::Enter(_)
            | Self::Mounts(_)
            | Self::InitDied(_)
            | Self::Agent { .. }
            | Self::AgentSilent => ErrorKind::Process,
            Self::Hook { .. } => ErrorKind::Hook,
            Self::State { .. } | Self::System { .. } => ErrorKind::System,
            Self::NotYet(_) => ErrorKind::Unsupported,
        }
    }

    /// The JSON pointer of the config value that is at fault, where one is.
    pub fn pointer(&self) -> Option<String> {
        match self {
            Self::NoProcess => Some("/process".to_owned()),
            Self::Config(findings) => first_fatal(findings).map(|finding| finding.pointer.clone()),
            Self::Bundle(error) => error.pointer().map(str::to_owned),
            Self::Plan(error) => Some(error.pointer.clone()),
            Self::Cgroup(error) => error.pointer().map(str::to_owned),
            Self::CgroupDenied { pointer, cause } => Some(cause.pointer().unwrap_or(pointer).to_owned()),
            Self::IntelRdt { pointer, .. } => Some((*pointer).to_owned()),
            Self::Launch(error) | Self::Sources(error) => error.pointer().map(str::to_owned),
            Self::Host(error) => error.pointer().map(str::to_owned),
            Self::Rootfs { .. } => Some("/root/path".to_owned()),
            Self::Agent { .. } => Some("/linux/seccomp/listenerPath".to_owned()),
            Self::AgentSilent => Some("/linux/seccomp".to_owned()),
            Self::Create(error) | Self::Enter(error) | Self::Mounts(error) => error.pointer.clone(),
            Self::Hook { kind, index, .. } => Some(format!("/hooks/{kind}/{index}")),
            _ => None,
        }
    }

    /// The step of the plan that failed, where one did.
    pub fn step(&self) -> Option<&'static str> {
        match self {
            Self::Create(error) | Self::Enter(error) | Self::Mounts(error) => Some(error.step),
            _ => None,
        }
    }

    /// The kernel's answer, where there was one.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Create(error) | Self::Enter(error) | Self::Mounts(error) => error.errno,
            Self::Cgroup(error) | Self::CgroupDenied { cause: error, .. } => {
                error.errno().map(|errno| errno as i32)
            }
            Self::Launch(error) | Self::Sources(error) => error.errno().map(|errno| errno as i32),
            Self::System { errno, .. } | Self::Agent { errno, .. } => Some(*errno as i32),
            _ => None,
        }
    }

    /// What to do about it, where that can be said.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Config(findings) => first_fatal(findings).and_then(|finding| finding.hint.clone()),
            Self::Create(error) | Self::Enter(error) | Self::Mounts(error) => error.hint.clone(),
            Self::Launch(error) | Self::Sources(error) => error.hint().map(str::to_owned),
            Self::Agent { .. } => Some("start the agent before the container".to_owned()),
            Self::AgentSilent => Some(
                "leave system calls to the agent that the container's program makes, not its start"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What kind of error an [`Error`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No such container.
    NotFound,
    /// The id is taken.
    AlreadyExists,
    /// The id is not one.
    InvalidId,
    /// The container's status does not allow the operation.
    WrongStatus,
    /// The bundle or its config is at fault.
    Config,
    /// The host lacks something.
    Host,
    /// cgroups.
    Cgroup,
    /// The container's process could not be set up or executed.
    Process,
    /// A hook failed.
    Hook,
    /// A system call or the state directory.
    System,
    /// Not supported yet.
    Unsupported,
}

impl ErrorKind {
    /// The kind's name in machine-readable output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::AlreadyExists => "already-exists",
            Self::InvalidId => "invalid-id",
            Self::WrongStatus => "wrong-status",
            Self::Config => "config",
            Self::Host => "host",
            Self::Cgroup => "cgroup",
            Self::Process => "process",
            Self::Hook => "hook",
            Self::System => "system",
            Self::Unsupported => "unsupported",
        }
    }
}

/// The kernel's words for an errno as engines expect them: in lower case.
pub(crate) fn errno_text(errno: Errno) -> String {
    // Where nix has other words than the C library and Go.
    let text = match errno {
        Errno::EAGAIN => "resource temporarily unavailable",
        Errno::EDQUOT => "disk quota exceeded",
        Errno::EIO => "input/output error",
        Errno::ELOOP => "too many levels of symbolic links",
        Errno::ENOMEM => "cannot allocate memory",
        Errno::ENOTTY => "inappropriate ioctl for device",
        Errno::EOPNOTSUPP => "operation not supported",
        Errno::EXDEV => "invalid cross-device link",
        Errno::UnknownErrno => "unknown error",
        _ => errno.desc(),
    };
    text.to_lowercase()
}

/// The same for an error of the standard library, which is not the kernel's in every case.
pub(crate) fn io_text(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| errno_text(Errno::from_raw(errno)))
}

/// The errno of an error of the standard library.
pub(crate) fn errno_of(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn first_fatal(findings: &[crate::check::Finding]) -> Option<&crate::check::Finding> {
    findings.iter().find(|finding| finding.is_fatal())
}

fn list(findings: &[crate::check::Finding]) -> String {
    let fatal = findings.iter().filter(|finding| finding.is_fatal());
    fatal.map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
