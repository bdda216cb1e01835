//! An OCI container runtime as a library.

pub mod bundle;
pub mod check;
pub mod config;
mod pointer;
pub mod wire;
