//! What init's report means: which value of the configuration, which kernel call, which words.

use std::fmt;

use nix::errno::Errno;

use super::{Plan, attribute_names};
use crate::error::errno_text;
use crate::init::nr;
use crate::wire::{Check, Kind, List, Report, Step, Str};

/// A step of a plan that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepError {
    /// JSON pointer of the value that caused the step.
    pub pointer: Option<String>,
    /// The step's name.
    pub step: &'static str,
    /// The system call that failed.
    pub call: Option<&'static str>,
    /// Its error number.
    pub errno: Option<i32>,
    /// What happened, in the words that engines look for.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for StepError {}

impl Plan {
    /// Explains a report of a failure.
    pub fn explain(&self, report: &Report) -> StepError {
        let number = report.step as usize;
        let step = self.step(number);
        let errno = (report.kind == Kind::Errno).then_some(report.value as i32);
        let call = errno.and_then(|_| nr::name(report.call as usize));
        let message = match &step {
            Some(step) => self.message(step, report, call),
            None => {
                let call = call.map(|call| format!("{call}: ")).unwrap_or_default();
                format!("step {number} of a program that cannot be read here: {call}{}", problem(report))
            }
        };
        StepError {
            pointer: self.origin(number).map(str::to_owned),
            step: step.map_or("", |step| step.name()),
            call,
            errno,
            message,
            hint: step.and_then(|step| self.hint(&step, report)).map(str::to_owned),
        }
    }

    /// Explains a report of a container's start by what was to be started, where its plan is another release's or not to be had.
    pub fn explain_start(args: &[String], report: &Report) -> StepError {
        let fault = Self::default().explain(report);
        let program = args.first().map_or("", String::as_str);
        StepError { message: format!("unable to start {program:?}: {}", fault.message), ..fault }
    }

    fn hint(&self, step: &Step<'_>, report: &Report) -> Option<&'static str> {
        let denied = report.kind == Kind::Errno && matches!(report.value as i32, libc::EACCES | libc::EPERM);
        let exec = matches!(step, Step::Exec { .. }) && denied;
        let labels =
            |step: &Step<'_>| matches!(step, Step::WriteOwn { path, .. } if path.bytes() == b"attr/exec");
        if exec && self.steps().any(|(step, _)| labels(&step)) {
            return Some(
                "the policy of SELinux must allow the runtime to become what /process/selinuxLabel says: transition and entrypoint, \
                 with noNewPrivileges nnp_transition, on a nosuid mount nosuid_transition",
            );
        }
        hint(step, report)
    }

    fn message(&self, step: &Step<'_>, report: &Report, call: Option<&str>) -> String {
        let what = problem(report);
        let at = |list: &List<'_, Str<'_>>| text(list.iter().nth(report.index as usize));
        let done = match step {
            Step::Lookup { candidates } => return self.not_found(candidates, report),
            Step::Exec { candidates, .. } => return format!("exec {}: {what}", at(candidates)),
            Step::Chdir { .. } if check(report) == Some(Check::CwdOutside) => return what,
            Step::Chdir { path, .. } => {
                return format!("chdir to cwd ({:?}) set in config.json failed: {what}", text(Some(*path)));
            }
            Step::RunHook { path, .. } => {
                let (kind, number) = hook_of(self.origin(report.step as usize));
                let what = match report.kind {
                    Kind::Errno => format!("fork/exec {}: {what}", text(Some(*path))),
                    _ => what,
                };
                return format!("error running {kind} hook #{number}: {what}");
            }
            Step::MountFs { fstype, source, target, .. } => {
                mounting(&text(Some(source.unwrap_or(*fstype))), *target)
            }
            Step::BindMount { source, target, .. } if report.index != 0 => {
                let locked = attribute_names(report.index);
                format!("{}: cannot clear {locked}", mounting(&text(Some(*source)), *target))
            }
            Step::MountData { source, target, .. } | Step::BindMount { source, target, .. } => {
                mounting(&text(Some(*source)), *target)
            }
            Step::Mask { paths, .. } => format!("can't mask path {:?}", at(paths)),
            Step::Readonly { paths } => format!("can't make {:?} read-only", at(paths)),
            step => doing(step),
        };
        match call {
            Some(call) => format!("{done}: {call}: {what}"),
            None => format!("{done}: {what}"),
        }
    }

    /// Why nothing can be executed, in the words of Go's `exec.LookPath`, which engines know.
    fn not_found(&self, candidates: &List<'_, Str<'_>>, report: &Report) -> String {
        let name = match self.len().checked_sub(1).and_then(|last| self.step(last)) {
            Some(Step::Exec { args, .. }) => text(args.iter().next()),
            _ => text(candidates.iter().next()),
        };
        if !name.contains('/') {
            return format!("exec: {name:?}: executable file not found in $PATH");
        }
        let what = problem(report);
        match (report.kind, check(report)) {
            (_, Some(Check::NotRegular)) => format!("exec: {name:?}: is a directory"),
            (Kind::Errno, _) if matches!(report.value as i32, libc::EACCES | libc::EISDIR) => {
                format!("exec: {name:?}: {what}")
            }
            _ => format!("exec: {name:?}: stat {name}: {what}"),
        }
    }
}

fn text(text: Option<Str<'_>>) -> String {
    text.map_or_else(String::new, |text| String::from_utf8_lossy(text.bytes()).into_owned())
}

fn mounting(source: &str, target: Str<'_>) -> String {
    format!("error mounting {source:?} to rootfs at {:?}", text(Some(target)))
}

/// Kind and number of a hook, out of its pointer.
fn hook_of(origin: Option<&str>) -> (&str, &str) {
    origin.and_then(|origin| origin.strip_prefix("/hooks/")?.split_once('/')).unwrap_or(("a", "0"))
}

/// What a step was about to do.
fn doing(step: &Step<'_>) -> String {
    let about = |what: &str, name: &Str<'_>| format!("{what} {:?}", text(Some(*name)));
    match step {
        Step::EnterCgroup { .. } => "unable to enter the container's cgroup".into(),
        Step::Setns { .. } => "unable to join a namespace".into(),
        Step::BecomeRoot { .. } => "unable to become root of the user namespace".into(),
        Step::Unshare { .. } => "unable to make namespaces".into(),
        Step::Fork { .. } => "unable to start the container's process".into(),
        Step::EnterRootfs { .. } | Step::EnterPath { .. } | Step::OpenRoot {} => {
            "unable to open the root filesystem".into()
        }
        Step::Propagation { path, .. } => about("unable to change the propagation of", path),
        Step::PrivateParent {} => "unable to make the mount below the root filesystem private".into(),
        Step::TakeRoot { .. } => "unable to mount the root filesystem".into(),
        // In runc's words.
        Step::RealDirectory { path, .. } => {
            format!("a filesystem at {:?} must be mounted on ordinary directory", text(Some(*path)))
        }
        Step::MakeDirectory { path } => about("unable to make the directory", path),
        Step::Unmount { target, .. } => about("unable to unmount", target),
        Step::MountSetattr { .. } => "unable to change a mount's attributes".into(),
        Step::Label { label, .. } => about("unable to label a mount with", label),
        Step::MakeNode { path, .. } => about("unable to make the device", path),
        Step::MakeSymlink { path, .. } => about("unable to make the link", path),
        Step::WriteSysctl { path, .. } => about("unable to write the kernel parameter", path),
        Step::WriteOwn { path, value, .. } => {
            format!("unable to write {:?} to /proc/self/{}", text(Some(*value)), text(Some(*path)))
        }
        Step::PivotRoot { .. } => "pivot_root".into(),
        Step::Chroot {} => "unable to change the root".into(),
        Step::MoveRoot { .. } => "unable to move the root filesystem".into(),
        Step::Sethostname { name } => about("unable to set the host name", name),
        Step::Setdomainname { name } => about("unable to set the domain name", name),
        Step::EnterNetwork {} => "enter the new network namespace".into(),
        Step::LoopbackUp {} => "unable to bring the loopback interface up".into(),
        Step::OpenConsole { .. } => "unable to open the terminal".into(),
        Step::SessionKeyring { .. } => "unable to join a session keyring".into(),
        Step::OwnStdio { .. } => "unable to own the standard streams".into(),
        Step::CapBound { .. } | Step::SetCaps { .. } => "unable to apply caps".into(),
        Step::SetGroups { .. } => "unable to set the supplementary groups".into(),
        Step::SetIds { uid, gid } => format!("unable to become user {uid}, group {gid}"),
        Step::ReceiveNetDevices {} => "unable to receive network devices".into(),
        Step::SetAffinity { .. } => "unable to set the CPU affinity".into(),
        Step::SetScheduler { .. } => "unable to set the scheduler".into(),
        Step::SetIoPriority { .. } => "unable to set the I/O priority".into(),
        Step::SetPersonality { .. } => "unable to set the personality".into(),
        Step::SetMempolicy { .. } => "unable to set the memory policy".into(),
        Step::LoadSeccomp { .. } => "unable to load the seccomp filter".into(),
        Step::SetRlimit { resource, .. } => format!("error setting rlimit {resource}"),
        step => step.name().into(),
    }
}

/// What went wrong, without where.
fn problem(report: &Report) -> String {
    match report.kind {
        Kind::Errno => errno_text(Errno::from_raw(report.value as i32)),
        Kind::Exit => format!("exit status {}", report.value),
        Kind::Signal => format!("killed by signal {}", report.value),
        Kind::Timeout => format!("timed out after {} s", report.value),
        Kind::Check => check(report).map_or("an unknown check failed", check_words).into(),
    }
}

fn check(report: &Report) -> Option<Check> {
    if report.kind == Kind::Check { Check::from_number(report.value) } else { None }
}

fn check_words(check: Check) -> &'static str {
    match check {
        Check::Program => "the program cannot be decoded",
        Check::CwdOutside => {
            "current working directory is outside of container mount namespace root -- possible container breakout detected"
        }
        Check::MountMoved => "the mount is not at its target: the path was changed meanwhile",
        Check::OtherNode => "another file has this name",
        Check::NotPtmx => "/dev/pts/ptmx is not the multiplexer of a devpts",
        Check::SysctlValue => "the parameter has another value after it was written",
        Check::NotRegular => "not a regular file",
        Check::NotDirectory => "not a directory, or reached by a symbolic link",
        Check::Message => "an unexpected message",
        Check::HostVisible => {
            "a procfs or sysfs of the host lies below another mount and cannot be hidden from the container"
        }
        Check::SymlinkLoop => "too many levels of symbolic links",
    }
}

fn hint(step: &Step<'_>, report: &Report) -> Option<&'static str> {
    match (step, report.kind) {
        (_, Kind::Errno) => {}
        (Step::MoveRoot { .. }, Kind::Check) => return Some("unmount it, or do without --no-pivot"),
        (Step::OpenConsole { .. }, Kind::Check) => return Some("mount a devpts at /dev/pts"),
        (Step::RunHook { .. }, Kind::Signal) if report.value == libc::SIGSYS as u32 => {
            return Some("a bad system call: one that the hook makes is forbidden by the seccomp profile");
        }
        _ => return None,
    }
    match (step, report.value as i32) {
        (Step::Fork { cgroup: Some(_) }, libc::EACCES) => {
            Some("the caller may not bring processes from its own cgroup into the container's")
        }
        (
            Step::BindMount { .. }
            | Step::MountFs { .. }
            | Step::MountData { .. }
            | Step::Mask { .. }
            | Step::Label { .. }
            | Step::Unmount { .. },
            errno,
        ) => mount_hint(step, report, errno),
        (Step::SetGroups { .. }, libc::EPERM) => {
            Some("groups cannot be set where /proc/self/setgroups says deny, as without newgidmap")
        }
        (Step::SetScheduler { policy, .. }, libc::EPERM) if *policy == libc::SCHED_DEADLINE as u32 => Some(
            "such a process scheduler can't be used together with AllowedCPUs (/linux/resources/cpu/cpus), nor without \
             CAP_SYS_NICE in the host's user namespace",
        ),
        (Step::SetScheduler { .. } | Step::SetIoPriority { .. }, libc::EPERM) => {
            Some("this needs CAP_SYS_NICE in the host's user namespace")
        }
        (Step::SessionKeyring { .. }, libc::EDQUOT) => {
            Some("the process shares its caller's; kernel.keys.maxkeys limits the keys of a user")
        }
        (Step::SetMempolicy { .. }, libc::ENOSYS) => Some("this kernel has no NUMA support"),
        (Step::SetAffinity { .. }, libc::EINVAL) => {
            Some("none of these CPUs is online and in the container's cpuset")
        }
        (Step::WriteOwn { path, .. }, errno) => label_hint(path.bytes(), errno),
        (Step::OpenConsole { .. }, libc::ENOENT) => Some("mount a devpts at /dev/pts"),
        (Step::Exec { .. }, libc::ENOENT) => Some("the interpreter or loader that the file names is missing"),
        (Step::Exec { .. }, libc::ENOEXEC) => {
            Some("the file must be a program for this architecture, or a script that begins with #!")
        }
        _ => None,
    }
}

/// Why the kernel does not mount.
fn mount_hint(step: &Step<'_>, report: &Report, errno: i32) -> Option<&'static str> {
    match (step, errno) {
        (Step::BindMount { .. }, libc::EPERM) if report.index != 0 => {
            Some("leave the option out: in a user namespace the mount stays as the host has it")
        }
        (Step::BindMount { .. }, libc::ENOENT) => Some("the source must exist on the host"),
        (Step::BindMount { .. }, libc::ENOTDIR) => {
            Some("source and target must both be directories, or neither")
        }
        (Step::BindMount { recursive: false, .. }, libc::EINVAL) => {
            Some("use rbind for a source with mounts below it")
        }
        (Step::MountFs { .. } | Step::MountData { .. }, libc::ENODEV) => {
            Some("the kernel does not know this filesystem type")
        }
        (Step::MountFs { options, .. }, libc::EINVAL)
            if options
                .iter()
                .nth(report.index as usize)
                .is_some_and(|option| option.key.bytes().ends_with(b"context")) =>
        {
            Some(NO_LABEL)
        }
        (Step::Mask { label: Some(_), .. }, libc::EINVAL) if report.call as usize == nr::FSCONFIG => {
            Some(NO_LABEL)
        }
        (Step::Label { .. }, libc::EINVAL | libc::EOPNOTSUPP) => Some(NO_LABEL),
        (Step::MountFs { fstype, .. }, libc::EPERM) if fstype.bytes() == b"sysfs" => Some(
            "in a user namespace sysfs needs a new network namespace beside it; else bind the host's /sys",
        ),
        (Step::MountFs { fstype, .. }, libc::EPERM) if fstype.bytes() == b"proc" => Some(
            "in a user namespace procfs needs a pid namespace of its owner, and no mount that hides a part of /proc",
        ),
        (Step::Unmount { .. }, libc::EINVAL) => Some("nothing is mounted there"),
        _ => None,
    }
}

/// Why the kernel takes no label for files.
const NO_LABEL: &str = "the label, of /linux/mountLabel or of the mount itself, needs SELinux, which this host does not have, or \
    the host's policy has no such label";

/// Why the kernel takes no label.
fn label_hint(path: &[u8], errno: i32) -> Option<&'static str> {
    match (path, errno) {
        (b"attr/apparmor/exec", libc::ENOENT) => Some("load the profile with apparmor_parser"),
        (b"attr/apparmor/exec", libc::EINVAL) => Some("AppArmor is not enabled on this host"),
        (b"attr/exec" | b"attr/keycreate", libc::EINVAL | libc::ENOENT) => {
            Some("SELinux is not enabled on this host, or its policy has no such label")
        }
        _ => None,
    }
}
