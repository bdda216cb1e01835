//! Running one command and taking its time.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeVal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

use crate::error::{At, Error, Result};
use crate::stats::Cost;

/// No command of a runtime may take longer: a peer that hangs is a result, not the end of the benchmark.
const TIME_LIMIT: Duration = Duration::from_secs(20);

/// A command line, its standard streams, and where its messages go.
pub(crate) struct Call<'a> {
    command: Command,
    messages: PathBuf,
    terminal: Option<BorrowedFd<'a>>,
}

impl<'a> Call<'a> {
    /// A call without input and output; what it says on standard error goes to the file `messages`.
    pub(crate) fn new(program: &Path, messages: PathBuf) -> Self {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Self { command, messages, terminal: None }
    }

    /// Adds arguments.
    pub(crate) fn args<T: AsRef<std::ffi::OsStr>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.command.args(args);
        self
    }

    /// The same command as the argument of another program; for calls without a terminal.
    pub(crate) fn under(self, program: &Path) -> Self {
        let call = Self::new(program, self.messages);
        let inner = std::iter::once(self.command.get_program()).chain(self.command.get_args());
        call.args(inner.collect::<Vec<_>>())
    }

    /// Makes a terminal the input and all output.
    pub(crate) fn terminal(mut self, terminal: BorrowedFd<'a>) -> Self {
        self.terminal = Some(terminal);
        self
    }

    fn open_streams(&mut self) -> Result<()> {
        if let Some(terminal) = self.terminal {
            let stream = || terminal.try_clone_to_owned().map(Stdio::from).at("the terminal");
            self.command.stdin(stream()?).stdout(stream()?).stderr(stream()?);
        } else {
            self.command.stderr(File::create(&self.messages).at(&self.messages)?);
        }
        Ok(())
    }

    /// Runs it to its end; it must succeed.
    pub(crate) fn time(mut self) -> Result<Cost> {
        self.open_streams()?;
        let cpu = children_cpu()?;
        let start = Instant::now();
        let mut child = self.command.spawn().at(self.command.get_program())?;
        let pid = Pid::from_raw(child.id() as i32);
        let guard = Deadline::set(pid);
        // Not reaped yet, so that the deadline cannot hit another process of the same number.
        let ended = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        let wall = start.elapsed();
        drop(guard);
        let status = child.wait().at("wait")?;
        ended.at("waitid")?;
        if !status.success() {
            return Err(Error::Failed(self.last_words(wall, &status.to_string())));
        }
        Ok(Cost { wall, cpu: children_cpu()?.saturating_sub(cpu) })
    }

    /// Runs it to its end; it must succeed: its output.
    pub(crate) fn output(mut self) -> Result<String> {
        let path = self.messages.with_extension("out");
        self.command.stdout(File::create(&path).at(&path)?);
        self.time()?;
        fs::read_to_string(&path).at(&path)
    }

    fn last_words(&self, wall: Duration, status: &str) -> String {
        if wall >= TIME_LIMIT {
            return format!("hangs: killed after {} s", TIME_LIMIT.as_secs());
        }
        let text = fs::read(&self.messages).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or(status);
        message_of(line).to_owned()
    }
}

/// The message in a line of the text log format, or the line.
fn message_of(line: &str) -> &str {
    let message = line.split_once("msg=\"").map_or(line, |(_, message)| message);
    message.trim_end().trim_end_matches('"')
}

fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).at("getrusage")?;
    let duration = |time: TimeVal| {
        Duration::new(time.tv_sec().unsigned_abs(), 1000 * u32::try_from(time.tv_usec()).unwrap_or(0))
    };
    Ok(duration(usage.user_time()) + duration(usage.system_time()))
}

/// The running commands and when each of them is killed.
static DEADLINES: OnceLock<Mutex<HashMap<Pid, Instant>>> = OnceLock::new();

/// While this lives, its process is killed when its time is up.
struct Deadline(Pid);

impl Deadline {
    fn set(pid: Pid) -> Self {
        lock_deadlines().insert(pid, Instant::now() + TIME_LIMIT);
        Self(pid)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        lock_deadlines().remove(&self.0);
    }
}

fn lock_deadlines() -> MutexGuard<'static, HashMap<Pid, Instant>> {
    let deadlines = DEADLINES.get_or_init(|| {
        thread::spawn(watch);
        Mutex::default()
    });
    deadlines.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch() {
    loop {
        thread::sleep(Duration::from_secs(1));
        for (pid, deadline) in lock_deadlines().iter() {
            if Instant::now() > *deadline {
                // An error means that it has just ended.
                let _ = kill(*pid, Signal::SIGKILL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        assert_eq!(message_of("crun: no"), "crun: no");
        assert_eq!(message_of("time=\"2024\" level=error msg=\"no \\\"such\""), "no \\\"such");
    }
}
