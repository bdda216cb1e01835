//! corten, an OCI container runtime with runc's command line.
fn main() {}
