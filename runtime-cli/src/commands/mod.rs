//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod kill;
pub(crate) mod list;
mod new_container;
pub(crate) mod not_yet;
pub(crate) mod pause;
pub(crate) mod plan;
mod process;
pub(crate) mod ps;
mod receivers;
pub(crate) mod run;
pub(crate) mod spec;
pub(crate) mod start;
pub(crate) mod state;
mod strict;
pub(crate) mod update;

use std::path::{Path, PathBuf};

use runtime_core::{Container, Id};

use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::BUNDLE;
use crate::globals::Globals;

/// The container that the first argument names.
fn container(globals: &Globals, flags: &Matches) -> Result<Container, Failure> {
    Ok(globals.runtime().load(&id(flags)?)?)
}

/// The id that the first argument is.
fn id(flags: &Matches) -> Result<Id, Failure> {
    Ok(Id::new(flags.argument(0)?)?)
}

/// The directory of the bundle.
fn bundle_dir(flags: &Matches) -> PathBuf {
    flags.path(&BUNDLE).unwrap_or(Path::new(".")).to_owned()
}
