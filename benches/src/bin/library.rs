//! `runtime-core` in a process that stays: the same operations as the command's, without the start of a process.
//!
//! usage: `library STATE BUNDLE ID`. Each line of standard input is an operation; the answer is a line with the nanoseconds
//! that it took and those of its processor time, or the error.

use std::env;
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, Write, stdin, stdout};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use runtime_core::{Bundle, Container, CreateOptions, ExecOptions, Id, Runtime, StartOptions};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

fn main() -> Result<()> {
    let mut args = env::args_os().skip(1);
    let (Some(state), Some(bundle), Some(id)) = (args.next(), args.next(), args.next()) else {
        return Err("usage: library STATE BUNDLE ID".into());
    };
    let id = Id::new(id.to_string_lossy())?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let mut host = Host {
        runtime: Runtime::new(PathBuf::from(state)),
        bundle: bundle.into(),
        id,
        null,
        container: None,
    };
    for line in stdin().lock().lines() {
        let line = line?;
        let (start, cpu) = (Instant::now(), processor_time()?);
        match host.operate(&line) {
            Ok(()) => {
                let (wall, cpu) = (start.elapsed(), processor_time()?.saturating_sub(cpu));
                writeln!(stdout(), "{} {}", wall.as_nanos(), cpu.as_nanos())?;
            }
            Err(e) => writeln!(stdout(), "error: {e}")?,
        }
    }
    Ok(())
}

/// A program that embeds the library, with one container.
struct Host {
    runtime: Runtime,
    bundle: PathBuf,
    id: Id,
    null: File,
    container: Option<Container>,
}

impl Host {
    fn operate(&mut self, operation: &str) -> Result<()> {
        match operation {
            "create" => self.create(),
            "start" => Ok(self.container()?.start(&StartOptions::default())?),
            "delete" => self.delete(),
            "delete --force" => self.delete_forced(),
            "run" => {
                self.create()?;
                self.operate("start")?;
                self.container()?.wait()?;
                self.delete()
            }
            "exec" => self.exec(),
            "state" => self.container()?.state().map(drop).map_err(Into::into),
            "kill CONT" => Ok(self.container()?.kill(nix::libc::SIGCONT, false)?),
            other => Err(format!("no operation {other:?}").into()),
        }
    }

    fn container(&mut self) -> Result<&mut Container> {
        self.container.as_mut().ok_or_else(|| "no container".into())
    }

    fn stdio(&self) -> Option<[BorrowedFd<'_>; 3]> {
        Some([self.null.as_fd(); 3])
    }

    fn create(&mut self) -> Result<()> {
        let bundle = Bundle::load(Path::new(&self.bundle))?;
        let options = CreateOptions { stdio: self.stdio(), ..CreateOptions::default() };
        self.container = Some(self.runtime.create(&self.id, &bundle, &options)?);
        Ok(())
    }

    fn delete(&mut self) -> Result<()> {
        self.container()?.delete()?;
        self.container = None;
        Ok(())
    }

    fn delete_forced(&mut self) -> Result<()> {
        self.runtime.delete_forced(&self.id)?;
        if let Some(container) = self.container.take() {
            // As its maker this process has a zombie to reap.
            container.wait()?;
        }
        Ok(())
    }

    fn exec(&mut self) -> Result<()> {
        let options = ExecOptions { stdio: self.stdio(), ..ExecOptions::default() };
        let container = self.container.as_ref().ok_or("no container")?;
        let mut process = container.process()?.clone();
        process.args = vec!["/bin/true".into()];
        container.exec(&process, &options)?.wait()?;
        Ok(())
    }
}

/// The processor time of this process and of the children it has waited for.
fn processor_time() -> Result<Duration> {
    let mut sum = 0;
    for who in [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN] {
        let usage = getrusage(who)?;
        sum += usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    }
    Ok(Duration::from_micros(sum.unsigned_abs()))
}
