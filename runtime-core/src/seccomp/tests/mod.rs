//! The compiler against the specification, against a second reading of it, and against libseccomp.
// The fuzz target uses a part of it, so it is not for tests alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(fuzzing, allow(dead_code))]

#[cfg(test)]
mod bench;
#[cfg(test)]
mod cost;
#[cfg(test)]
mod crates;
#[cfg(test)]
mod differential;
mod emulator;
#[cfg(test)]
mod faults;
pub(super) mod fuzz;
#[cfg(test)]
mod kernel;
#[cfg(test)]
mod loaded;
mod model;
#[cfg(test)]
mod oracle;
mod profiles;
#[cfg(test)]
mod rules;
