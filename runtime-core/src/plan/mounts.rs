//! `/mounts`: each entry becomes one step, or a few for the cgroup hierarchies.

use std::path::Path;

use super::builder::{Bind, Builder};
use super::idmap::UserIds;
use super::labels::{self, MountLabel};
use super::namespaces::{MOUNT, Namespaces};
use super::options::{self, READ_ONLY, SUPERBLOCK};
use super::paths::{below, clean, within};
use super::{Error, MountIds, Options, cgroup_mount};
use crate::config::{Mount, Spec};
use crate::wire::{Attrs, List, Setting, Step, Str};

const ROOT: &str = "/";

/// What may be mounted over a file of procfs: those that lxcfs and the like imitate, and of which nothing that the
/// runtime does depends.
const OVER_PROC: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// File systems that are the same in every network namespace.
const BLIND: [&str; 4] = ["proc", "tmpfs", "devpts", "mqueue"];

/// The longest value that `fsconfig(2)` takes.
const LONGEST_VALUE: usize = 255;

/// What `mount(2)` reads of its options: a page with its terminating NUL.
const LONGEST_DATA: usize = 4095;

/// A mount that is made writable and becomes read-only when everything has been made below it.
pub(super) struct Deferred {
    origin: String,
    slot: u32,
}

impl Deferred {
    pub(super) fn settle(&self, builder: &mut Builder) {
        builder.add(self.origin.clone(), Step::MountSetattr { slot: self.slot, attrs: READ_ONLY });
    }
}

/// One entry of `/mounts`, read.
pub(super) struct Entry<'a> {
    pub(super) mount: &'a Mount,
    pub(super) at: String,
    pub(super) target: String,
    pub(super) options: options::Options<'a>,
}

/// What bind mounts depend on.
pub(super) struct Surroundings<'a> {
    pub(super) bundle: &'a Path,
    /// The root file system's own path, where it is known.
    pub(super) root: Option<&'a str>,
    pub(super) ids: UserIds<'a>,
}

/// The clean path of the root file system on the host.
pub(super) fn root_path(spec: &Spec, bundle: &Path) -> Option<String> {
    let given = spec.root.as_ref().map_or("", |root| root.path.as_str());
    bundle.join(given).to_str().map(clean)
}

/// A warning of each destination that begins with the root file system's own path, which is left out.
pub(crate) fn stripped_destinations(spec: &Spec, bundle: &Path) -> Vec<String> {
    let Some(root) = root_path(spec, bundle) else { return Vec::new() };
    let all = (0..).zip(&spec.mounts).filter_map(|(index, mount): (usize, _)| {
        let target = clean(&mount.destination);
        let inside = within(&target, &root)?;
        Some(format!("/mounts/{index}/destination: {target:?} is taken as {inside:?}, as it begins with the root's own path"))
    });
    all.collect()
}

/// Mounts the root file system, where the first of the mounts is that.
pub(super) fn root(
    builder: &mut Builder,
    spec: &Spec,
    namespaces: &Namespaces<'_>,
    options: &Options<'_>,
) -> Result<Option<Deferred>, Error> {
    let Some(mount) = spec.mounts.first().filter(|_| has_root(spec)) else { return Ok(None) };
    builder.enter_network();
    let own = root_path(spec, options.bundle);
    let entry = Entry::parse(mount, "/mounts/0".to_owned(), None)?;
    let refuse = |why: &str| Err(Error::at(format!("{}/destination", entry.at), why));
    if namespaces.new & MOUNT == 0 {
        return refuse("the root can be a mount in a mount namespace of the container's own alone");
    }
    match mount.typ.as_deref() {
        _ if entry.options.remount => refuse("nothing is mounted there yet"),
        _ if entry.is_bind() => {
            let around = Surroundings::of(options, namespaces, own.as_deref());
            entry.bind(builder, &around).map(|()| None)
        }
        Some("proc" | "sysfs" | "cgroup") | None => refuse("this is no file system for a root"),
        Some(fstype) => entry.filesystem(builder, fstype, MountLabel::of(spec), false),
    }
}

/// Whether the first mount is the root file system.
fn has_root(spec: &Spec) -> bool {
    spec.mounts.first().is_some_and(|mount| clean(&mount.destination) == ROOT)
}

/// Makes the mounts in their order.
pub(super) fn plan(
    builder: &mut Builder,
    spec: &Spec,
    namespaces: &Namespaces<'_>,
    options: &Options<'_>,
) -> Result<Vec<Deferred>, Error> {
    let label = MountLabel::of(spec);
    let root = root_path(spec, options.bundle);
    let around = Surroundings::of(options, namespaces, root.as_deref());
    let mut deferred = Vec::new();
    for (index, mount) in spec.mounts.iter().enumerate().skip(has_root(spec).into()) {
        let entry = Entry::read(mount, format!("/mounts/{index}"), root.as_deref())?;
        if entry.is_bind() || !mount.typ.as_deref().is_some_and(|typ| BLIND.contains(&typ)) {
            builder.enter_network();
        }
        match mount.typ.as_deref() {
            _ if entry.options.remount => entry.remount(builder)?,
            _ if entry.is_bind() => entry.bind(builder, &around)?,
            Some("cgroup") => cgroup_mount::plan(builder, &entry, namespaces, options, label)?,
            Some(fstype) => deferred.extend(entry.filesystem(builder, fstype, label, false)?),
            None => {
                let error = Error::at(format!("{}/type", entry.at), "the filesystem type is missing");
                return Err(error.hint("for a bind mount give the option bind or rbind"));
            }
        }
    }
    builder.enter_network();
    Ok(deferred)
}

impl<'a> Surroundings<'a> {
    fn of(options: &Options<'a>, namespaces: &'a Namespaces<'_>, root: Option<&'a str>) -> Self {
        Self { bundle: options.bundle, root, ids: namespaces.user_ids() }
    }
}

impl<'a> Entry<'a> {
    /// Reads an entry for a container whose root file system has the path `root` on the host.
    pub(super) fn read(mount: &'a Mount, at: String, root: Option<&str>) -> Result<Self, Error> {
        let entry = Self::parse(mount, at, root)?;
        entry.allowed()?;
        Ok(entry)
    }

    fn parse(mount: &'a Mount, at: String, root: Option<&str>) -> Result<Self, Error> {
        let options = options::Options::parse(&mount.options);
        let target = clean(&mount.destination);
        // Some callers give the path on the host.
        let target = match root.and_then(|root| within(&target, root)) {
            Some(inside) => inside.to_owned(),
            None => target,
        };
        let entry = Self { mount, at, target, options };
        entry.consistent()?;
        Ok(entry)
    }

    pub(super) fn is_bind(&self) -> bool {
        self.options.bind.is_some() || self.mount.typ.as_deref() == Some("bind")
    }

    /// The runtime's own work, and the kernel's view of a process of itself, depend on a procfs that is one.
    fn allowed(&self) -> Result<(), Error> {
        let destination = &self.target;
        let refuse = |why| {
            Err(Error::at(
                format!("{}/destination", self.at),
                format!("{destination:?} cannot be mounted because {why}"),
            ))
        };
        if destination == ROOT {
            return refuse("it is the root, which only the first of all mounts can be");
        }
        if destination == "/proc" {
            let host_proc = self.mount.source.as_deref().is_some_and(|source| clean(source) == "/proc");
            let is_proc = if self.is_bind() { host_proc } else { self.mount.typ.as_deref() == Some("proc") };
            return if is_proc { Ok(()) } else { refuse("it is not of type proc") };
        }
        if below(destination, "/proc") && !OVER_PROC.contains(&destination.as_str()) {
            return refuse("it is inside /proc");
        }
        Ok(())
    }

    /// Mapped ids come from the mount's own fields or from an option with its value.
    fn consistent(&self) -> Result<(), Error> {
        let mapped = self.options.idmap.is_some() || !self.mount.uid_mappings.is_empty();
        if mapped && !self.is_bind() {
            let message = "only the ids of a bind mount can be mapped";
            return Err(Error::at(format!("{}/options", self.at), message));
        }
        Ok(())
    }

    /// Whether links on the way to the target are refused: nothing that an image says may lead a mount of the
    /// kernel's own files, or one over them, elsewhere.
    fn nofollow(&self) -> bool {
        let of_kernel = |directory| self.target == directory || below(&self.target, directory);
        of_kernel("/proc") || of_kernel("/sys") || matches!(self.mount.typ.as_deref(), Some("proc" | "sysfs"))
    }

    pub(super) fn bind(&self, builder: &mut Builder, around: &Surroundings<'_>) -> Result<(), Error> {
        let Some(source) = &self.mount.source else {
            return Err(Error::at(format!("{}/source", self.at), "a bind mount needs a source"));
        };
        // The check has warned of settings of a filesystem, which have no effect here.
        if let Some(word) = self.options.data.iter().find(|word| !word.contains('=')) {
            let message = format!("{word:?} is not an option of a bind mount");
            return Err(Error::at(format!("{}/options", self.at), message));
        }
        let source = around.bundle.join(source);
        // Mounts that come before this one are part of such a source, and nobody but init sees them.
        let inside = source.to_str().map(clean).zip(around.root);
        let inside = inside.as_ref().and_then(|(source, root)| within(source, root));
        let bind = Bind {
            source: inside.map_or(&source, Path::new),
            inside: inside.is_some(),
            source_link: self.options.source_link,
            recursive: self.options.bind == Some(true),
            attrs: self.options.bind_attrs(),
            ids: MountIds::of(self, &around.ids)?,
            target: &self.target,
            nofollow: self.nofollow(),
            target_link: self.options.target_link,
            copy_link: self.options.copy_link,
            keep: (self.target == ROOT).then_some(0),
        };
        builder.bind(self.at.clone(), &bind);
        Ok(())
    }

    /// Makes a file system; `running`: in a container whose payload may be at it already.
    pub(super) fn filesystem(
        &self,
        builder: &mut Builder,
        fstype: &str,
        label: Option<MountLabel<'_>>,
        running: bool,
    ) -> Result<Option<Deferred>, Error> {
        // A label of the mount's own is the one that it gets.
        let label = label.filter(|_| !self.settings().into_iter().any(labels::is_label));
        let context = label.and_then(|label| label.context(fstype));
        let attribute = label.and_then(|label| label.attribute(fstype));
        let mut words = self.settings();
        words.extend(context.as_deref());
        let is_root = self.target == ROOT;
        let only_mount_can = self.options.superblock & libc::MS_I_VERSION != 0;
        let mut settings: Vec<Setting<'_>> = words.iter().map(|word| setting(word)).collect();
        if is_root && fstype == "overlay" {
            settings = settings.into_iter().flat_map(layers).collect();
        }
        let long =
            |setting: &Setting<'_>| setting.value.is_some_and(|value| value.bytes().len() > LONGEST_VALUE);
        if !is_root && (only_mount_can || settings.iter().any(long)) {
            self.mount_data(builder, fstype, 0, context.as_deref())?;
            return Ok(None);
        }

        // Mounts, devices and the working directory may have to be made below these, or a label put on them; in a running
        // container they may not be writable for a moment.
        let written_to = fstype == "tmpfs" || self.target == "/dev" || is_root || attribute.is_some();
        let defer = !running && self.options.read_only() && written_to;
        let slot = match () {
            () if is_root => Some(0),
            () if defer || attribute.is_some() => Some(builder.slot(&self.at)?),
            () => None,
        };
        let mut attrs = self.options.attrs;
        let mut superblock = self.options.superblock;
        if defer {
            attrs.set &= !READ_ONLY.set;
        } else if self.options.read_only() {
            superblock |= libc::MS_RDONLY;
        }
        let flags =
            SUPERBLOCK.iter().filter(|(flag, _)| superblock & flag != 0).map(|(_, word)| setting(word));
        let all: Vec<Setting<'_>> = flags.chain(settings).collect();
        let step = Step::MountFs {
            fstype: Str::from(fstype),
            source: self.mount.source.as_deref().map(Str::from),
            options: List::Items(&all),
            attrs,
            keep_mode: fstype == "tmpfs" && !words.iter().any(|word| word.starts_with("mode=")),
            target: Str::from(self.target.as_str()),
            nofollow: self.nofollow(),
            keep: slot,
            copy_up: self.options.copy_up,
        };
        builder.add(self.at.clone(), step);
        if let (Some(slot), Some(label)) = (slot, attribute) {
            builder.add("/linux/mountLabel", Step::Label { slot, label: Str::from(label) });
        }
        Ok(slot.filter(|_| defer).map(|slot| Deferred { origin: self.at.clone(), slot }))
    }

    /// Changes the mount that is at the target: its superblock, or with `bind` its own attributes alone.
    fn remount(&self, builder: &mut Builder) -> Result<(), Error> {
        let bind = if self.options.bind.is_some() { libc::MS_BIND } else { 0 };
        self.mount_data(builder, self.mount.typ.as_deref().unwrap_or("none"), libc::MS_REMOUNT | bind, None)
    }

    fn mount_data(
        &self,
        builder: &mut Builder,
        fstype: &str,
        flags: u64,
        context: Option<&str>,
    ) -> Result<(), Error> {
        // A label has commas of its own.
        let context = context.map(|context| context.replacen('=', "=\"", 1) + "\"");
        let words = self.options.data.iter().copied().chain(context.as_deref());
        let data = words.collect::<Vec<_>>().join(",");
        if data.len() > LONGEST_DATA {
            let message = format!("the options are {} bytes long; mount(2) reads {LONGEST_DATA}", data.len());
            return Err(Error::at(format!("{}/options", self.at), message));
        }
        let read_only = if self.options.read_only() { libc::MS_RDONLY } else { 0 };
        let step = Step::MountData {
            fstype: Str::from(fstype),
            source: Str::from(self.mount.source.as_deref().unwrap_or("none")),
            flags: flags | self.options.superblock | read_only,
            data: Str::from(data.as_str()),
            attrs: self.options.attrs,
            target: Str::from(self.target.as_str()),
        };
        builder.add(self.at.clone(), step);
        Ok(())
    }

    /// The filesystem's own options, one by one: mount(2) takes them with commas between them, so one word of the
    /// configuration may hold several. A backslash takes the comma its meaning, as overlayfs has it; so do quotes, as
    /// SELinux has it for labels.
    pub(super) fn settings(&self) -> Vec<&'a str> {
        let mut settings = Vec::new();
        for word in &self.options.data {
            let (mut escaped, mut quoted) = (false, false);
            let parts = word.split(move |letter| {
                quoted ^= letter == '"';
                let separates = letter == ',' && !escaped && !quoted;
                escaped = letter == '\\' && !escaped;
                separates
            });
            settings.extend(parts.filter(|part| !part.is_empty()));
        }
        settings
    }
}

/// Gives the payload a directory of the runtime's, in which it can send but change nothing.
pub(super) fn notify(builder: &mut Builder, source: &Path, target: &str) {
    let attrs = set(READ_ONLY.set | options::HARMLESS);
    builder.bind("", &Bind { source, attrs, target, ..Bind::default() });
}

/// Lower directories of an overlay one by one, where they are too long for one value; kernels from 6.8 on take them so. Two
/// colons set off layers that have data alone.
fn layers(setting: Setting<'_>) -> Vec<Setting<'_>> {
    let value = setting.value.map_or(&[][..], |value| value.bytes());
    let text = std::str::from_utf8(value).unwrap_or_default();
    // A backslash takes the colon its meaning.
    if setting.key.bytes() != b"lowerdir" || value.len() <= LONGEST_VALUE || text.contains('\\') {
        return vec![setting];
    }
    let layer = |key, path| Setting { key: Str::from(key), value: Some(Str::from(path)) };
    let mut parts = text.split("::");
    let lower = parts.next().unwrap_or_default().split(':').map(|path| layer("lowerdir+", path));
    lower.chain(parts.map(|path| layer("datadir+", path))).collect()
}

/// One option of a filesystem. The quotes around a label are not part of it.
pub(super) fn setting(word: &str) -> Setting<'_> {
    match word.split_once('=') {
        Some((key, value)) if labels::is_label(word) => {
            Setting { key: Str::from(key), value: Some(Str::from(value.trim_matches('"'))) }
        }
        Some((key, value)) => Setting { key: Str::from(key), value: Some(Str::from(value)) },
        None => Setting { key: Str::from(word), value: None },
    }
}

/// Attributes to set on a mount.
pub(super) fn set(bits: u32) -> Attrs {
    Attrs { set: bits, ..Attrs::default() }
}
