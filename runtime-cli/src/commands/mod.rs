//! The commands, one file each.

pub(crate) mod check;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod exec;
pub(crate) mod features;
pub(crate) mod kill;
pub(crate) mod list;
pub(crate) mod mounts;
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

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use runtime_core::bundle::{BundleError, CONFIG};
use runtime_core::{Bundle, Container, Id};

use crate::failure::Failure;
use crate::flags::Matches;
use crate::flags::table::{BUNDLE, CONFIG_FILE};
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

/// The file with the configuration: the bundle's own, if no other is given.
fn config_file(flags: &Matches) -> PathBuf {
    flags.path(&CONFIG_FILE).map_or_else(|| bundle_dir(flags).join(CONFIG), Path::to_owned)
}

/// The bundle, with its own configuration or the one given.
fn bundle(flags: &Matches) -> Result<Bundle, BundleError> {
    match flags.path(&CONFIG_FILE) {
        Some(config) => Bundle::load_config(bundle_dir(flags), config),
        None => Bundle::load(bundle_dir(flags)),
    }
}

/// The bytes of a file, or of standard input for `-`.
fn read_input(path: &Path) -> Result<Vec<u8>, Failure> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(path)
    };
    bytes.map_err(|error| Failure::file("open", path, error))
}
