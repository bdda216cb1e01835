//! What is on disk: one directory for each container, its lock, its record, its start gate.
//!
//! A container's directory is prepared under a name that no id can have and then claimed by one rename, so an id that
//! exists always has its lock and its record. The record says what is about to be done before it is done; whatever a
//! runtime killed in between leaves behind can be found by it.

mod entry;
mod identity;
mod outline;
mod record;

pub(crate) use entry::{Below, Entry, Lock, Store};
pub(crate) use identity::Identity;
pub(crate) use outline::Outline;
pub(crate) use record::{Creator, Init, KeptConfig, Record, RootMount, VERSION};
