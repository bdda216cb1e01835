//! `corten create`: makes a container whose process waits to be started.

use super::new_container::NewContainer;
use crate::failure::Outcome;
use crate::flags::Matches;
use crate::globals::Globals;

pub(crate) fn run(globals: &Globals, flags: &Matches) -> Outcome {
    NewContainer::new(globals, flags, true)
        .and_then(|new| new.create(None, false))
        .map(|_| 0)
        .map_err(|failure| failure.context("runc create failed"))
}
