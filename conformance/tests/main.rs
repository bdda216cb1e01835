//! The integration tests, one topic per file; each drives the runtime's command and looks at the kernel.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod annotations;
mod badinput;
mod birth;
mod cgroup_files;
mod cgroups;
mod cli;
mod concurrency;
mod crash;
mod delegation;
mod engines;
mod events;
mod exec;
mod faults;
mod fds;
mod hooks;
mod idmap;
mod labels;
mod lifecycle;
mod limits;
mod mounts;
mod namespaces;
mod netdevices;
mod no_pivot;
mod peers;
mod plan;
mod process;
mod rootfs;
mod rootless;
mod schedule;
mod seccomp;
mod security;
mod systemd;
mod terminal;
mod update;
mod userns;
