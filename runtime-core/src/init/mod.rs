//! The interpreter of a plan's container side: a program of its own, see `main.rs`.
//!
//! It is a module of the library too, for its lints and unit tests, and since the launcher makes its system
//! calls through the same stubs. `core` alone: no libc, no allocation, no panic.

// What only the program uses is dead code in the library.
#![allow(dead_code)]

pub(crate) mod abi;
mod console;
mod copy;
mod dev;
mod exec;
pub(crate) mod fault;
mod hide;
mod hook;
mod interpret;
mod link;
mod mask;
pub(crate) mod mount;
mod mountinfo;
pub(crate) mod net;
pub(crate) mod nr;
mod passwd;
mod path;
mod process;
pub(crate) mod sys;

use crate::wire;
