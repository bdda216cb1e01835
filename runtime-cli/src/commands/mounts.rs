//! `corten mounts`: mounts made in a running container, and taken from it.

use std::path::Path;

use runtime_core::Id;
use runtime_core::bundle::parse_mounts;

use super::read_input;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::globals::Globals;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    let container = globals.runtime().load(&Id::new(flags.argument(1)?)?)?;
    let path = Path::new(flags.argument(2)?);
    let mounts = parse_mounts(&read_input(path)?)
        .map_err(|error| Failure::new(error.to_string()).pointer(error.pointer()).context(path.display()))?;
    match flags.argument(0)? {
        "add" => container.add_mounts(&mounts)?,
        "remove" => container.remove_mounts(&mounts)?,
        other => return Err(Failure::new(format!("unknown operation {other:?}: add or remove"))),
    }
    Ok(0)
}
