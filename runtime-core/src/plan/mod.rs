//! What a configuration means on this host: a program for init, and what the host side does meanwhile.
//!
//! Planning is pure: it looks at nothing but its arguments, so a plan can be printed and tested anywhere. The order of
//! the steps is what a container's security hangs on; it stands in [`container`] and [`process`] alone.

mod added;
mod builder;
mod cgroup_mount;
mod explain;
mod filter;
mod hooks;
mod id_maps;
mod idmap;
mod labels;
mod mounts;
mod namespaces;
mod options;
mod paths;
mod print;
mod process;
mod rootfs;
#[cfg(test)]
mod run_tests;
mod schedule;
mod sysctl;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::cgroup::Group;
use crate::check::Checked;
use crate::config::{Annotations, MemoryPolicy, Personality, Process, Seccomp, Spec};
use crate::wire::{Fd, Point, Step, Str};

use builder::Builder;
use namespaces::{CGROUP, NETWORK, Namespaces, PID, USER};
use process::Payload;
use rootfs::Root;

pub use added::{Running, mounts_added, mounts_removed, mounts_undone};
pub use builder::{Descriptor, HostPart, NetDevice, NewNetwork, Plan, Tree, UserNamespace};
pub use cgroup_mount::cgroup_owner;
pub use explain::StepError;
pub(crate) use hooks::HookState;
pub use hooks::hook;
pub use id_maps::IdMaps;
pub use idmap::{MountIds, MountMaps};
pub(crate) use mounts::stripped_destinations;
pub use namespaces::namespace_kinds;
pub use options::known as mount_options;
pub(crate) use print::attribute_names;

/// Why there is no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// JSON pointer of the value at fault.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    fn at(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into(), hint: None }
    }

    /// For a value that [`Checked`] should have kept away.
    fn unknown(pointer: impl Into<String>, value: &str) -> Self {
        Self::at(pointer, format!("unknown value {value:?}"))
    }

    fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// What a plan has to know of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The highest capability that the kernel knows.
    pub last_capability: u8,
    /// Whether there is a `/proc/kcore`.
    pub kcore: bool,
    /// Whether a process enters its new time namespace by executing a program, not by a clone alone.
    pub time_by_exec: bool,
    /// Whether the runtime may make mounts in its own mount namespace.
    pub may_mount: bool,
    /// Whether the runtime is in a user namespace of somebody's own, which lacks ids of the host.
    pub in_user_namespace: bool,
    /// Whether it is in the host's first user namespace: nobody can make device nodes in another.
    pub in_first_user_namespace: bool,
}

/// The container's cgroup, as far as it is made before init.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cgroup<'a> {
    /// The number of files through which init enters it; none where it is born in it.
    pub files: usize,
    /// Somebody else moves init into it.
    pub moved: bool,
    /// Its directory in each hierarchy.
    pub groups: &'a [Group],
}

/// What the caller of `create` decides.
#[derive(Debug, Clone, Copy)]
pub struct Options<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle's directory.
    pub bundle: &'a Path,
    /// The container's cgroup.
    pub cgroup: Cgroup<'a>,
    /// The container is created now and started later, through a gate.
    pub gate: bool,
    /// The calling process does nothing but this, and may be in another network namespace for a moment.
    pub command: bool,
    /// The root cannot be pivoted.
    pub no_pivot: bool,
    /// The payload keeps the caller's session keyring.
    pub no_new_keyring: bool,
    /// Environment of the payload that outdoes the configuration's.
    pub extra_env: &'a [String],
    /// Environment of hooks that give none.
    pub hook_env: &'a [String],
    /// A directory with `notify.sock` for the payload.
    pub notify_dir: Option<&'a Path>,
}

/// What the caller of `exec` decides, and what it knows of the container.
#[derive(Debug, Clone, Copy)]
pub struct JoinOptions<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The namespaces that the container does not share with the caller: `CLONE_NEW*` bits.
    pub namespaces: u32,
    /// The container's root is not that of its mount namespace, which others are in.
    pub chroot: bool,
    /// User and group of the root of its user namespace, as seen inside.
    pub root: (u32, u32),
    /// The process keeps the caller's groups.
    pub keep_groups: bool,
    /// The container's execution domain.
    pub personality: Option<&'a Personality>,
    /// The container's memory policy.
    pub memory_policy: Option<&'a MemoryPolicy>,
    /// The process is born in the container's cgroup.
    pub born_in_cgroup: bool,
    /// The host side has init moved into the container's cgroup, which the process inherits.
    pub moved: bool,
    /// The number of files through which it enters its cgroup.
    pub cgroup_files: usize,
    /// The process keeps the caller's session keyring.
    pub no_new_keyring: bool,
    /// Environment that outdoes the process's own.
    pub extra_env: &'a [String],
    /// The container's profile of system calls.
    pub seccomp: Option<&'a Seccomp>,
}

/// The plan for a container.
///
/// The order, and why:
/// 1. Before it touches anything, init cannot be traced and does not outlive its creator. It enters its cgroup, so that
///    all that follows is accounted there. A new user namespace gets its ids before init is closed to an unprivileged caller.
/// 2. It takes hold of the root filesystem, then leaves the host's namespaces.
/// 3. The tree is built while the host's is still there, in the order of the configuration: sources of mounts are host
///    paths. Hooks come when all is mounted and may still change it (network devices, drivers), so parameters of devices that
///    they make, and what must not be written or seen, come after them.
/// 4. After the pivot no path leads to the host. The terminal is made in the container's devpts; only then do mounts
///    become read-only, and only then is nothing more opened but by the payload's rights.
/// 5. Rights are given up last, and the descriptors that could lead out before them. What `create` can report is
///    done before the gate; what would hinder init is done after it: a filter of system calls is the last of all,
///    unless it has a listener, which must know of it before the container is created. Hooks that come before load it
///    themselves.
pub fn container(config: &Checked<'_>, facts: &Facts, options: &Options<'_>) -> Result<Plan, Error> {
    let spec: &Spec = config;
    let Some(process) = &spec.process else {
        return Err(Error::at("/process", "process property must not be empty"));
    };
    let notify_env = options.notify_dir.map(|_| format!("NOTIFY_SOCKET={NOTIFY}/notify.sock"));
    let extra_env: Vec<String> = options.extra_env.iter().cloned().chain(notify_env).collect();
    let seccomp = spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
    let payload = Payload::of(process, "/process", facts, seccomp, &extra_env)?;
    let annotations = Annotations::of(&spec.annotations);
    let namespaces = Namespaces::of(spec, annotations.keep_groups)?;
    let root = Root::of(spec, facts, &namespaces)?;

    let in_user_namespace = namespaces.has(USER);
    let host_opens = in_user_namespace && facts.may_mount;
    let mut builder = Builder::new(host_opens);
    builder.host().locked_trees = host_opens;
    let gate = options.gate.then(|| builder.descriptor(Descriptor::Gate));

    if namespaces.new & USER == 0 {
        builder.add("", Step::Undumpable {});
    }
    builder.add("", Step::DieWithParent {});
    builder.add("", Step::HeedSignals {});
    if options.cgroup.moved {
        builder.add("/linux/cgroupsPath", Step::Rendezvous { point: Point::Born as u32 });
    }
    namespaces.time(&mut builder);
    enter_cgroup(&mut builder, options.cgroup.files);
    schedule::reset_affinity(&mut builder);
    namespaces.user(&mut builder);

    root.hold(&mut builder);
    namespaces.plan(&mut builder, facts, options);

    root.take(&mut builder, options);
    let root_mount = mounts::root(&mut builder, spec, &namespaces, options)?;
    Root::real_directories(&mut builder);
    let mut deferred = mounts::plan(&mut builder, spec, &namespaces, options)?;
    deferred.extend(root_mount);
    if let Some(dir) = options.notify_dir {
        mounts::notify(&mut builder, dir, NOTIFY);
    }
    if paths::clean(&process.cwd) != "/" {
        builder.add("/process/cwd", Step::MakeDirectory { path: Str::from(process.cwd.as_str()) });
    }
    root.devices(&mut builder, facts)?;
    net_devices(&mut builder, spec);
    hooks::before_pivot(&mut builder, spec, options)?;
    sysctl::plan(&mut builder, spec, &namespaces)?;
    root.restrict(&mut builder, options);

    root.pivot(&mut builder, options);
    names(&mut builder, spec);
    if namespaces.new & NETWORK != 0 && builder.host().network.is_none_or(|network| !network.loopback) {
        builder.add("/linux/namespaces", Step::LoopbackUp {});
    }
    payload.session(&mut builder, true);
    payload.schedule(&mut builder)?;
    if let Some(linux) = &spec.linux {
        execution(&mut builder, linux.personality.as_ref(), linux.memory_policy.as_ref())?;
    }
    for mount in deferred {
        mount.settle(&mut builder);
    }
    root.settle(&mut builder);

    payload.keyring(&mut builder, options.id, options.no_new_keyring);
    payload.home(&mut builder);
    payload.labels(&mut builder);
    builder.add("", Step::CloseFds { gate });
    payload.identity(&mut builder, in_user_namespace, annotations.keep_groups);
    payload.look_up(&mut builder);
    payload.host(&mut builder)?;
    payload.filter_with_listener(&mut builder);
    builder.add("", Step::AwaitStart { gate });

    hooks::at_start(&mut builder, spec, options, &payload)?;
    payload.execute(&mut builder)?;
    Ok(builder.finish())
}

/// The plan for one more process in a running container.
///
/// Init joins the container's namespaces from outside its cgroup: what could stall or be killed there is the second
/// clone alone, which is the process itself. A container that is its own root already has nothing to mount.
pub fn process(process: &Process, facts: &Facts, options: &JoinOptions<'_>) -> Result<Plan, Error> {
    let payload = Payload::of(process, "", facts, options.seccomp, options.extra_env)?;
    let mut builder = Builder::new(false);

    builder.add("", Step::Undumpable {});
    builder.add("", Step::DieWithParent {});
    builder.add("", Step::ResetSignals {});
    schedule::initial_affinity(&mut builder, process.exec_cpu_affinity.as_ref());
    let in_user_namespace = options.namespaces & USER != 0;
    if options.moved {
        // As long as it has its caller's user: systemd moves nobody else's processes.
        builder.add("", Step::Rendezvous { point: Point::Born as u32 });
    }
    // A privileged caller needs no user namespace to enter the others, but the cgroup takes no clone of somebody else's root.
    let user = if facts.may_mount { options.namespaces & USER } else { 0 };
    // Where cgroups are delegated to namespaces (nsdelegate, systemd's way of mounting them), nobody is cloned from outside a cgroup
    // namespace into its cgroups by one who is in it.
    let late = user | options.namespaces & CGROUP;
    join(&mut builder, options.root, options.keep_groups, options.namespaces & !late);
    if options.born_in_cgroup || options.namespaces & PID != 0 {
        let cgroup = options.born_in_cgroup.then(|| builder.descriptor(Descriptor::CgroupDir));
        builder.add("", Step::Fork { cgroup });
        builder.host().forks = true;
    }
    join(&mut builder, options.root, options.keep_groups, late);
    builder.add("", Step::DieWithParent {});
    enter_cgroup(&mut builder, options.cgroup_files);
    schedule::final_affinity(&mut builder, process.exec_cpu_affinity.as_ref());
    if options.chroot {
        let dir = builder.descriptor(Descriptor::ContainerRoot);
        builder.add("", Step::EnterRootfs { dir });
        builder.add("", Step::Chroot {});
    }
    builder.add("", Step::OpenRoot {});

    payload.session(&mut builder, false);
    payload.schedule(&mut builder)?;
    execution(&mut builder, options.personality, options.memory_policy)?;
    payload.keyring(&mut builder, options.id, options.no_new_keyring);
    payload.home(&mut builder);
    payload.labels(&mut builder);
    builder.add("", Step::CloseFds { gate: None });
    payload.identity(&mut builder, in_user_namespace, options.keep_groups);
    payload.look_up(&mut builder);
    payload.host(&mut builder)?;
    payload.filter_with_listener(&mut builder);
    builder.add("", Step::AwaitStart { gate: None });
    payload.execute(&mut builder)?;
    Ok(builder.finish())
}

/// The plan for a process that is there until its user namespace has its ids, and somebody holds that.
pub(crate) fn user_namespace() -> Plan {
    let mut builder = Builder::new(false);
    builder.born_in(USER);
    builder.add("", Step::DieWithParent {});
    builder.add("", Step::Rendezvous { point: Point::Placed as u32 });
    builder.finish()
}

/// Where the payload finds the directory of its notification socket.
const NOTIFY: &str = "/run/notify";

/// Enters namespaces of a running container.
fn join(builder: &mut Builder, (uid, gid): (u32, u32), keep_groups: bool, kinds: u32) {
    if kinds != 0 {
        let target = builder.descriptor(Descriptor::ContainerPidfd);
        builder.add("", Step::Setns { target, kinds, early: false });
    }
    if kinds & USER != 0 {
        builder.add("", Step::BecomeRoot { uid, gid, keep_groups });
    }
}

fn net_devices(builder: &mut Builder, spec: &Spec) {
    let devices = spec.linux.iter().flat_map(|linux| &linux.net_devices);
    builder.host().net_devices = devices
        .map(|(name, device)| NetDevice {
            name: name.clone(),
            new_name: device.name.as_ref().unwrap_or(name).clone(),
        })
        .collect();
    if !builder.host().net_devices.is_empty() {
        builder.add("/linux/netDevices", Step::ReceiveNetDevices {});
    }
}

/// What holds for every process of a container.
fn execution(
    builder: &mut Builder,
    personality: Option<&Personality>,
    memory_policy: Option<&MemoryPolicy>,
) -> Result<(), Error> {
    if let Some(personality) = personality {
        schedule::personality(builder, personality)?;
    }
    memory_policy.map_or(Ok(()), |policy| schedule::memory_policy(builder, policy))
}

fn enter_cgroup(builder: &mut Builder, files: usize) {
    for number in 0..files {
        let file: Fd = builder.descriptor(Descriptor::CgroupFile(number));
        builder.add("/linux/cgroupsPath", Step::EnterCgroup { file });
    }
}

fn names(builder: &mut Builder, spec: &Spec) {
    if let Some(name) = &spec.hostname {
        builder.add("/hostname", Step::Sethostname { name: Str::from(name.as_str()) });
    }
    if let Some(name) = &spec.domainname {
        builder.add("/domainname", Step::Setdomainname { name: Str::from(name.as_str()) });
    }
}
