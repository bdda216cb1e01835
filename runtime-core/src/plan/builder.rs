//! The plan: an encoded program, and beside it what init does not need to know.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::{Error, IdMaps, MountIds};
use crate::seccomp::flag::NEW_LISTENER;
use crate::wire::{self, Attrs, Fd, Reader, Sink, Step, Str};

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What a descriptor that init is given stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Descriptor {
    /// The root filesystem's directory.
    Rootfs,
    /// The root of a running container.
    ContainerRoot,
    /// The host's `/proc`.
    Proc,
    /// The listening socket in the state directory.
    Gate,
    /// A file through which init enters the container's cgroup, by its place among those files.
    CgroupFile(usize),
    /// The container's cgroup, a directory of version 2.
    CgroupDir,
    /// A namespace to join.
    Namespace {
        /// Its file.
        path: PathBuf,
        /// Its `CLONE_NEW*` bit.
        kind: u32,
        /// The configuration changes what belongs to it, so it must not be the caller's own.
        changed: bool,
    },
    /// A pidfd of the container's init.
    ContainerPidfd,
    /// Where the output of hooks goes.
    HookOutput,
    /// The source of a bind mount, as a detached tree with its attributes.
    Tree(Tree),
}

/// What the host side opens as a detached tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The JSON pointer of the mount.
    pub pointer: String,
    /// Where it is on the host.
    pub source: PathBuf,
    /// With all mounts below it.
    pub recursive: bool,
    /// A symbolic link at the end of the source is taken itself.
    pub link: bool,
    /// The attributes.
    pub attrs: Attrs,
    /// The mapping of its ids.
    pub ids: Option<MountIds>,
}

/// A bind mount.
pub(super) struct Bind<'a> {
    pub(super) source: &'a Path,
    /// The source is a path in the root.
    pub(super) inside: bool,
    /// A symbolic link at the end of the source is meant itself.
    pub(super) source_link: bool,
    pub(super) recursive: bool,
    pub(super) attrs: Attrs,
    pub(super) ids: Option<MountIds>,
    pub(super) target: &'a str,
    pub(super) nofollow: bool,
    /// A symbolic link at the end of the target is mounted over.
    pub(super) target_link: bool,
    /// A source that is a symbolic link is copied.
    pub(super) copy_link: bool,
    /// The slot for the mount.
    pub(super) keep: Option<u32>,
}

impl Default for Bind<'_> {
    fn default() -> Self {
        Self {
            source: Path::new("/"),
            inside: false,
            source_link: false,
            recursive: false,
            attrs: Attrs::default(),
            ids: None,
            target: "/",
            nofollow: false,
            target_link: false,
            copy_link: false,
            keep: None,
        }
    }
}

/// A network interface that moves into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevice {
    /// Its name on the host.
    pub name: String,
    /// Its name in the container; `%d` in it stands for a number that is free.
    pub new_name: String,
}

/// The mappings of the container's user namespace, and what the host side does with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserNamespace {
    /// It is new: they are written.
    New(IdMaps),
    /// It is joined: they are compared.
    Joined(IdMaps),
}

/// A network namespace that the host side makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewNetwork {
    /// Its loopback interface is brought up too; otherwise init does that.
    pub loopback: bool,
    /// Init runs hooks in it before it is ready, so the interface is up when init gets it.
    pub hooks: bool,
}

/// What the host side does while init runs the program.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostPart {
    /// Adjustment of the out-of-memory score, written for the payload's process.
    pub oom_score_adj: Option<i32>,
    /// Hard limits (`RLIMIT_*` and value) to raise for the payload's process at least that far: init sets the limits when
    /// it has no privileges any more.
    pub hard_limits: Vec<(u32, u64)>,
    /// Init stops at [`wire::Point::Mounted`] for the hooks of the runtime's namespaces.
    pub hooks_at_mounted: bool,
    /// The payload's process is a second one, which [`wire::Tag::Child`] tells.
    pub forks: bool,
    /// A terminal comes with [`wire::Tag::Terminal`].
    pub terminal: bool,
    /// Trees are opened so that in the container's user namespace nobody can lift what the host's mounts restrict.
    pub locked_trees: bool,
    /// The network namespace that the host side makes, for which init waits in [`wire::Step::EnterNetwork`].
    pub network: Option<NewNetwork>,
    /// Network interfaces that move into the container when [`wire::Tag::Netlink`] comes.
    pub net_devices: Vec<NetDevice>,
    /// Trees that init opens, in this order, and whose ids the host side maps when [`wire::Tag::Tree`] comes.
    pub trees: Vec<Tree>,
    /// Init stops at [`wire::Point::Placed`] for these.
    pub user_namespace: Option<UserNamespace>,
}

/// The whole of what a configuration means on this host.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    program: Vec<u8>,
    steps: Vec<Place>,
    descriptors: Vec<Descriptor>,
    namespaces: u64,
    host: HostPart,
    waits: usize,
}

/// Where a step lies in the program, and which value of the configuration caused it.
#[derive(Debug, Clone)]
struct Place {
    offset: usize,
    origin: Cow<'static, str>,
}

impl Plan {
    /// A plan of its program alone, for whoever starts a container that another process has created. Only steps after
    /// the gate can fail then, so only they have an origin. `None` for one of another version.
    pub fn of_program(program: Vec<u8>) -> Option<Self> {
        let (version, body) = program.split_first_chunk()?;
        let mut reader =
            Reader::new((u32::from_le_bytes(*version) == wire::PROGRAM_VERSION).then_some(body)?);
        let mut steps = Vec::new();
        let (mut after_gate, mut hooks) = (false, 0..);
        while !reader.is_empty() {
            let offset = program.len() - reader.len();
            let origin = match Step::decode(&mut reader)? {
                Step::AwaitStart { .. } => {
                    after_gate = true;
                    Cow::Borrowed("")
                }
                _ if !after_gate => Cow::Borrowed(""),
                Step::RunHook { .. } => format!("/hooks/startContainer/{}", hooks.next()?).into(),
                Step::ConfineHooks { .. } | Step::LoadSeccomp { .. } => Cow::Borrowed("/linux/seccomp"),
                Step::Exec { .. } => Cow::Borrowed("/process/args"),
                _ => Cow::Borrowed("/process"),
            };
            steps.push(Place { offset, origin });
        }
        let (descriptors, host) = (Vec::new(), HostPart::default());
        Some(Self { program, steps, descriptors, namespaces: 0, host, waits: 0 })
    }

    /// The program for init.
    pub fn program(&self) -> &[u8] {
        &self.program
    }

    /// The namespaces with which init is born: `CLONE_NEW*` bits.
    pub fn namespaces(&self) -> u64 {
        self.namespaces
    }

    /// How often init waits for the host side on the way to the payload, other than for its start.
    pub(crate) fn waits(&self) -> usize {
        self.waits
    }

    /// What [`wire::Fd`] numbers stand for, in order; the host side opens them.
    pub fn descriptors(&self) -> &[Descriptor] {
        &self.descriptors
    }

    /// What the host side does.
    pub fn host(&self) -> &HostPart {
        &self.host
    }

    /// The number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether there is no step.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The step with this number.
    pub fn step(&self, number: usize) -> Option<Step<'_>> {
        let place = self.steps.get(number)?;
        Step::decode(&mut Reader::new(self.program.get(place.offset..)?))
    }

    /// The JSON pointer of the value that caused the step with this number, if one did.
    pub fn origin(&self, number: usize) -> Option<&str> {
        self.steps.get(number).map(|place| place.origin.as_ref()).filter(|origin| !origin.is_empty())
    }

    /// The steps in their order, each with its origin.
    pub fn steps(&self) -> impl Iterator<Item = (Step<'_>, Option<&str>)> {
        (0..self.len()).filter_map(|number| Some((self.step(number)?, self.origin(number))))
    }
}

/// A plan in the making.
pub(super) struct Builder {
    plan: Plan,
    slots: u32,
    /// The host side opens the sources of bind mounts, which init may not be able to reach.
    host_opens: bool,
    /// What causes the network namespace that init has yet to enter.
    awaited_network: Option<String>,
}

impl Builder {
    pub(super) fn new(host_opens: bool) -> Self {
        let mut program = Vec::with_capacity(4096);
        program.put(&wire::PROGRAM_VERSION.to_le_bytes());
        let plan = Plan {
            program,
            steps: Vec::with_capacity(64),
            descriptors: Vec::new(),
            namespaces: 0,
            host: HostPart::default(),
            waits: 0,
        };
        // Slot 0 is the root.
        Self { plan, slots: 1, host_opens, awaited_network: None }
    }

    /// Adds a step that the value at `origin` causes; `""` for one that stands in every plan.
    pub(super) fn add(&mut self, origin: impl Into<Cow<'static, str>>, step: Step<'_>) {
        self.plan.steps.push(Place { offset: self.plan.program.len(), origin: origin.into() });
        step.encode(&mut self.plan.program);
        self.plan.waits += usize::from(waits_for_host(&step));
    }

    /// The number under which init has a descriptor.
    pub(super) fn descriptor(&mut self, descriptor: Descriptor) -> Fd {
        let known = self.plan.descriptors.iter().position(|other| *other == descriptor);
        let number = known.unwrap_or_else(|| {
            self.plan.descriptors.push(descriptor);
            self.plan.descriptors.len() - 1
        });
        Fd(number as u32)
    }

    /// Adds a bind mount.
    pub(super) fn bind(&mut self, origin: impl Into<Cow<'static, str>>, bind: &Bind<'_>) {
        let origin = origin.into();
        let tree = || Tree {
            pointer: origin.clone().into_owned(),
            source: bind.source.into(),
            recursive: bind.recursive,
            link: bind.source_link || bind.copy_link,
            attrs: bind.attrs,
            ids: bind.ids.clone(),
        };
        // Only the host side may map ids.
        let (tree, ids) = match (bind.inside, &bind.ids) {
            (false, ids) if self.host_opens || ids.is_some() => {
                // No two mounts can have the same tree, so this one is never known already.
                self.plan.descriptors.push(Descriptor::Tree(tree()));
                (Some(Fd(self.plan.descriptors.len() as u32 - 1)), None)
            }
            (_, None) => (None, None),
            (_, Some(_)) => {
                let trees = &mut self.plan.host.trees;
                trees.push(tree());
                (None, Some(trees.len() as u32 - 1))
            }
        };
        let step = Step::BindMount {
            source: Str::new(bind.source.as_os_str().as_encoded_bytes()),
            inside: bind.inside,
            source_link: bind.source_link,
            tree,
            recursive: bind.recursive,
            attrs: bind.attrs,
            ids,
            target: Str::from(bind.target),
            nofollow: bind.nofollow,
            target_link: bind.target_link,
            copy_link: bind.copy_link,
            keep: bind.keep,
        };
        self.add(origin, step);
    }

    /// A free slot for a mount that a later step changes.
    pub(super) fn slot(&mut self, origin: &str) -> Result<u32, Error> {
        let slot = self.slots;
        if slot as usize >= wire::SLOTS {
            let message = format!("there are more than {} read-only tmpfs mounts", wire::SLOTS - 1);
            return Err(Error::at(origin, message));
        }
        self.slots += 1;
        Ok(slot)
    }

    /// Lets init be born in new namespaces.
    pub(super) fn born_in(&mut self, kinds: u32) {
        self.plan.namespaces |= u64::from(kinds);
    }

    /// Lets the host side make the network namespace, which init enters at the next [`enter_network`](Self::enter_network).
    pub(super) fn await_network(&mut self, origin: String, network: NewNetwork) {
        self.plan.host.network = Some(network);
        self.awaited_network = Some(origin);
    }

    /// Lets init enter the network namespace that it waits for, before a step for which that matters.
    pub(super) fn enter_network(&mut self) {
        if let Some(origin) = self.awaited_network.take() {
            self.add(origin, Step::EnterNetwork {});
        }
    }

    /// What the host side does.
    pub(super) fn host(&mut self) -> &mut HostPart {
        &mut self.plan.host
    }

    pub(super) fn finish(self) -> Plan {
        self.plan
    }
}

/// Whether init goes on after this step when it is told to.
fn waits_for_host(step: &Step<'_>) -> bool {
    match step {
        Step::Rendezvous { .. } | Step::Fork { .. } | Step::ReceiveNetDevices {} => true,
        Step::BindMount { ids, .. } => ids.is_some(),
        Step::LoadSeccomp { flags, .. } => flags & NEW_LISTENER != 0,
        _ => false,
    }
}
