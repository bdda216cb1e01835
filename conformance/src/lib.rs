//! The harness of the integration tests: bundles, containers, and looks at the kernel.
