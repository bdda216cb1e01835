//! User and group ids.

use std::fmt::Display;

use super::report::Report;

/// The kernel takes this number for "leave as it is", so that no user or group can have it.
const NO_ID: u32 = u32::MAX;

pub(super) fn check(pointer: impl Display, id: u32, report: &mut Report) {
    if id == NO_ID {
        report.error(pointer, format!("{id} is not a user or group id"));
    }
}
