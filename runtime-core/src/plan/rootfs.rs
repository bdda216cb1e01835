//! `/root`, `/linux/devices`, `/linux/maskedPaths`, `/linux/readonlyPaths`, `/linux/rootfsPropagation`: the root
//! filesystem around the mounts.

use std::borrow::Cow;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::builder::{Bind, Builder, Descriptor};
use super::labels::MountLabel;
use super::mounts::{set, setting};
use super::namespaces::{MOUNT, Namespaces, USER};
use super::options::{self, READ_ONLY};
use super::paths::clean;
use super::process::strings;
use super::{Error, Facts, Options};
use crate::config::{Device, Spec};
use crate::wire::{Attrs, List, Step, Str};

/// The devices that every container has, with their minor numbers under the major numbers 1 and 5.
const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

const LINKS: [(&str, &str); 5] = [
    ("/dev/ptmx", "pts/ptmx"),
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
];

/// How the root filesystem becomes the root, and what mounts it is tied to.
pub(super) struct Root<'a> {
    spec: &'a Spec,
    /// Where the mount namespace comes from.
    home: Home,
    /// Device nodes cannot be made in a user namespace.
    bind_devices: bool,
    /// `MS_*` of rootfsPropagation, or 0.
    propagation: u32,
}

/// A mount namespace: the container's own, or one where others are too, whose root stays theirs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Home {
    Own,
    Joined,
    Runtime,
}

const PROPAGATION: &str = "/linux/rootfsPropagation";

impl<'a> Root<'a> {
    pub(super) fn of(spec: &'a Spec, facts: &Facts, namespaces: &Namespaces<'_>) -> Result<Self, Error> {
        let wanted = spec.linux.as_ref().and_then(|linux| linux.rootfs_propagation.as_deref());
        let propagation = match wanted {
            None => 0,
            Some(word) => options::propagation(word).ok_or_else(|| Error::unknown(PROPAGATION, word))?,
        };
        let home = match () {
            () if namespaces.new & MOUNT != 0 => Home::Own,
            () if namespaces.joined & MOUNT != 0 => Home::Joined,
            () => Home::Runtime,
        };
        let bind_devices = namespaces.has(USER) || !facts.in_first_user_namespace;
        Ok(Self { spec, home, bind_devices, propagation })
    }

    fn shared(&self) -> bool {
        self.propagation & libc::MS_SHARED as u32 != 0
    }

    /// Holds the root filesystem's directory, while init is still in the mount namespace of its descriptor.
    pub(super) fn hold(&self, builder: &mut Builder) {
        if self.home != Home::Joined {
            let dir = builder.descriptor(Descriptor::Rootfs);
            builder.add("/root/path", Step::EnterRootfs { dir });
        }
    }

    /// Cuts the new mount namespace off from the host's and mounts the root filesystem in it. In a namespace of others
    /// the mount is cut off.
    ///
    /// Mounts stay slaves of the host's by default: what the host mounts or unmounts later is seen, and nothing comes
    /// back. The mount of the root itself is private then, since an image's directories are no places for the host's mounts.
    /// With shared propagation mounts stay peers, so that a bind of them may be one; then the mount below the root
    /// filesystem is made private, or mounting the root would show on the host.
    pub(super) fn take(&self, builder: &mut Builder, options: &Options<'_>) {
        if self.home == Home::Joined {
            let given = self.spec.root.as_ref().map_or("", |root| root.path.as_str());
            let path = options.bundle.join(given);
            let path = Str::new(path.as_os_str().as_bytes());
            builder.add("/root/path", Step::EnterPath { path });
        }
        if self.home != Home::Own {
            let propagation = (libc::MS_PRIVATE | libc::MS_REC) as u32;
            let attrs = Attrs { propagation, ..Attrs::default() };
            builder.add("/root/path", Step::TakeRoot { attrs });
            return;
        }
        let (private, slave, rec) = (libc::MS_PRIVATE as u32, libc::MS_SLAVE as u32, libc::MS_REC as u32);
        let (flags, attrs) = if self.shared() {
            (self.propagation, Attrs { propagation: private, ..Attrs::default() })
        } else if self.propagation == 0 {
            (slave | rec, Attrs { propagation: private, ..Attrs::default() })
        } else if self.propagation & slave != 0 {
            (slave | rec, Attrs::default())
        } else {
            (private | rec, Attrs { propagation: private | rec, ..Attrs::default() })
        };
        builder.add(PROPAGATION, Step::Propagation { path: Str::from("/"), flags });
        if self.shared() {
            builder.add(PROPAGATION, Step::PrivateParent {});
        }
        builder.add("/root/path", Step::TakeRoot { attrs });
    }

    /// Makes sure that no image leads what is mounted or made at these places elsewhere.
    pub(super) fn real_directories(builder: &mut Builder) {
        for (path, create) in [("/dev", true), ("/proc", false), ("/sys", false)] {
            builder.add("", Step::RealDirectory { path: Str::from(path), create });
        }
    }

    /// Devices and links, unless `/dev` is somebody else's.
    pub(super) fn devices(&self, builder: &mut Builder, facts: &Facts) -> Result<(), Error> {
        if self.spec.mounts.iter().any(|mount| mount.is_bind() && clean(&mount.destination) == "/dev") {
            return Ok(());
        }
        let wanted = self.spec.linux.as_ref().map_or(&[][..], |linux| &linux.devices);
        let paths: Vec<String> = wanted.iter().map(|device| clean(&device.path)).collect();
        for (path, major, minor) in DEFAULT_DEVICES {
            if !paths.iter().any(|other| other == path) {
                let mode = libc::S_IFCHR | 0o666;
                let node = Step::MakeNode { path: Str::from(path), mode, major, minor, uid: 0, gid: 0 };
                self.device(builder, "".into(), path, node);
            }
        }
        for (index, (device, path)) in wanted.iter().zip(&paths).enumerate() {
            // The link to the container's own devpts stands for it.
            if path != "/dev/ptmx" {
                let at = format!("/linux/devices/{index}");
                let node = node(device, path, &at)?;
                self.device(builder, at.into(), path, node);
            }
        }
        let kcore = facts.kcore.then_some(("/dev/core", "/proc/kcore"));
        for (path, target) in LINKS.into_iter().chain(kcore) {
            builder.add("", Step::MakeSymlink { target: Str::from(target), path: Str::from(path) });
        }
        Ok(())
    }

    fn device(&self, builder: &mut Builder, origin: Cow<'static, str>, path: &str, node: Step<'_>) {
        let fifo = matches!(node, Step::MakeNode { mode, .. } if mode & libc::S_IFMT == libc::S_IFIFO);
        if self.bind_devices && !fifo {
            let bind = Bind { source: Path::new(path), target: path, nofollow: true, ..Bind::default() };
            builder.bind(origin, &bind);
        } else {
            builder.add(origin, node);
        }
    }

    /// What must not be written, then what must not be seen.
    pub(super) fn restrict(&self, builder: &mut Builder, options: &Options<'_>) {
        let Some(linux) = &self.spec.linux else { return };
        if !linux.readonly_paths.is_empty() {
            let paths = strings(&linux.readonly_paths);
            builder.add("/linux/readonlyPaths", Step::Readonly { paths: List::Items(&paths) });
        }
        if !linux.masked_paths.is_empty() {
            let paths = strings(&linux.masked_paths);
            // What is mounted on a shared mount of the host's would be so on the host too.
            let aside = self.home == Home::Own && !self.shared() && !options.no_pivot;
            let context = MountLabel::of(self.spec).map(MountLabel::option);
            let label = context.as_deref().map(setting);
            builder.add("/linux/maskedPaths", Step::Mask { paths: List::Items(&paths), label, aside });
        }
    }

    /// Leaves the host's tree. A root cannot be pivoted to while it is shared, so its propagation comes after.
    pub(super) fn pivot(&self, builder: &mut Builder, options: &Options<'_>) {
        if self.home != Home::Own {
            builder.add("/root/path", Step::Chroot {});
        } else if options.no_pivot {
            if self.shared() {
                // What is unmounted below, or moved onto, a shared mount is so on the host too.
                let flags = libc::MS_SLAVE as u32;
                builder.add(PROPAGATION, Step::Propagation { path: Str::from("/"), flags });
            }
            let proc = builder.descriptor(Descriptor::Proc);
            builder.add("/root/path", Step::MoveRoot { proc });
        } else {
            builder.add("/root/path", Step::PivotRoot { isolate: self.shared() });
        }
        if self.propagation != 0 {
            builder.add(PROPAGATION, Step::Propagation { path: Str::from("/"), flags: self.propagation });
        }
    }

    /// The root itself becomes read-only when everything has been made in it.
    pub(super) fn settle(&self, builder: &mut Builder) {
        if self.spec.root.as_ref().is_some_and(|root| root.readonly) {
            builder.add("/root/readonly", Step::MountSetattr { slot: 0, attrs: set(READ_ONLY.set) });
        }
    }
}

fn node<'a>(device: &Device, path: &'a str, at: &str) -> Result<Step<'a>, Error> {
    let kind = match device.typ.as_str() {
        "c" | "u" => libc::S_IFCHR,
        "b" => libc::S_IFBLK,
        "p" => libc::S_IFIFO,
        other => return Err(Error::unknown(format!("{at}/type"), other)),
    };
    let number = |number: Option<i64>, name: &str| match number {
        _ if kind == libc::S_IFIFO => Ok(0),
        Some(number) => u32::try_from(number)
            .map_err(|_| Error::at(format!("{at}/{name}"), format!("{number} is not a device number"))),
        None => Err(Error::at(format!("{at}/{name}"), "the device number is missing")),
    };
    Ok(Step::MakeNode {
        path: Str::from(path),
        mode: kind | device.file_mode.unwrap_or(0o666) & 0o7777,
        major: number(device.major, "major")?,
        minor: number(device.minor, "minor")?,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}
