//! `/linux/namespaces`: which are new, which are joined, and when.

use super::builder::{Builder, Descriptor};
use super::idmap::{MountMaps, UserIds};
use super::{Error, Facts, IdMaps, NewNetwork, Options, UserNamespace};
use crate::check::sysctl;
use crate::config::{Namespace, Spec};
use crate::wire::{Point, Step, Str};

pub(super) const USER: u32 = libc::CLONE_NEWUSER as u32;
pub(super) const MOUNT: u32 = libc::CLONE_NEWNS as u32;
pub(super) const PID: u32 = libc::CLONE_NEWPID as u32;
pub(super) const NETWORK: u32 = libc::CLONE_NEWNET as u32;
pub(super) const IPC: u32 = libc::CLONE_NEWIPC as u32;
pub(super) const UTS: u32 = libc::CLONE_NEWUTS as u32;
pub(super) const CGROUP: u32 = libc::CLONE_NEWCGROUP as u32;
pub(super) const TIME: u32 = 0x80;

/// The types of namespaces in the order in which they are joined: the user namespace first, since it is what
/// gives an unprivileged caller rights over the others, the mount namespace last, since paths change with it. (What a
/// privileged caller may join without the user namespace it joins before.)
pub(super) const KINDS: [(&str, u32); 8] = [
    ("user", USER),
    ("ipc", IPC),
    ("uts", UTS),
    ("network", NETWORK),
    ("pid", PID),
    ("time", TIME),
    ("cgroup", CGROUP),
    ("mount", MOUNT),
];

/// The `CLONE_NEW*` bit of a type.
pub(super) fn kind(name: &str) -> Option<u32> {
    KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

/// The namespaces that a configuration names, new and joined: `CLONE_NEW*` bits.
pub fn namespace_kinds(spec: &Spec) -> u32 {
    let list = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    list.filter_map(|namespace| kind(&namespace.typ)).fold(0, |kinds, kind| kinds | kind)
}

/// The namespaces to which names, kernel parameters and network devices of the configuration belong.
fn changed(spec: &Spec) -> u32 {
    let devices = spec.linux.iter().any(|linux| !linux.net_devices.is_empty());
    let devices = if devices { NETWORK } else { 0 };
    let names = if spec.hostname.is_some() || spec.domainname.is_some() { UTS } else { 0 };
    let parameters = spec.linux.iter().flat_map(|linux| linux.sysctl.keys());
    let owners = parameters.filter_map(|name| kind(sysctl::parse(name).ok()?.namespace));
    owners.fold(names | devices, |kinds, kind| kinds | kind)
}

/// The offsets of the clocks, one in each line.
fn time_offsets(spec: &Spec) -> String {
    let offsets = spec.linux.iter().flat_map(|linux| &linux.time_offsets);
    offsets.map(|(clock, offset)| format!("{clock} {} {}\n", offset.secs, offset.nanosecs)).collect()
}

/// The namespaces of a container.
pub(super) struct Namespaces<'a> {
    list: &'a [Namespace],
    /// Those in which something is changed that the host must not see.
    changed: u32,
    /// There are hooks that init runs before it is ready.
    hooks: bool,
    /// The caller's groups are kept in a user namespace.
    keep_groups: bool,
    /// The ids of the user namespace.
    pub(super) maps: IdMaps,
    /// What the clocks of a new time namespace differ by, as the kernel reads it.
    time_offsets: String,
    /// The new ones, as `CLONE_NEW*` bits.
    pub(super) new: u32,
    /// The joined ones.
    pub(super) joined: u32,
}

impl<'a> Namespaces<'a> {
    pub(super) fn of(spec: &'a Spec, keep_groups: bool) -> Result<Self, Error> {
        let list = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
        let (maps, time_offsets) = (IdMaps::of(spec), time_offsets(spec));
        let (changed, hooks) = (changed(spec), !spec.hooks.create_container.is_empty());
        let mut namespaces =
            Self { list, changed, hooks, keep_groups, maps, time_offsets, new: 0, joined: 0 };
        for (index, namespace) in list.iter().enumerate() {
            let Some(kind) = kind(&namespace.typ) else {
                return Err(Error::unknown(format!("/linux/namespaces/{index}/type"), &namespace.typ));
            };
            match namespace.path {
                Some(_) => namespaces.joined |= kind,
                None => namespaces.new |= kind,
            }
        }
        Ok(namespaces)
    }

    /// Whether the container has a namespace of this kind that is not simply the runtime's.
    pub(super) fn has(&self, kind: u32) -> bool {
        (self.new | self.joined) & kind != 0
    }

    /// The ids of the user namespace: those given, or those that the joined one has.
    pub(super) fn user_ids(&self) -> UserIds<'_> {
        let user = self.list.iter().find(|namespace| kind(&namespace.typ) == Some(USER));
        let path = user.and_then(|user| user.path.as_ref());
        UserIds { maps: &self.maps, joined: path.map(|path| MountMaps::Joined(path.into())) }
    }

    fn origin(&self, kinds: u32) -> String {
        let mut which = (0..)
            .zip(self.list)
            .filter(|(_, namespace)| kind(&namespace.typ).is_some_and(|kind| kind & kinds != 0));
        match (which.next(), which.next()) {
            (Some((index, _)), None) => format!("/linux/namespaces/{index}"),
            _ => "/linux/namespaces".to_owned(),
        }
    }

    /// Makes a new time namespace, and sets its clocks while nobody is in it: that is only after a clone or an exec. Here
    /// init's entry in procfs still belongs to its caller, who may write it; the entry of a process that has joined a user
    /// namespace does not.
    pub(super) fn time(&self, builder: &mut Builder) {
        if self.new & TIME == 0 {
            return;
        }
        builder.add(self.origin(TIME), Step::Unshare { kinds: TIME });
        if !self.time_offsets.is_empty() {
            let proc = builder.descriptor(Descriptor::Proc);
            let (path, value) = (Str::from("timens_offsets"), Str::from(self.time_offsets.as_str()));
            builder.add("/linux/timeOffsets", Step::WriteOwn { proc, path, fallback: None, value });
        }
    }

    /// Lets the host side write the ids of a new user namespace, and takes those of its root. Only then is init closed
    /// to its caller too, who might have no privilege over it otherwise.
    pub(super) fn user(&self, builder: &mut Builder) {
        if self.new & USER == 0 {
            return;
        }
        builder.host().user_namespace = Some(UserNamespace::New(self.maps.clone()));
        builder.add("/linux/uidMappings", Step::Rendezvous { point: Point::Placed as u32 });
        self.become_root(builder, self.origin(USER));
        builder.add("", Step::Undumpable {});
    }

    fn become_root(&self, builder: &mut Builder, origin: String) {
        let (uid, gid) = self.maps.root();
        builder.add(origin, Step::BecomeRoot { uid, gid, keep_groups: self.keep_groups });
    }

    /// Leaves the runtime's namespaces.
    ///
    /// Init is born in the new ones, but for the mount namespace, which it makes itself: a descriptor of another
    /// mount namespace cannot be mounted, so it has to hold the root filesystem's directory before. Where it
    /// enters its cgroup itself the cgroup namespace comes after that too, or its root would be the caller's cgroup.
    /// Where a user namespace is joined all new ones come after it, so that they belong to it. A new time namespace is
    /// there already.
    pub(super) fn plan(&self, builder: &mut Builder, facts: &Facts, options: &Options<'_>) {
        let new = self.new & !TIME;
        let mut late = match () {
            () if self.joined & USER != 0 => new,
            () if options.cgroup.files > 0 || options.cgroup.moved => new & (MOUNT | CGROUP),
            () => new & MOUNT,
        };
        // The root of an mqueue belongs to whoever makes the ipc namespace: not to the caller, whom a new user namespace may not
        // know.
        if new & USER != 0 {
            late |= new & IPC;
        }
        let clone_for_time = self.clones_for_time(facts);
        if clone_for_time {
            late |= new & PID;
        }
        let network = self.network_by_host(facts, options);
        if let Some(network) = network {
            builder.await_network(self.origin(NETWORK), network);
        }
        let by_host = network.map_or(0, |_| NETWORK);
        builder.born_in(new & !late & !by_host);
        // In a joined user namespace a privileged caller has no rights any more over namespaces that belong to others.
        if self.joined & USER != 0 {
            for (_, kind) in KINDS.into_iter().filter(|(_, kind)| *kind != USER) {
                self.join(builder, kind, true);
            }
        }
        for (_, kind) in KINDS {
            self.join(builder, kind, false);
        }
        if late != 0 {
            builder.add(self.origin(late), Step::Unshare { kinds: late });
        }
        // A process enters a pid namespace that it joins or makes by its next child only, and the procfs that is
        // mounted later shows the one it is in.
        if (self.joined | late) & PID != 0 || clone_for_time {
            let origin = if clone_for_time { TIME } else { PID };
            builder.add(self.origin(origin), Step::Fork { cgroup: None });
            builder.host().forks = true;
        }
        // Changed credentials and the second clone have both cleared it.
        if self.joined & USER != 0 || builder.host().forks {
            builder.add("", Step::DieWithParent {});
        }
    }

    /// The network namespace, where the host side can make it, and send it while init works: its thread goes there, so it must be free to
    /// and able to come back, and init must not wait for any other message before.
    fn network_by_host(&self, facts: &Facts, options: &Options<'_>) -> Option<NewNetwork> {
        let comes_back = options.command && facts.may_mount && facts.in_first_user_namespace;
        let waits = options.cgroup.moved || self.joined & PID != 0 || self.clones_for_time(facts);
        let may = comes_back && !self.has(USER) && !waits;
        // Names and parameters of the network come before its loopback interface.
        let network = NewNetwork { loopback: self.changed & NETWORK == 0, hooks: self.hooks };
        (may && self.new & NETWORK != 0).then_some(network)
    }

    /// Older kernels let a process enter its time namespace by a clone alone.
    fn clones_for_time(&self, facts: &Facts) -> bool {
        self.new & TIME != 0 && !facts.time_by_exec
    }

    fn join(&self, builder: &mut Builder, kind: u32, early: bool) {
        for (index, namespace) in self.list.iter().enumerate() {
            let Some(path) = namespace.path.as_ref().filter(|_| self::kind(&namespace.typ) == Some(kind))
            else {
                continue;
            };
            let origin = format!("/linux/namespaces/{index}");
            let target = builder.descriptor(Descriptor::Namespace {
                path: path.into(),
                kind,
                changed: self.changed & kind != 0,
            });
            builder.add(origin.clone(), Step::Setns { target, kinds: kind, early });
            if kind == USER {
                self.become_root(builder, origin);
                if !self.maps.is_empty() {
                    builder.host().user_namespace = Some(UserNamespace::Joined(self.maps.clone()));
                    builder.add("/linux/uidMappings", Step::Rendezvous { point: Point::Placed as u32 });
                }
            }
        }
    }
}
