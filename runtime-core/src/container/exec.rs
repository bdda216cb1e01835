//! `exec`: another process in a running container.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::libc::SIGKILL;
use nix::poll::PollTimeout;
use nix::sys::stat::Mode;

use super::{Container, Exit, Status, agent, end, reap, status};
use crate::cgroup::{self, Manager, Placement, SubCgroup};
use crate::check::{self, Finding};
use crate::config::{self, Annotations, Resources};
use crate::error::Error;
use crate::host::Host;
use crate::launch::descriptors::Sources;
use crate::launch::handshake::{self, Call, Stop};
use crate::launch::{self, Child, Payload};
use crate::plan::{self, HookState, Plan, StepError};
use crate::seccomp;
use crate::state::{KeptConfig, Lock, Record, RootMount};
use crate::sys;
use crate::wire::{Order, Point};

/// How a process is executed in a container.
#[derive(Debug, Default)]
pub struct ExecOptions<'a> {
    /// Standard input, output and error; the caller's where absent.
    pub stdio: Option<[BorrowedFd<'a>; 3]>,
    /// What becomes descriptors 3, 4, … of the process, in this order.
    pub inherit: Vec<BorrowedFd<'a>>,
    /// Variables added to the process's environment, `NAME=value` each.
    pub extra_env: Vec<String>,
    /// Cgroups below the container's in which the process is put: `CONTROLLER[,CONTROLLER]:PATH`, or a path for all.
    pub cgroups: Vec<String>,
    /// A paused container is no error: the process runs when it is resumed.
    pub ignore_paused: bool,
    /// Its program runs as soon as it can, unless there is an agent that decides over its calls; [`Prepared::start`] only says what has
    /// come of it.
    pub at_once: bool,
}

/// A process that was executed in a container.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    pidfd: OwnedFd,
    terminal: Option<OwnedFd>,
}

impl Process {
    /// Its pid in the caller's pid namespace.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// A pidfd of it.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// The master of its terminal: once, if it has one.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when it has ended.
    pub fn kill(&self, signal: i32) -> Result<(), Error> {
        match sys::pidfd_send_signal(&self.pidfd, signal) {
            Err(Errno::ESRCH) => Err(Error::NotRunning),
            sent => sent.map_err(Error::system("signal", self.pid.to_string())),
        }
    }

    /// Waits for its end and reaps it.
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn wait(&mut self) -> Result<Exit, Error> {
        reap(self.pidfd.as_fd())
    }
}

/// A process that waits in a container until it is started; where that does not happen it goes with this value.
#[derive(Debug)]
pub struct Prepared {
    child: Option<Child>,
    plan: Plan,
    patience: PollTimeout,
    terminal: Option<OwnedFd>,
    lock: Option<Lock>,
    /// It has its order.
    released: bool,
}

impl Prepared {
    /// The master of its terminal, for whoever wants to change it first: once, if it has one.
    pub fn take_terminal(&mut self) -> Option<OwnedFd> {
        self.terminal.take()
    }

    /// Executes the process's program.
    ///
    /// # Errors
    /// [`Error::Enter`].
    pub fn start(mut self) -> Result<Process, Error> {
        let Some(child) = self.child.take() else { return Err(Error::NotRunning) };
        let start = if self.released { handshake::until_executed } else { handshake::execute };
        match start(&child.channel, child.pidfd.as_fd(), &self.plan, self.patience) {
            Ok(()) => Ok(Process { pid: child.pid, pidfd: child.pidfd, terminal: self.terminal.take() }),
            Err(stop) => Err(abandon(&child, stop)),
        }
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        if let Some(child) = self.child.take() {
            end(&child);
        }
    }
}

/// Ends a process that has failed; why it has.
fn abandon(child: &Child, stop: Stop) -> Error {
    end(child);
    match stop {
        Stop::Step(error) => Error::Enter(error),
        Stop::Died(Exit::Signal(SIGKILL)) => Error::InitDied("was killed (possibly OOM-killed)".to_owned()),
        Stop::Died(exit) => Error::InitDied(format!("ended without a word: {exit:?}")),
        Stop::Host(error) => error,
    }
}

impl Container {
    /// Executes a process in the container: its namespaces, its cgroup, the process's own identity and limits. Where a seccomp
    /// agent lets its program wait, it returns after 10 s, with a warning in the log.
    ///
    /// # Errors
    /// [`Error::ExecStopped`], [`Error::ExecPaused`]; [`Error::Config`] for faults of `process`; [`Error::Enter`].
    pub fn exec(&self, process: &config::Process, options: &ExecOptions<'_>) -> Result<Process, Error> {
        self.prepare(process, options)?.start()
    }

    /// The first half of [`exec`](Self::exec): everything up to the execution of the program.
    ///
    /// # Errors
    /// As there.
    pub fn prepare(&self, process: &config::Process, options: &ExecOptions<'_>) -> Result<Prepared, Error> {
        let faults = check::check_process(process, "");
        if faults.iter().any(Finding::is_fatal) {
            return Err(Error::Config(faults));
        }
        for warning in faults {
            log::warn!("{warning}");
        }
        if self.record()?.creator.is_some() {
            return Err(Error::NotRunning);
        }
        let lock = self.entry.lock_shared()?;
        let record = self.record()?;
        let (init, lock) = match status(&self.entry, &record)? {
            (Status::Created | Status::Running, Some(init)) => (init, Some(lock)),
            // The process waits for a resume, which wants the lock.
            (Status::Paused, Some(init)) if options.ignore_paused => {
                drop(lock);
                (init, None)
            }
            (Status::Paused, _) => return Err(Error::ExecPaused),
            (Status::Creating, _) => return Err(Error::NotRunning),
            (Status::Created | Status::Running | Status::Stopped, _) => return Err(Error::ExecStopped),
        };
        let config = self.config()?;
        let seccomp = config.profile()?;
        let (record, init) = (record.as_ref(), init.as_fd());
        let joining = Joining { record, config, init, process, seccomp: seccomp.as_ref(), options };
        let subs = SubCgroup::parse_all(&options.cgroups)?;
        let cgroup = cgroup::open(record.cgroup.clone());
        let mut placement = cgroup.placement(&subs)?;
        let mut prepared = match joining.run(&placement) {
            // The container has made sub-cgroups, so that its own takes no processes any more: to where its init is.
            Err(Error::Enter(error)) if subs.is_empty() && error.step == "Fork" && is_full(error.errno) => {
                let pid = record.init.as_ref().map_or(0, |init| init.identity.pid);
                joining.run(&cgroup.placement_beside(pid)?)
            }
            // An unprivileged caller of another service or session may not bring processes into the container's cgroup.
            Err(Error::Enter(error))
                if error.step == "Fork" && error.errno == Some(Errno::EACCES as i32) && subs.is_empty() =>
            {
                // Another process may have changed the limits since the record was read.
                joining.run_outside(cgroup.as_ref(), error, &self.entry.read()?.resources)
            }
            // Perhaps at its birth into the cgroup, as launch/spawn.rs says: let it go there itself.
            Err(Error::InitDied(_)) if placement.into.is_some() => {
                placement.write_instead().map_err(Error::system("enter", "the container's cgroup"))?;
                joining.run(&placement)
            }
            outcome => outcome,
        }?;
        prepared.lock = lock;
        Ok(prepared)
    }
}

/// A process on its way into a container.
struct Joining<'a> {
    record: &'a Record,
    config: &'a KeptConfig<'a>,
    init: BorrowedFd<'a>,
    process: &'a config::Process,
    seccomp: Option<&'a config::Seccomp>,
    options: &'a ExecOptions<'a>,
}

impl Joining<'_> {
    /// Where the process cannot be born in the container's cgroup: systemd may move it there while it waits. To go without the
    /// cgroup is of no matter where that limits nothing.
    fn run_outside(
        &self,
        cgroup: &dyn Manager,
        refused: StepError,
        limits: &Resources,
    ) -> Result<Prepared, Error> {
        let placement = Placement { moved: true, ..Placement::default() };
        self.run_with(&placement, |pid| match cgroup.move_by_manager(pid) {
            Ok(true) => Ok(()),
            _ if cgroup::limits_nothing(limits) => {
                log::debug!("not in the container's cgroup: {refused}");
                Ok(())
            }
            Ok(false) => Err(Error::Enter(refused.clone())),
            Err(error) => Err(error.into()),
        })
    }

    /// The container's root, where it is not that of its mount namespace.
    fn root(&self, host: &Host) -> Result<Option<OwnedFd>, Error> {
        let Some(init) = self.record.init.as_ref().filter(|_| self.record.root != RootMount::Own) else {
            return Ok(None);
        };
        let path = format!("{}/root", init.identity.pid);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let root = openat(host.proc(), path.as_str(), flags, Mode::empty());
        let root = root.map_err(Error::system("open", "the container's root"))?;
        // While init has not been reaped nobody else has had its pid.
        match sys::pidfd_send_signal(self.init, 0) {
            Err(Errno::ESRCH) => Err(Error::ExecStopped),
            alive => alive.map(|()| Some(root)).map_err(Error::system("signal", "the container's init")),
        }
    }

    fn run(&self, placement: &Placement) -> Result<Prepared, Error> {
        self.run_with(placement, |_| Ok(()))
    }

    /// The same; `adopt` moves a process that waits for it into the container's cgroup.
    fn run_with(
        &self,
        placement: &Placement,
        adopt: impl Fn(i32) -> Result<(), Error>,
    ) -> Result<Prepared, Error> {
        let host = Host::get()?;
        let join = plan::JoinOptions {
            id: &self.record.id,
            namespaces: self.record.namespaces,
            chroot: self.record.root != RootMount::Own,
            root: self.record.id_maps.root(),
            keep_groups: Annotations::of(&self.config.annotations).keep_groups,
            personality: self.config.personality.as_deref(),
            memory_policy: self.config.memory_policy.as_deref(),
            born_in_cgroup: placement.into.is_some(),
            moved: placement.moved && placement.into.is_none(),
            cgroup_files: placement.files.len(),
            no_new_keyring: self.config.no_new_keyring,
            extra_env: &self.options.extra_env,
            seccomp: self.seccomp,
        };
        let plan = plan::process(self.process, &host.facts(), &join)?;
        let root = self.root(host)?;
        let sources = Sources {
            container_root: root.as_ref().map(AsFd::as_fd),
            proc: Some(host.proc()),
            files: placement.files.iter().map(AsFd::as_fd).collect(),
            cgroup: placement.into.as_ref().map(AsFd::as_fd),
            container: Some(self.init),
            ..Sources::default()
        };
        let payload = Payload { stdio: self.options.stdio, inherit: &self.options.inherit };
        let mut child = launch::launch(&plan, &sources, &payload)?;
        let notifies = self.seccomp.is_some_and(seccomp::notifies);
        let released = self.options.at_once && !notifies;
        let ready = handshake::until_ready(
            &mut child,
            &plan,
            None,
            released.then_some(Order::Start),
            |call, child| match call {
                Call::Cloned => Ok(launch::set_limits(child.pid, plan.host())?),
                Call::At(Point::Born) => adopt(child.pid),
                Call::At(_) | Call::Networked(_) | Call::Opened(..) | Call::Attaches { .. } => Ok(()),
                Call::Listens(listener) => self
                    .seccomp
                    .map_or(Ok(()), |profile| agent::hand_over(profile, &listener, child.pid, &self.state())),
            },
        );
        let patience = handshake::patience(notifies, &[]);
        match ready {
            Ok(terminal) => {
                Ok(Prepared { child: Some(child), plan, patience, terminal, lock: None, released })
            }
            Err(stop) => Err(abandon(&child, stop)),
        }
    }
}

impl<'a> Joining<'a> {
    /// The state of the container, as its agent gets it.
    fn state(&self) -> HookState<'a> {
        let Record { id, bundle, init, .. } = self.record;
        let pid = init.as_ref().map_or(0, |init| init.identity.pid);
        HookState::new(id, bundle, &self.config.annotations).with(Status::Running.as_str(), pid)
    }
}

/// True where a cgroup takes no process because it has given its controllers to others.
fn is_full(errno: Option<i32>) -> bool {
    [Errno::EBUSY, Errno::EOPNOTSUPP].into_iter().any(|full| errno == Some(full as i32))
}
