//! An OCI container runtime as a library.

pub mod bundle;
pub mod cgroup;
pub mod check;
pub mod config;
pub mod plan;
mod pointer;
mod sys;
pub mod wire;
