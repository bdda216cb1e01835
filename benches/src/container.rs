//! One container of one program, and the commands upon it.

use std::ffi::OsString;
use std::fs;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::Call;
use crate::config::{Shape, config};
use crate::error::{At, Error, Result};
use crate::lab::Lab;
use crate::results::Pace;
use crate::session::Session;
use crate::stats::Cost;
use crate::subject::{Kind, Subject};

/// A container; it is deleted when dropped.
pub(crate) struct Container<'a> {
    lab: &'a Lab,
    subject: &'a Subject,
    pub(crate) id: String,
    bundle: PathBuf,
    shape: Shape,
    exists: bool,
    /// The process of the floor's container, of which the floor itself keeps no record.
    pid: Option<i32>,
    /// The process that calls the library for it.
    session: Option<Session>,
}

impl<'a> Container<'a> {
    /// Writes the bundle of a container, whose id is the program's name and `slot`.
    pub(crate) fn new(lab: &'a Lab, subject: &'a Subject, slot: &str, shape: Shape) -> Result<Self> {
        let id = format!("{}-{slot}", subject.name);
        let bundle = lab.dir.join("bundles").join(&id);
        fs::create_dir_all(&bundle).at(&bundle)?;
        fs::create_dir_all(subject.state_root(lab)).at(&bundle)?;
        let text = config(lab, &id, &shape).to_string();
        fs::write(bundle.join("config.json"), text).at(&bundle)?;
        let session = match subject.kind {
            Kind::Library => Some(Session::start(&subject.program, &subject.state_root(lab), &bundle, &id)?),
            _ => None,
        };
        Ok(Self { lab, subject, id, bundle, shape, exists: false, pid: None, session })
    }

    /// A command of the runtime.
    pub(crate) fn call(&self, command: &str) -> Call<'a> {
        let root = self.subject.state_root(self.lab);
        self.lab.call(&self.subject.program, &self.id).args([
            "--root".as_ref(),
            root.as_os_str(),
            command.as_ref(),
        ])
    }

    fn on_bundle(&self, command: &str) -> Call<'a> {
        self.call(command).args(["--bundle".as_ref(), self.bundle.as_os_str(), self.id.as_ref()])
    }

    fn time(&self, pace: Pace, call: Call<'_>) -> Result<Cost> {
        self.lab.rest(pace);
        call.time()
    }

    /// Has the library do it, or calls the command.
    fn operate(&self, pace: Pace, operation: &str, call: impl FnOnce() -> Result<Call<'a>>) -> Result<Cost> {
        if let Some(session) = &self.session {
            self.lab.rest(pace);
            return session.ask(operation);
        }
        self.time(pace, call()?)
    }

    /// `create`.
    pub(crate) fn create(&mut self, pace: Pace) -> Result<Cost> {
        self.set_exists(true);
        let cost = self.operate(pace, "create", || Ok(self.call_create()))?;
        self.find_process()?;
        Ok(cost)
    }

    /// The command line of `create`.
    pub(crate) fn call_create(&self) -> Call<'a> {
        match self.subject.kind {
            Kind::Floor => self.call_floor("create", &["--gate".into(), self.gate().into()]),
            _ => self.on_bundle("create"),
        }
    }

    /// `start`.
    pub(crate) fn start(&self, pace: Pace) -> Result<Cost> {
        self.operate(pace, "start", || Ok(self.call_start()))
    }

    /// The command line of `start`.
    pub(crate) fn call_start(&self) -> Call<'a> {
        match self.subject.kind {
            Kind::Floor => self.bare_call("start").args([self.gate()]),
            _ => self.call_small("start", &[]),
        }
    }

    /// `delete`, perhaps with `--force`.
    pub(crate) fn delete(&mut self, pace: Pace, force: bool) -> Result<Cost> {
        let operation = if force { "delete --force" } else { "delete" };
        let cost = self.operate(pace, operation, || Ok(self.call_delete(force)))?;
        self.set_exists(false);
        Ok(cost)
    }

    /// The command line of `delete`, perhaps with `--force`.
    pub(crate) fn call_delete(&self, force: bool) -> Call<'a> {
        match (self.subject.kind, self.pid.filter(|_| force)) {
            (Kind::Floor, Some(pid)) => {
                self.floor_place(self.bare_call("delete").args(["--kill".to_owned(), pid.to_string()]))
            }
            (Kind::Floor, None) => self.floor_place(self.bare_call("delete")),
            _ if force => self.call("delete").args(["--force", &self.id]),
            _ => self.call_small("delete", &[]),
        }
    }

    /// The command line of `list`.
    pub(crate) fn call_list(&self) -> Call<'a> {
        match self.subject.kind {
            Kind::Floor => self.bare_call("list").args([self.subject.state_root(self.lab)]),
            _ => self.call("list"),
        }
    }

    /// `run`, to the end of the payload.
    pub(crate) fn run(&self, pace: Pace) -> Result<Cost> {
        let result = self.operate(pace, "run", || Ok(self.call_run(&[])));
        if result.is_err() {
            self.remove_remains();
        }
        result
    }

    /// The command line of `run`, for the floor with these flags of its own.
    pub(crate) fn call_run(&self, flags: &[&str]) -> Call<'a> {
        match self.subject.kind {
            Kind::Floor => self.call_floor("run", &flags.iter().map(OsString::from).collect::<Vec<_>>()),
            _ => self.on_bundle("run"),
        }
    }

    fn bare_call(&self, command: &str) -> Call<'a> {
        self.lab.call(&self.subject.program, &self.id).args([command])
    }

    /// The floor's `run` or `create`, with what this container differs in from the default one.
    fn call_floor(&self, command: &str, flags: &[OsString]) -> Call<'a> {
        let mut call = self.bare_call(command).args(flags);
        for (flag, value) in
            [("--binds", self.shape.binds as u64), ("--limit", self.shape.memory.unwrap_or(0))]
        {
            if value > 0 {
                call = call.args([flag.to_owned(), value.to_string()]);
            }
        }
        if let (true, Some(profile)) = (self.shape.seccomp, &self.lab.seccomp) {
            call = call.args(["--seccomp".to_owned(), profile.flags.to_string()]).args([&profile.filter]);
        }
        self.floor_place(call.args([self.lab.rootfs()])).args(["--"]).args(self.shape.args)
    }

    /// Adds where the floor has its cgroups.
    fn floor_place(&self, call: Call<'a>) -> Call<'a> {
        let hierarchies = self.lab.hierarchies.iter().map(|h| format!("{}@{}", h.options, h.dir.display()));
        call.args([format!("{}/{}", self.lab.group, self.id)]).args(hierarchies)
    }

    /// The FIFO at which the floor's container waits for its start.
    fn gate(&self) -> PathBuf {
        self.lab.state().join(format!("{}.gate", self.id))
    }

    /// The file by which the floor's `list` knows of the container.
    fn record(&self) -> PathBuf {
        self.subject.state_root(self.lab).join(&self.id)
    }

    /// Keeps for the floor which process its container has, outside the time of its commands.
    pub(crate) fn find_process(&mut self) -> Result<()> {
        if self.subject.kind != Kind::Floor {
            return Ok(());
        }
        self.pid = self.lab.processes(&self.id)?.first().copied();
        fs::write(self.record(), self.process()?.to_string()).at(self.record())
    }

    fn process(&self) -> Result<i32> {
        self.pid.ok_or_else(|| Error::Failed("the floor's container is gone".into()))
    }

    /// Makes it run, without taking the time.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.create(Pace::Tight)?;
        self.start(Pace::Tight).map(drop)
    }

    /// `exec` of `true`, in the foreground, perhaps upon a terminal.
    pub(crate) fn exec(&self, pace: Pace, terminal: Option<BorrowedFd<'_>>) -> Result<Cost> {
        match (self.subject.kind, terminal) {
            (_, None) => self.operate(pace, "exec", || self.call_exec()),
            (Kind::Runtime, Some(terminal)) => {
                let call = self.call("exec").args(["--tty", &self.id]).args(Shape::TRUE.args);
                self.time(pace, call.terminal(terminal))
            }
            (_, Some(_)) => Err(Error::Inapplicable),
        }
    }

    /// The command line of `exec` of `true`.
    pub(crate) fn call_exec(&self) -> Result<Call<'a>> {
        if self.subject.kind == Kind::Runtime {
            return Ok(self.call("exec").args([&self.id]).args(Shape::TRUE.args));
        }
        let call = self.bare_call("exec").args([self.process()?.to_string()]);
        Ok(self.floor_place(call).args(["--"]).args(Shape::TRUE.args))
    }

    /// A command that only looks or signals. The floor of these is a process that starts and ends.
    pub(crate) fn small(&self, pace: Pace, command: &str, more: &[&str]) -> Result<Cost> {
        let operation = [&[command], more].concat().join(" ");
        self.operate(pace, &operation, || Ok(self.call_small(command, more)))
    }

    /// The command line of [`Self::small`].
    pub(crate) fn call_small(&self, command: &str, more: &[&str]) -> Call<'a> {
        match self.subject.kind {
            Kind::Runtime | Kind::Library => self.call(command).args([&self.id]).args(more),
            Kind::Floor => self.bare_call("exit"),
        }
    }

    /// Notes that it is about to be created, or has been deleted.
    pub(crate) fn set_exists(&mut self, exists: bool) {
        self.exists = exists;
        if !exists && self.subject.kind == Kind::Floor {
            self.pid = None;
            for file in [self.record(), self.gate()] {
                // A start has removed the gate already.
                let _ = fs::remove_file(file);
            }
        }
    }

    /// Waits until its payload has ended.
    pub(crate) fn wait_stopped(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !self.lab.processes(&self.id).unwrap_or_default().is_empty() {
            if Instant::now() > deadline {
                return Err(Error::Failed("the payload does not end".into()));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn kill_processes(&self) -> Result<Cost> {
        for pid in self.lab.processes(&self.id)? {
            // It may have ended just now.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        self.wait_stopped()?;
        Ok(Cost::default())
    }

    /// Cleans up after a command that failed, by the runtime's own means; what these leave, the final sweep takes.
    fn remove_remains(&self) {
        let _ = match (&self.session, self.subject.kind) {
            (Some(session), _) => session.ask("delete --force"),
            (None, Kind::Floor) => self.kill_processes(),
            (None, _) => self.call_delete(true).time(),
        };
        for hierarchy in &self.lab.hierarchies {
            let _ = fs::remove_dir(hierarchy.dir.join(&self.lab.group).join(&self.id));
        }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        if self.exists {
            self.remove_remains();
            self.set_exists(false);
        }
    }
}
