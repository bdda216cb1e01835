//! `/linux/namespaces`: which are new, which are joined, and when.

use super::builder::{Builder, Descriptor};
use super::{Error, Options};
use crate::check::sysctl;
use crate::config::{Namespace, Spec};
use crate::wire::Step;

pub(super) const USER: u32 = libc::CLONE_NEWUSER as u32;
pub(super) const MOUNT: u32 = libc::CLONE_NEWNS as u32;
pub(super) const PID: u32 = libc::CLONE_NEWPID as u32;
pub(super) const NETWORK: u32 = libc::CLONE_NEWNET as u32;
pub(super) const IPC: u32 = libc::CLONE_NEWIPC as u32;
pub(super) const UTS: u32 = libc::CLONE_NEWUTS as u32;
pub(super) const CGROUP: u32 = libc::CLONE_NEWCGROUP as u32;
pub(super) const TIME: u32 = 0x80;

/// The types of namespaces in the order in which they are joined: the user namespace first, since it is what
/// gives an unprivileged caller rights over the others, the mount namespace last, since paths change with it.
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

/// The namespaces to which names and kernel parameters of the configuration belong.
fn changed(spec: &Spec) -> u32 {
    let names = if spec.hostname.is_some() || spec.domainname.is_some() { UTS } else { 0 };
    let parameters = spec.linux.iter().flat_map(|linux| linux.sysctl.keys());
    let owners = parameters.filter_map(|name| kind(sysctl::parse(name).ok()?.namespace));
    owners.fold(names, |kinds, kind| kinds | kind)
}

/// The namespaces of a container.
pub(super) struct Namespaces<'a> {
    list: &'a [Namespace],
    /// Those in which something is changed that the host must not see.
    changed: u32,
    /// The new ones, as `CLONE_NEW*` bits.
    pub(super) new: u32,
    /// The joined ones.
    pub(super) joined: u32,
}

impl<'a> Namespaces<'a> {
    pub(super) fn of(spec: &'a Spec) -> Result<Self, Error> {
        let list = spec.linux.as_ref().map_or(&[][..], |linux| &linux.namespaces);
        let mut namespaces = Self { list, changed: changed(spec), new: 0, joined: 0 };
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

    fn origin(&self, kinds: u32) -> String {
        let mut which = (0..)
            .zip(self.list)
            .filter(|(_, namespace)| kind(&namespace.typ).is_some_and(|kind| kind & kinds != 0));
        match (which.next(), which.next()) {
            (Some((index, _)), None) => format!("/linux/namespaces/{index}"),
            _ => "/linux/namespaces".to_owned(),
        }
    }

    /// Leaves the runtime's namespaces.
    ///
    /// Init is born in the new ones, but for the mount namespace, which it makes itself: a descriptor of another
    /// mount namespace cannot be mounted, so it has to hold the root filesystem's directory before. Where it
    /// enters its cgroup itself the cgroup namespace comes after that too, or its root would be the caller's cgroup.
    /// Where a user namespace is joined all new ones come after it, so that they belong to it.
    pub(super) fn plan(&self, builder: &mut Builder, options: &Options<'_>) {
        let late = match () {
            () if self.joined & USER != 0 => self.new,
            () if options.cgroup.files > 0 => self.new & (MOUNT | CGROUP),
            () => self.new & MOUNT,
        };
        builder.born_in(self.new & !late);
        for (_, kind) in KINDS {
            self.join(builder, kind);
        }
        if late != 0 {
            builder.add(self.origin(late), Step::Unshare { kinds: late });
        }
        // A process enters a pid namespace that it joins or makes by its next child only, and the procfs that is
        // mounted later shows the one it is in.
        if (self.joined | late) & PID != 0 {
            builder.add(self.origin(PID), Step::Fork { cgroup: None });
            builder.host().forks = true;
        }
        // Changed credentials and the second clone have both cleared it.
        if self.joined & USER != 0 || builder.host().forks {
            builder.add("", Step::DieWithParent {});
        }
    }

    fn join(&self, builder: &mut Builder, kind: u32) {
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
            builder.add(origin.clone(), Step::Setns { target, kinds: kind });
            if kind == USER {
                builder.add(origin, Step::BecomeRoot {});
            }
        }
    }
}
