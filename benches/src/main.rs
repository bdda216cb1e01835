//! Times corten beside the installed peers, and beside the least that the kernel asks.
//!
//! One process starts another for each view of cgroups, takes the orphans that containers leave, and cleans up, however
//! the measuring one ends.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use nix::sys::prctl::set_child_subreaper;
use nix::sys::signal::{SigSet, Signal};
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
mod quantities;
mod report;
mod results;
mod stats;
mod subject;
mod view;

use args::{Args, HELP};
use error::{At, Error, Result};
use results::Section;
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
    if !geteuid().is_root() {
        return Err(Error::Usage("the benchmark needs root".into()));
    }
    match &args.measure {
        Some(dir) => measure::section(&args, dir),
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
    // Orphaned containers come to this process, and an interrupt ends only the measuring one: this one cleans up.
    set_child_subreaper(true).at("the role of a subreaper")?;
    let stops = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect::<SigSet>();
    stops.thread_block().at("the signal mask")?;
    let mut sections = Vec::new();
    for view in views {
        let dir = env::temp_dir().join(format!("corten-bench.{}", std::process::id()));
        let section = measure_apart(words, view, &dir);
        lab::sweep(&dir);
        sections.push(section?);
    }
    for path in &args.also {
        let text = fs::read(path).at(path)?;
        let more: Vec<Section> = serde_json::from_slice(&text).at(path)?;
        sections.extend(more);
    }
    report::write(&args.out, &sections)
}

/// Runs this program again for one view, and reads what it measured.
fn measure_apart(words: &[OsString], view: View, dir: &Path) -> Result<Section> {
    fs::create_dir(dir).at(dir)?;
    let program = env::current_exe().at("/proc/self/exe")?;
    let mut command = Command::new(program);
    let child =
        command.args(words).args(["--view", view.name()]).arg("--measure").arg(dir).spawn().at("bench")?;
    let pid = Pid::from_raw(child.id() as i32);
    loop {
        match wait() {
            Ok(WaitStatus::Exited(ended, 0)) if ended == pid => break,
            Ok(status) if status.pid() == Some(pid) => {
                return Err(Error::Failed(format!("the view {} was not measured", view.name())));
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(e) => return Err(e).at("wait"),
        }
    }
    let path = dir.join("section.json");
    let text = fs::read(&path).at(&path)?;
    serde_json::from_slice(&text).at(&path)
}
