//! `create`: from a bundle to a container whose payload waits for `start`.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc::SIGKILL;
use nix::unistd::{geteuid, pipe2};

use super::rootfs::Rootfs;
use super::start::Held;
use super::{Container, Exit, Resctrl, Runtime, Status, agent, delete, end, notify};
use crate::bundle::Bundle;
use crate::cgroup::{self, Placement, Scope};
use crate::check::Checked;
use crate::config::{Annotations, Hook, Hooks, Namespace, Resources, Seccomp};
use crate::error::Error;
use crate::host::{self, Host};
use crate::id::Id;
use crate::launch::descriptors::Sources;
use crate::launch::gate::{self, GATE};
use crate::launch::handshake::{self, Call, Stop};
use crate::launch::net_devices::{self, Moved};
use crate::launch::{self, Child, Payload, hooks, id_maps, tree};
use crate::plan::{self, Descriptor, HookState, IdMaps, Plan};
use crate::seccomp;
use crate::state::{Creator, Entry, Identity, Init, KeptConfig, Record, Store, VERSION};
use crate::timestamp::rfc3339;
use crate::wire::{Order, Point};

/// How a container is made.
#[derive(Debug, Default)]
pub struct CreateOptions<'a> {
    /// The payload's standard input, output and error; the caller's where absent.
    pub stdio: Option<[BorrowedFd<'a>; 3]>,
    /// What becomes descriptors 3, 4, … of the payload, in this order.
    pub inherit: Vec<BorrowedFd<'a>>,
    /// Variables added to the payload's environment, `NAME=value` each.
    pub extra_env: Vec<String>,
    /// Make the root by moving its mount instead of pivot_root(2), which a root on a ramdisk needs. Less safe: the host's mounts
    /// stay below it, and a payload with `CAP_SYS_ADMIN` can uncover them.
    pub no_pivot: bool,
    /// Leave the payload in the caller's session keyring.
    pub no_new_keyring: bool,
    /// What the payload waits for.
    pub start: Start,
    /// Give the payload a `NOTIFY_SOCKET`, for a `start` that waits until it is ready.
    pub notify_socket: bool,
    /// Who makes the container's cgroup.
    pub cgroup_driver: CgroupDriver,
    /// For systemd: the address of the bus on which it is, where that is not the usual one.
    pub bus: Option<&'a str>,
    /// Whether a container without limits may do without a cgroup, where the caller has no right to make one; absent for callers
    /// who are not root, or root of a user namespace only.
    pub rootless: Option<bool>,
    /// The environment of hooks that give none.
    pub hook_env: Vec<String>,
    /// The calling process does nothing but this, so that a forced delete of a container in the making may end it.
    pub command: bool,
}

/// What the payload of a new container waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// A [`start`](Container::start) by whomever, at a gate.
    #[default]
    AtGate,
    /// The [`start`](Container::start) of the value that `create` returns. Until then the container counts as being made, and it ends
    /// with that value and with the calling thread.
    ByCreator,
    /// Nothing, where nobody has to be asked or told anything before; then [`start`](Container::start) of the value that `create` returns
    /// only says what has come of it. Elsewhere as with `ByCreator`.
    AtOnce,
}

/// Who makes the container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CgroupDriver {
    /// The library, by the cgroup file systems.
    #[default]
    Cgroupfs,
    /// systemd.
    Systemd,
}

impl Runtime {
    /// Makes a container of a bundle. Its payload waits for [`Container::start`].
    ///
    /// # Errors
    /// Every fault of the config that can be found without running the payload, with its JSON pointer; nothing is left behind.
    pub fn create(&self, id: &Id, bundle: &Bundle, options: &CreateOptions<'_>) -> Result<Container, Error> {
        let draft = Draft::new(id, bundle, options)?;
        let rootfs = Rootfs::open(bundle, &self.root)?;
        let record = intent(&draft, &rootfs)?;
        let store = Store::make(&self.root)?;
        let (entry, lock) = store.claim(id, &record, &kept_config(&draft)?)?;
        let mut making =
            Making { draft, entry: &entry, record, written: None, rootfs, pidfd: None, moved: None };
        let made = making.make();
        let Making { record, written, pidfd, moved, .. } = making;
        match made {
            Ok((terminal, held)) => {
                drop(lock);
                let (store, cgroup) = (Arc::new(store), record.cgroup.closed());
                let record = Record { cgroup, ..record };
                // Not of a container that others start and delete.
                let written = written.filter(|_| held.is_some() && options.command);
                let container = Container::new(store, id.clone(), entry, record);
                Ok(Container { written, pidfd, terminal, held, ..container })
            }
            Err(error) => {
                if let Some(moved) = moved {
                    moved.give_back();
                }
                if let Err(error) = delete::destroy(&store, id, &entry, &record, lock) {
                    log::warn!("after a failed create: {error}");
                }
                Err(error)
            }
        }
    }

    /// The plan that [`create`](Self::create) would follow. Makes nothing and needs no privileges.
    ///
    /// # Errors
    /// The faults of the config.
    pub fn plan(&self, id: &Id, bundle: &Bundle, options: &CreateOptions<'_>) -> Result<Plan, Error> {
        let draft = Draft::new(id, bundle, options)?;
        let cgroup = draft.cgroup()?;
        let notify_dir = options.notify_socket.then(|| self.root.join(id.as_str()).join(notify::NOTIFY));
        draft.plan(&cgroup, cgroup.files(), notify_dir.as_deref())
    }
}

/// A container in the making.
struct Making<'a> {
    draft: Draft<'a>,
    entry: &'a Entry,
    record: Record,
    /// The record's file, once it has been replaced.
    written: Option<File>,
    rootfs: Rootfs,
    pidfd: Option<OwnedFd>,
    /// Network devices of the host that are the container's now.
    moved: Option<Moved>,
}

impl Making<'_> {
    /// Everything from the claimed id to the committed container. Returns the master of the payload's terminal, and what it
    /// takes to start the container where nobody else can.
    fn make(&mut self) -> Result<(Option<OwnedFd>, Option<Held>), Error> {
        self.make_cgroup()?;
        let rdt = self.draft.config.spec().linux.as_ref().and_then(|linux| linux.intel_rdt.as_ref());
        if let (Some(resctrl), Some(rdt)) = (&self.record.resctrl, rdt) {
            resctrl.make(rdt)?;
        }
        let notify_dir = self.draft.options.notify_socket.then(|| notify::prepare(self.entry)).transpose()?;
        let beside_init = self.draft.config.hooks.create_container.is_empty();
        if !beside_init {
            self.confine()?;
        }
        let (plan, mut child, output) = self.launch_in_cgroup(notify_dir.as_deref())?;
        self.warn_of_strays();
        self.rootfs.warn_of_exposure(self.entry.path().parent().unwrap_or(Path::new("/")));
        let confined = if beside_init { self.confine() } else { Ok(()) };
        let order = self.early_order(&plan);
        let ready =
            confined.map_err(Stop::from).and_then(|()| self.supervise(&mut child, &plan, output, order));
        let pid = child.pid;
        let Child { pidfd, channel, .. } = child;
        self.pidfd = Some(pidfd);
        let terminal = ready.map_err(explain)?;
        if let Some(resctrl) = &self.record.resctrl {
            resctrl.enter(pid)?;
        }
        if self.draft.options.start != Start::AtGate {
            return Ok((terminal, Some(Held { channel, plan, released: order.is_some() })));
        }
        let ordered = if order.is_some() {
            Ok(())
        } else {
            self.commit()?;
            channel.send(Order::Commit)
        };
        // Init closes the channel when it no longer dies with this process, which may end right after.
        match ordered.and_then(|()| channel.receive()) {
            Ok(None) => Ok((terminal, None)),
            Ok(Some(_)) | Err(_) => Err(Error::InitDied("ended while it was waiting".to_owned())),
        }
    }

    /// The order that init gets before it is ready, which saves both sides a wait: where nothing is left to be done here then.
    fn early_order(&self, plan: &Plan) -> Option<Order> {
        let (options, record) = (self.draft.options, &self.record);
        let told = options.notify_socket || record.notifies || !record.hooks.poststart.is_empty();
        if plan.waits() > 0 || record.resctrl.is_some() {
            return None;
        }
        match options.start {
            Start::AtGate => Some(Order::Commit),
            Start::AtOnce if !plan.host().terminal && !told => Some(Order::Start),
            Start::ByCreator | Start::AtOnce => None,
        }
    }

    fn make_cgroup(&mut self) -> Result<(), Error> {
        let mut cgroup = cgroup::open(self.record.cgroup.clone());
        let made = cgroup.create(&self.draft.resources());
        self.record.cgroup = cgroup.saved().clone();
        match self.without_filter(made) {
            Err(error) if error.is_denied() && self.draft.may_lack_cgroup() => self.do_without_cgroup(error),
            made => made.map_err(|error| self.draft.needs_cgroup(error)),
        }
    }

    /// Says what follows for a container without a cgroup from where its processes are.
    fn warn_of_strays(&self) {
        let own = |kind: &Namespace| kind.typ == "pid" && kind.path.is_none();
        let linux = self.draft.config.spec().linux.as_ref();
        let own_pids = linux.is_some_and(|linux| linux.namespaces.iter().any(own));
        if self.record.cgroup == cgroup::Saved::NONE && !own_pids {
            log::warn!(
                "the container has neither a cgroup nor a pid namespace of its own: its processes cannot all be found and killed. \
                 Such configuration is strongly discouraged"
            );
        }
    }

    /// Puts the device rules in force that do not hinder init: beside it, unless it runs hooks to which they apply.
    fn confine(&self) -> Result<(), Error> {
        let confined = cgroup::open(self.record.cgroup.clone()).confine(&self.draft.resources());
        Ok(self.without_filter(confined)?)
    }

    /// The device filter is the last thing that is set; without it nothing is lost to who can make no devices.
    fn without_filter(&self, made: Result<(), cgroup::Error>) -> Result<(), cgroup::Error> {
        match made {
            Err(error @ cgroup::Error::DeviceFilter { .. })
                if error.is_denied() && self.draft.is_rootless() =>
            {
                log::debug!("no device filter: {error}");
                Ok(())
            }
            made => made,
        }
    }

    /// Moves init into its cgroup, where it cannot go there by itself.
    fn adopt(&mut self, pid: i32) -> Result<(), Error> {
        let mut cgroup = cgroup::open(self.record.cgroup.clone());
        let adopted = cgroup.adopt(pid, &self.draft.resources());
        self.record.cgroup = cgroup.saved().clone();
        self.without_filter(adopted)?;
        self.save()
    }

    fn do_without_cgroup(&mut self, reason: impl Display) -> Result<(), Error> {
        log::debug!("no cgroup for the container: {reason}");
        cgroup::open(self.record.cgroup.clone()).remove(Duration::ZERO)?;
        self.record.cgroup = cgroup::Saved::NONE;
        Ok(())
    }

    /// Starts init in the container's cgroup, or where that may not be entered in the caller's.
    fn launch_in_cgroup(&mut self, notify_dir: Option<&Path>) -> Result<(Plan, Child, Option<File>), Error> {
        let mut placement = cgroup::open(self.record.cgroup.clone()).placement(&[])?;
        match self.launch(&placement, notify_dir) {
            Ok((_, child, _)) if placement.into.is_some() && !child.in_cgroup => {
                // Something keeps clone3(2) from us, so init has to go to its cgroup itself.
                end(&child);
                placement.write_instead().map_err(Error::system("enter", "the container's cgroup"))?;
                self.launch(&placement, notify_dir)
            }
            Err(Error::Launch(error))
                if placement.into.is_some()
                    && error.errno() == Some(Errno::EACCES)
                    && self.draft.may_lack_cgroup() =>
            {
                self.do_without_cgroup(error)?;
                self.launch(&Placement::default(), notify_dir)
            }
            launched => launched,
        }
    }

    /// Starts init and writes down who it is. Until then its death with this process is what keeps it from being left behind.
    fn launch(
        &mut self,
        placement: &Placement,
        notify_dir: Option<&Path>,
    ) -> Result<(Plan, Child, Option<File>), Error> {
        let plan = self.draft.plan(&self.record.cgroup, placement.files.len(), notify_dir)?;
        let gate = (self.draft.options.start == Start::AtGate).then(|| self.make_gate()).transpose()?;
        let (output, hook_output) = hook_output(&plan)?.unzip();
        let sources = Sources {
            rootfs: Some(self.rootfs.dir.as_fd()),
            proc: Some(self.draft.host.proc()),
            gate: gate.as_ref().map(AsFd::as_fd),
            files: placement.files.iter().map(AsFd::as_fd).collect(),
            cgroup: placement.into.as_ref().map(AsFd::as_fd),
            hook_output: hook_output.as_ref().map(AsFd::as_fd),
            ..Sources::default()
        };
        let payload = Payload { stdio: self.draft.options.stdio, inherit: &self.draft.options.inherit };
        let child = launch::launch(&plan, &sources, &payload)?;
        self.note(&child)?;
        Ok((plan, child, output))
    }

    fn make_gate(&self) -> Result<OwnedFd, Error> {
        self.entry.unlink(GATE);
        let gate = gate::listener(&self.entry.short_path(GATE));
        gate.map_err(Error::system("make the start gate", self.entry.path()))
    }

    fn note(&mut self, child: &Child) -> Result<(), Error> {
        let identity = Identity::of(child.pid, &child.pidfd);
        let identity = identity.map_err(Error::system("look at", "container init"))?;
        self.record.init =
            Some(Init { identity, image: child.image, image_is_unique: child.way.is_unique() });
        self.save()
    }

    /// Writes down that the container no longer depends on this process: before init has its order, which frees it of that.
    fn commit(&mut self) -> Result<(), Error> {
        self.record.creator = None;
        self.save()
    }

    /// Writes the record down.
    fn save(&mut self) -> Result<(), Error> {
        self.written = Some(self.entry.write(&self.record)?);
        Ok(())
    }

    /// Takes part in init's set-up: limits that only the host side may set, and the hooks of the runtime's namespaces.
    fn supervise(
        &mut self,
        child: &mut Child,
        plan: &Plan,
        output: Option<File>,
        order: Option<Order>,
    ) -> Result<Option<OwnedFd>, Stop> {
        if !plan.host().forks {
            launch::set_limits(child.pid, plan.host()).map_err(Error::from)?;
        }
        if order.is_some() {
            self.commit()?;
        }
        handshake::until_ready(child, plan, output, order, |call, child| match call {
            Call::At(Point::Born) => self.adopt(child.pid),
            Call::At(Point::Mounted) => self.create_hooks(child),
            Call::Networked(socket) => {
                self.moved = Some(net_devices::move_all(&plan.host().net_devices, child.pid, socket)?);
                Ok(())
            }
            Call::Opened(number, opened) => match plan.host().trees.get(number) {
                Some(wanted) => Ok(tree::map_ids(opened.as_raw_fd(), wanted, None)?),
                None => Err(Error::system("map the ids of", "a mount")(Errno::EBADMSG)),
            },
            Call::At(Point::Placed) => match &plan.host().user_namespace {
                Some(namespace) => id_maps::settle(child, namespace),
                None => Ok(()),
            },
            Call::Cloned => {
                self.note(child)?;
                Ok(launch::set_limits(child.pid, plan.host())?)
            }
            Call::Listens(listener) => self.draft.seccomp().map_or(Ok(()), |profile| {
                agent::hand_over(profile, &listener, child.pid, &self.draft.state(child.pid))
            }),
            Call::Attaches { .. } => Ok(()),
        })
    }

    fn create_hooks(&self, child: &Child) -> Result<(), Error> {
        let Draft { config, options, .. } = &self.draft;
        let state = self.draft.state(child.pid);
        let lists: [(&'static str, &[Hook]); 2] =
            [("prestart", &config.hooks.prestart), ("createRuntime", &config.hooks.create_runtime)];
        for (kind, list) in lists {
            for (index, hook) in list.iter().enumerate() {
                hooks::run(kind, index, hook, &options.hook_env, &state, Some(child.pidfd.as_fd()))?;
            }
        }
        Ok(())
    }
}

fn explain(stop: Stop) -> Error {
    match stop {
        Stop::Step(error) => Error::Create(error),
        Stop::Host(error) => error,
        Stop::Died(Exit::Signal(SIGKILL)) => {
            Error::InitDied("was OOM-killed (memory limit too low?)".to_owned())
        }
        Stop::Died(exit) => Error::InitDied(format!("ended without a word: {exit:?}")),
    }
}

/// What a plan is made of.
struct Draft<'a> {
    config: Checked<'a>,
    host: &'static Host,
    id: &'a Id,
    bundle: &'a Bundle,
    options: &'a CreateOptions<'a>,
}

impl<'a> Draft<'a> {
    /// Checks the config.
    fn new(id: &'a Id, bundle: &'a Bundle, options: &'a CreateOptions<'a>) -> Result<Self, Error> {
        let (config, warnings) = Checked::new(&bundle.spec).map_err(Error::Config)?;
        for finding in warnings {
            log::warn!("{finding}");
        }
        for warning in plan::stripped_destinations(&bundle.spec, &bundle.dir) {
            log::warn!("{warning}");
        }
        for name in Annotations::of(&bundle.spec.annotations).unknown {
            log::debug!("/annotations/{name}: means nothing here, ignored");
        }
        let draft = Self { config, host: Host::get()?, id, bundle, options };
        draft.seccomp().map_or(Ok(()), host::can_filter)?;
        Ok(draft)
    }

    /// The container's limits and device rules.
    fn resources(&self) -> Cow<'_, Resources> {
        let given = self.config.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        given.map_or_else(Cow::default, Cow::Borrowed)
    }

    /// The container's profile of system calls.
    fn seccomp(&self) -> Option<&'a Seccomp> {
        self.config.spec().linux.as_ref()?.seccomp.as_ref()
    }

    /// The container's state while it is made.
    fn state(&self, pid: i32) -> HookState<'_> {
        HookState::new(self.id.as_str(), &self.bundle.dir, &self.config.annotations)
            .with(Status::Creating.as_str(), pid)
    }

    /// Which cgroup the container will have.
    fn cgroup(&self) -> Result<cgroup::Saved, Error> {
        let path = self.cgroups_path();
        let id = self.id.as_str();
        let planned = cgroup::Layout::detect().and_then(|layout| match self.options.cgroup_driver {
            CgroupDriver::Cgroupfs => cgroup::plan(&layout, path, id),
            CgroupDriver::Systemd => {
                let (annotations, bus) = (&self.config.annotations, self.options.bus);
                cgroup::plan_scope(&layout, &Scope { cgroups_path: path, id, annotations, bus })
            }
        });
        match planned {
            Err(error) if error.is_denied() && self.may_lack_cgroup() => Ok(cgroup::Saved::NONE),
            Err(error) => Err(self.needs_cgroup(error)),
            Ok(planned) => Ok(cgroup::Saved { owner: self.cgroup_owner(), ..planned }),
        }
    }

    /// Who is to own the cgroup in place of its maker.
    fn cgroup_owner(&self) -> Option<u32> {
        plan::cgroup_owner(self.config.spec()).filter(|owner| *owner != geteuid().as_raw())
    }

    /// Whether the container may do without a cgroup: where the config asks for none.
    fn may_lack_cgroup(&self) -> bool {
        self.is_rootless() && self.cgroups_path().is_none() && cgroup::limits_nothing(&self.resources())
    }

    /// Says of a refusal why the container cannot do without its cgroup.
    fn needs_cgroup(&self, cause: cgroup::Error) -> Error {
        let pointer = if self.cgroups_path().is_some() { "/linux/cgroupsPath" } else { "/linux/resources" };
        if self.is_rootless() && cause.is_denied() {
            Error::CgroupDenied { pointer, cause }
        } else {
            cause.into()
        }
    }

    fn cgroups_path(&self) -> Option<&str> {
        self.config.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref())
    }

    /// Whether missing rights over cgroups are to be expected.
    fn is_rootless(&self) -> bool {
        let unprivileged = || !geteuid().is_root() || self.host.facts().in_user_namespace;
        self.options.rootless.unwrap_or_else(unprivileged)
    }

    /// The plan for a container that enters its cgroup through `files` files.
    fn plan(&self, cgroup: &cgroup::Saved, files: usize, notify_dir: Option<&Path>) -> Result<Plan, Error> {
        Ok(plan::container(
            &self.config,
            &self.host.facts(),
            &plan::Options {
                id: self.id.as_str(),
                bundle: &self.bundle.dir,
                cgroup: plan::Cgroup { files, moved: cgroup.unit.is_some(), groups: &cgroup.groups },
                gate: self.options.start == Start::AtGate,
                command: self.options.command,
                no_pivot: self.options.no_pivot,
                no_new_keyring: self.options.no_new_keyring,
                extra_env: &self.options.extra_env,
                hook_env: &self.options.hook_env,
                notify_dir,
            },
        )?)
    }
}

/// The pipe to which hooks in the container's namespaces write, where there are any: its ends for reading and for writing.
fn hook_output(plan: &Plan) -> Result<Option<(File, OwnedFd)>, Error> {
    if !plan.descriptors().contains(&Descriptor::HookOutput) {
        return Ok(None);
    }
    let make = || {
        let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
        fcntl(&read, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        Ok((File::from(read), write))
    };
    make().map(Some).map_err(Error::system("make a pipe for", "hooks"))
}

/// What is written down before anything is made.
fn intent(draft: &Draft<'_>, rootfs: &Rootfs) -> Result<Record, Error> {
    let spec = draft.config.spec();
    let identity = Identity::own().map_err(Error::system("look at", "this process"))?;
    let hooks = &spec.hooks;
    let linux = spec.linux.as_ref();
    let rdt = linux.and_then(|linux| linux.intel_rdt.as_ref());
    let resctrl = rdt.map(|rdt| Resctrl::plan(rdt, draft.id.as_str())).transpose()?;
    let namespaces = plan::namespace_kinds(spec);
    let later = !(hooks.poststart.is_empty() && hooks.poststop.is_empty());
    let hook_env = if later { draft.options.hook_env.clone() } else { Vec::new() };
    Ok(Record {
        version: VERSION,
        id: draft.id.to_string(),
        created: rfc3339(SystemTime::now()),
        bundle: draft.bundle.dir.clone(),
        rootfs: rootfs.path.clone(),
        annotated: !spec.annotations.is_empty(),
        notifies: draft.seccomp().is_some_and(seccomp::notifies),
        creator: Some(Creator { identity, command: draft.options.command }),
        init: None,
        cgroup: draft.cgroup()?,
        resctrl,
        resources: Box::new(Resources::default().updated(&draft.resources())),
        hooks: Hooks {
            start_container: hooks.start_container.clone(),
            poststart: hooks.poststart.clone(),
            poststop: hooks.poststop.clone(),
            ..Hooks::default()
        },
        hook_env,
        namespaces,
        root: rootfs.mount(spec)?,
        id_maps: IdMaps::of(spec),
        mount_label: linux.and_then(|linux| linux.mount_label.clone()),
        own_pid_namespace: linux
            .and_then(|linux| linux.namespace("pid"))
            .is_some_and(|namespace| namespace.path.is_none()),
    })
}

/// What is written down of the config beside that.
fn kept_config<'a>(draft: &Draft<'a>) -> Result<KeptConfig<'a>, Error> {
    let spec = draft.config.spec();
    let linux = spec.linux.as_ref();
    Ok(KeptConfig {
        annotations: Cow::Borrowed(&spec.annotations),
        process: Cow::Borrowed(spec.process.as_ref().ok_or(Error::NoProcess)?),
        personality: linux.and_then(|linux| linux.personality.as_ref()).map(Cow::Borrowed),
        memory_policy: linux.and_then(|linux| linux.memory_policy.as_ref()).map(Cow::Borrowed),
        no_new_keyring: draft.options.no_new_keyring,
        seccomp: draft.seccomp().map(KeptConfig::keep_profile).transpose()?,
    })
}
