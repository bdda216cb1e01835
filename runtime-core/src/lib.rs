//! An OCI container runtime as a library.
