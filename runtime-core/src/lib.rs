//! An OCI container runtime as a library.

pub mod bundle;
pub mod cgroup;
pub mod check;
pub mod config;
pub mod host;
mod init;
#[allow(dead_code)] // until the operations are there
mod launch;
pub mod plan;
mod pointer;
mod sys;
pub mod wire;
