//! One container of one program, and the commands upon it.

use std::fs;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::Child;
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
    /// The floor in the foreground of its container: it has no other way to keep one.
    floor: Option<Child>,
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
        Ok(Self { lab, subject, id, bundle, shape, exists: false, floor: None, session })
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
        if self.subject.kind == Kind::Floor {
            return Err(Error::Inapplicable);
        }
        self.exists = true;
        self.operate(pace, "create", || Ok(self.call_create()))
    }

    /// The command line of `create`.
    pub(crate) fn call_create(&self) -> Call<'a> {
        self.on_bundle("create")
    }

    /// `start`.
    pub(crate) fn start(&self, pace: Pace) -> Result<Cost> {
        self.operate(pace, "start", || Ok(self.call_small("start", &[])))
    }

    /// `delete`, perhaps with `--force`.
    pub(crate) fn delete(&mut self, pace: Pace, force: bool) -> Result<Cost> {
        let cost = if force {
            self.operate(pace, "delete --force", || Ok(self.call_delete_forced()))?
        } else {
            self.operate(pace, "delete", || Ok(self.call_small("delete", &[])))?
        };
        self.exists = false;
        Ok(cost)
    }

    /// The command line of `delete --force`.
    pub(crate) fn call_delete_forced(&self) -> Call<'a> {
        self.call("delete").args(["--force", &self.id])
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
        if self.subject.kind == Kind::Runtime {
            return self.on_bundle("run");
        }
        let number = |value: u64| value.to_string();
        let call = self.lab.call(&self.subject.program, &self.id).args(["run"]).args(flags);
        let call = call.args(["--binds".to_owned(), number(self.shape.binds as u64)]);
        let call = call.args(["--limit".to_owned(), number(self.shape.memory.unwrap_or(0))]);
        self.floor_operands(call.args([self.lab.rootfs()])).args(self.shape.args)
    }

    fn floor_operands(&self, call: Call<'a>) -> Call<'a> {
        let hierarchies = self.lab.hierarchies.iter().map(|h| format!("{}@{}", h.options, h.dir.display()));
        call.args([format!("{}/{}", self.lab.group, self.id)]).args(hierarchies).args(["--"])
    }

    /// Makes it run, without taking the time.
    pub(crate) fn launch(&mut self) -> Result<()> {
        if self.subject.kind != Kind::Floor {
            self.create(Pace::Tight)?;
            return self.start(Pace::Tight).map(drop);
        }
        self.floor = Some(self.call_run(&[]).spawn()?);
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.payload().is_none() {
            if Instant::now() > deadline {
                return Err(Error::Failed("the floor's container does not start".into()));
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// The process in the container, once it has executed the payload.
    fn payload(&self) -> Option<i32> {
        let processes = self.lab.processes(&self.id).ok()?;
        let pid = *processes.first()?;
        fs::read_link(format!("/proc/{pid}/exe")).ok()?.ends_with("bin/busybox").then_some(pid)
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
        let pid = self.payload().ok_or_else(|| Error::Failed("the floor's container is gone".into()))?;
        let call = self.lab.call(&self.subject.program, &self.id).args(["exec".to_owned(), pid.to_string()]);
        Ok(self.floor_operands(call).args(Shape::TRUE.args))
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
            Kind::Floor => self.lab.call(&self.subject.program, &self.id).args(["exit"]),
        }
    }

    /// Notes that a command of the caller's own has created it, or deleted it.
    pub(crate) fn set_exists(&mut self, exists: bool) {
        self.exists = exists;
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

    /// Cleans up after a command that failed, by the runtime's own means; what these leave, the final sweep takes.
    fn remove_remains(&self) {
        let _ = match (&self.session, self.subject.kind) {
            (Some(session), _) => session.ask("delete --force"),
            (None, Kind::Floor) => Ok(Cost::default()),
            (None, _) => self.call_delete_forced().time(),
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
        }
        if let Some(mut floor) = self.floor.take() {
            for pid in self.lab.processes(&self.id).unwrap_or_default() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
            let _ = floor.wait();
        }
    }
}
