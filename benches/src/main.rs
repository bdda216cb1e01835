//! Times corten beside the installed peers, and beside the least that the kernel asks.
//!
//! One process starts another for each view of cgroups, takes the orphans that containers leave, and cleans up, however
//! the measuring one ends.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::{Pid, geteuid};

mod args;
mod cases;
mod chart;
mod command;
mod config;
mod container;
mod crowd;
mod error;
mod lab;
mod measure;
mod profile;
mod quantities;
mod report;
mod results;
mod session;
mod stats;
mod subject;
mod targets;
mod turns;
mod view;

use args::{Args, HELP};
use error::{At, Error, Result};
use results::Section;
use subject::OURS;
use view::View;

fn main() -> ExitCode {
    match go(env::args_os().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn go(words: Vec<OsString>) -> Result<()> {
    let args = Args::parse(words.iter().cloned())?;
    if args.help {
        print!("{HELP}");
        return Ok(());
    }
    if args.cases.iter().any(|name| name == "help") {
        println!("{}", measure::names().join("\n"));
        return Ok(());
    }
    measure::check_names(&args.cases)?;
    if let Some(path) = &args.from {
        return report::write(args.out(), &sections(path)?, &elsewhere(&args)?);
    }
    if !geteuid().is_root() {
        return Err(Error::Usage("the benchmark needs root".into()));
    }
    match &args.measure {
        Some(dir) => {
            stops().thread_unblock().at("the signal mask")?;
            measure::section(&args, dir)
        }
        None => orchestrate(&args, &words),
    }
}

/// Measures each view in a process of its own, and writes the report.
fn orchestrate(args: &Args, words: &[OsString]) -> Result<()> {
    let available = View::available();
    let views = match args.view {
        Some(view) if !available.contains(&view) => {
            return Err(Error::Usage(format!("this host has no view {}", view.name())));
        }
        Some(view) => vec![view],
        None => available,
    };
    if args.subjects.is_empty() && lab::find_program(OURS).is_none() {
        return Err(Error::Usage(format!("no {OURS} found: build it by `make`, or name one: {OURS}=PATH")));
    }
    let also = elsewhere(args)?;
    // Orphaned containers come to this process, which reaps them.
    set_child_subreaper(true).at("the role of a subreaper")?;
    pass_on_signals()?;
    let (mut measured, mut failed) = (Vec::new(), Vec::new());
    for view in views {
        let dir = env::temp_dir().join(format!("corten-bench.{}", std::process::id()));
        let section = measure_apart(words, view, &dir);
        lab::sweep(&dir);
        match section {
            Ok(section) => measured.push(section),
            Err(Error::Stopped) => return Err(Error::Stopped),
            Err(e) => failed.push(e.to_string()),
        }
    }
    if !measured.is_empty() {
        report::write(args.out(), &measured, &also)?;
    }
    if failed.is_empty() { Ok(()) } else { Err(Error::Failed(failed.join("; "))) }
}

/// What other machines have measured.
fn elsewhere(args: &Args) -> Result<Vec<Section>> {
    let also: Vec<Vec<Section>> = args.also.iter().map(|path| sections(path)).collect::<Result<_>>()?;
    Ok(also.into_iter().flatten().collect())
}

/// Reads a `results.json`.
fn sections(path: &Path) -> Result<Vec<Section>> {
    serde_json::from_slice(&fs::read(path).at(path)?).at(path)
}

/// The signals that should end the benchmark. A child starts with the mask of its parent.
fn stops() -> SigSet {
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect()
}

/// The process that measures, or 0.
static MEASURING: AtomicI32 = AtomicI32::new(0);

/// Lets a signal that should end the benchmark end the measuring process alone: this one cleans up after it.
fn pass_on_signals() -> Result<()> {
    stops().thread_block().at("the signal mask")?;
    thread::spawn(|| {
        while let Ok(signal) = stops().wait() {
            let pid = MEASURING.load(Ordering::Relaxed);
            if pid > 0 {
                // It may have had the same signal from the terminal, and be gone.
                let _ = kill(Pid::from_raw(pid), signal);
            }
        }
    });
    Ok(())
}

/// Runs this program again for one view, and reads what it measured.
fn measure_apart(words: &[OsString], view: View, dir: &Path) -> Result<Section> {
    fs::create_dir(dir).at(dir)?;
    let program = env::current_exe().at("/proc/self/exe")?;
    let mut command = Command::new(program);
    let child =
        command.args(words).args(["--view", view.name()]).arg("--measure").arg(dir).spawn().at("bench")?;
    let pid = Pid::from_raw(child.id() as i32);
    MEASURING.store(pid.as_raw(), Ordering::Relaxed);
    let status = reap_until(pid);
    MEASURING.store(0, Ordering::Relaxed);
    match status? {
        WaitStatus::Exited(_, 0) => {}
        WaitStatus::Signaled(_, signal, _) if stops().contains(signal) => return Err(Error::Stopped),
        _ => return Err(Error::Failed(format!("the view {} was not measured", view.name()))),
    }
    let path = dir.join("section.json");
    let text = fs::read(&path).at(&path)?;
    serde_json::from_slice(&text).at(&path)
}

/// Reaps whatever ends, until this child does.
fn reap_until(pid: Pid) -> Result<WaitStatus> {
    loop {
        match wait() {
            Ok(status) if status.pid() == Some(pid) => return Ok(status),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e).at("wait"),
        }
    }
}
