//! What `create` and `run` have in common: from the flags to a container that waits to be started.

use std::env;
use std::os::fd::BorrowedFd;

use runtime_core::config::{IdMapping, Spec};
use runtime_core::{Bundle, Container, CreateOptions, Error, Id, Runtime, Start};

use super::receivers::{Newborn, Receivers};
use super::start::notify_socket;
use super::{bundle, id, strict};
use crate::descriptors::Inherited;
use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::{NO_NEW_KEYRING, NO_PIVOT};
use crate::globals::Globals;

/// A container that is about to be made.
pub(super) struct NewContainer<'a> {
    globals: &'a Globals,
    flags: &'a Matches,
    runtime: Runtime,
    id: Id,
    bundle: Bundle,
    inherited: Inherited,
    receivers: Receivers,
}

impl<'a> NewContainer<'a> {
    /// Checks all that can be checked before anything is made.
    pub(super) fn new(globals: &'a Globals, flags: &'a Matches, detach: bool) -> Result<Self, Failure> {
        let id = id(flags)?;
        let bundle = bundle(flags).map_err(Error::from)?;
        strict::enforce(&bundle, flags)?;
        let inherited = globals.descriptors.with_activation(flags)?;
        let receivers = Receivers::connect(flags, has_terminal(&bundle.spec), detach)?;
        globals.root.prepare()?;
        Ok(Self { globals, flags, runtime: globals.runtime(), id, bundle, inherited, receivers })
    }

    /// Whether its process gets a terminal.
    pub(super) fn has_terminal(&self) -> bool {
        has_terminal(&self.bundle.spec)
    }

    /// Whether its start may take a while: hooks run, its process has to say that it is ready, or an agent decides over its calls.
    pub(super) fn starts_slowly(&self) -> bool {
        let hooks = &self.bundle.spec.hooks;
        let linux = self.bundle.spec.linux.as_ref();
        let profile = linux.and_then(|linux| linux.seccomp.as_ref());
        let listens = profile.is_some_and(|profile| profile.listener_path.is_some());
        notify_socket().is_some()
            || listens
            || !hooks.start_container.is_empty()
            || !hooks.poststart.is_empty()
    }

    /// The user and the group that are root inside.
    pub(super) fn root(&self) -> (u32, u32) {
        let linux = self.bundle.spec.linux.as_ref();
        let root = |mappings: Option<&Vec<IdMapping>>| {
            let mapping = mappings.into_iter().flatten().find(|mapping| mapping.container_id == 0);
            mapping.map_or(0, |mapping| mapping.host_id)
        };
        (root(linux.map(|linux| &linux.uid_mappings)), root(linux.map(|linux| &linux.gid_mappings)))
    }

    /// Makes the container, and tells all who want to know about it. `stdio` is what its process reads and writes, if
    /// not the standard streams of the command; with `run` it is started next.
    pub(super) fn create(&self, stdio: Option<[BorrowedFd<'_>; 3]>, run: bool) -> Result<Container, Failure> {
        let options = CreateOptions {
            stdio,
            // A start that takes a while is one of a container that others can see.
            start: match () {
                () if !run || self.starts_slowly() => Start::AtGate,
                () if self.receivers.wait() => Start::ByCreator,
                () => Start::AtOnce,
            },
            inherit: self.inherited.descriptors.clone(),
            extra_env: self.inherited.env.clone(),
            ..options(self.globals, self.flags, &self.bundle.spec)
        };
        let mut container = self.runtime.create(&self.id, &self.bundle, &options)?;
        if let Err(failure) = self.tell(&mut container) {
            undo(&container);
            return Err(failure);
        }
        Ok(container)
    }

    /// Sends the container's process a signal; that it has ended meanwhile does not matter. Its pid, which it has until it is reaped here,
    /// tells whether the id is another container's by now.
    pub(super) fn forward(&self, pid: i32, signal: i32) {
        let sent = self.runtime.load(&self.id).and_then(|container| match container.pid() {
            found if found == Some(pid) => container.kill(signal, false),
            _ => Err(Error::NotFound),
        });
        if let Err(error) = sent {
            ::log::debug!("forward signal {signal}: {error}");
        }
    }

    fn tell(&self, container: &mut Container) -> Result<(), Failure> {
        self.receivers.send_terminal(|| container.take_terminal())?;
        let (Some(pid), Some(pidfd)) = (container.pid(), container.pidfd()) else {
            return Err(Failure::new("the container has no process"));
        };
        self.receivers.tell(&Newborn { kind: "standard", pid, pidfd })
    }
}

/// Removes a container after a failure.
pub(super) fn undo(container: &Container) {
    if let Err(error) = container.delete_forced() {
        ::log::warn!("delete {}: {error}", container.id());
    }
}

/// What does not depend on the streams.
pub(super) fn options<'a>(globals: &'a Globals, flags: &Matches, spec: &Spec) -> CreateOptions<'a> {
    let hooks = spec.hooks.by_kind().iter().any(|(_, list)| !list.is_empty());
    CreateOptions {
        no_pivot: flags.is_set(&NO_PIVOT),
        no_new_keyring: flags.is_set(&NO_NEW_KEYRING),
        notify_socket: notify_socket().is_some(),
        cgroup_driver: globals.cgroup_driver,
        bus: globals.bus.as_deref(),
        rootless: globals.rootless,
        hook_env: if hooks { environment() } else { Vec::new() },
        command: true,
        ..CreateOptions::default()
    }
}

/// The environment of this process, for hooks that do not give one.
fn environment() -> Vec<String> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some(format!("{}={}", name.into_string().ok()?, value.into_string().ok()?))
    };
    env::vars_os().filter_map(text).collect()
}

fn has_terminal(spec: &Spec) -> bool {
    spec.process.as_ref().is_some_and(|process| process.terminal)
}
