//! An OCI container runtime as a library.

pub mod config;
pub mod wire;
