//! The compiler against the specification, against a second reading of it, and against libseccomp.

mod cost;
mod crates;
mod differential;
mod emulator;
mod faults;
mod loaded;
mod model;
mod oracle;
mod profiles;
mod rules;
