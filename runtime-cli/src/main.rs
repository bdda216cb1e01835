//! corten, an OCI container runtime with runc's command line. What it does to containers it does through
//! the public interface of `runtime-core`; here are arguments, formats, exit codes and terminals.

// The start is `sys::start`'s.
#![cfg_attr(not(test), no_main)]

mod commands;
mod descriptors;
mod duration;
mod failure;
mod flags;
mod foreground;
mod globals;
mod log;
mod output;
mod pid_file;
mod procfs;
mod root;
mod size;
mod socket;
mod sys;

use std::ffi::OsString;

use descriptors::Descriptors;
use failure::{Failure, NO_COMMAND, Outcome};
use flags::{Action, Help, Usage};
use globals::Globals;

/// musl's own returns each small piece of memory to the kernel, to ask for it again a moment later.
#[global_allocator]
static ALLOCATOR: sys::Allocator = sys::Allocator::new();

/// Does what the command line says; the answer is the exit status.
fn command(mut words: Vec<OsString>) -> u8 {
    let descriptors = Descriptors::take();
    let arguments = words.split_off(words.len().min(1));
    let program = words.pop().unwrap_or_default();
    let (flags, action) = flags::command_line(&program, &arguments);
    let outcome = Globals::new(&flags, descriptors).and_then(|globals| match action {
        Ok(action) => perform(&globals, action).map_err(|failure| globals.root.explain(failure)),
        Err(usage) => Err(explain(usage)?),
    });
    match outcome {
        Ok(status) => {
            log::release();
            status
        }
        Err(failure) => {
            log::failure(&failure);
            failure.status
        }
    }
}

fn perform(globals: &Globals, action: Action) -> Outcome {
    match action {
        Action::Help(command) => output::print(&Help(command).to_string()),
        Action::Version => output::print(&version()),
        Action::Run(command, matches) => (command.run)(globals, &matches),
    }
}

/// Shows the help that a wrong command line asks for, and makes the failure of it.
fn explain(usage: Usage) -> Result<Failure, Failure> {
    match usage {
        Usage::Command(name) => Ok(Failure::new(format!("No help topic for '{name}'\n")).status(NO_COMMAND)),
        Usage::Flag(text, command) => {
            output::complain(&format!("Incorrect Usage: {text}\n"));
            output::print(&Help(command).to_string())?;
            Ok(Failure::new(text))
        }
        Usage::Arguments(text, command) => {
            output::print(&format!("Incorrect Usage.\n\n{}", Help(Some(command))))?;
            Ok(Failure::new(text))
        }
    }
}

/// The first line is there for engines that know runtimes by it: it names the release of runc whose command line this is.
fn version() -> String {
    let commit = option_env!("CORTEN_COMMIT").map(|commit| format!("commit: {commit}\n"));
    format!(
        "runc version 1.3.0\ncorten version {}\n{}spec: {}\n",
        env!("CARGO_PKG_VERSION"),
        commit.unwrap_or_default(),
        runtime_core::OCI_VERSION,
    )
}
