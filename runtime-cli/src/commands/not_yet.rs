//! Commands whose flags are known, so that engines can ask for them, but which do nothing so far.

use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::globals::Globals;

pub(crate) fn checkpoint(_: &Globals, _: &Matches) -> Outcome {
    refuse("checkpoint")
}

pub(crate) fn restore(_: &Globals, _: &Matches) -> Outcome {
    refuse("restore")
}

fn refuse(command: &str) -> Outcome {
    Err(Failure::new(format!("the command {command} is not supported yet")))
}
