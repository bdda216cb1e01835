//! Is this configuration one that can be run? Findings, each with the JSON pointer of the value.
//!
//! Pure: what only the host can tell (does a path exist, is a namespace the host's) is asked later.
//! Everything is judged, so that one look shows every fault.

pub mod capabilities;
pub mod rlimits;
pub(crate) mod schedule;
pub mod sysctl;

pub(crate) mod cpu_list;
mod hooks;
mod id_maps;
mod ids;
mod linux;
mod mounts;
mod namespaces;
mod process;
mod report;
mod resources;
mod seccomp;
mod text;
mod top;
mod version;

use std::fmt;
use std::ops::Deref;

use crate::config::{Annotations, IntelRdt, Mount, Process, Resources, Spec};
pub(crate) use namespaces::TYPES as NAMESPACES;
use report::Report;

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// JSON pointer of the value it is about; empty for the whole document.
    pub pointer: String,
    /// Whether the configuration can be run all the same.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a finding means for the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The value makes no sense: the container cannot be created.
    Error,
    /// The container can be created; the value has no effect, or not the one it may seem to have.
    Warning,
}

impl Finding {
    /// Whether it keeps the container from being created.
    pub fn is_fatal(&self) -> bool {
        self.severity != Severity::Warning
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() { "the document" } else { &self.pointer };
        write!(f, "{pointer}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// A configuration that has passed every check; plans are made of nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Checked<'a>(&'a Spec);

impl<'a> Checked<'a> {
    /// Checks a configuration: the warnings if it can be run, every finding if it cannot.
    pub fn new(spec: &'a Spec) -> Result<(Self, Vec<Finding>), Vec<Finding>> {
        let findings = check(spec);
        if findings.iter().any(Finding::is_fatal) { Err(findings) } else { Ok((Self(spec), findings)) }
    }

    /// The configuration, for as long as it lives.
    pub fn spec(self) -> &'a Spec {
        self.0
    }
}

impl Deref for Checked<'_> {
    type Target = Spec;

    fn deref(&self) -> &Spec {
        self.0
    }
}

/// Everything that is wrong with a configuration.
pub fn check(spec: &Spec) -> Vec<Finding> {
    let mut report = Report::default();
    text::check(spec, "", &mut report);
    top::check(spec, &mut report);
    if let Some(process) = &spec.process {
        process::check(process, "/process", &mut report);
    }
    hooks::check(&spec.hooks, &mut report);
    mounts::check(&spec.mounts, "/mounts", &mut report);
    namespaces::check(spec, &mut report);
    if let Some(linux) = &spec.linux {
        linux::check(linux, &mut report);
        id_maps::check(spec, linux, &mut report);
        if let Some(seccomp) = &linux.seccomp {
            let unknown_fails = Annotations::of(&spec.annotations).unknown_syscalls_fail;
            seccomp::check(seccomp, unknown_fails, &mut report);
        }
    }
    report.findings
}

/// Everything that is wrong with a process to execute; `at` is where it stands in its document.
pub fn check_process(process: &Process, at: &str) -> Vec<Finding> {
    let mut report = Report::default();
    text::check(process, at, &mut report);
    process::check(process, at, &mut report);
    report.findings
}

/// Everything that is wrong with mounts for a running container; `at` is where the list stands in its document.
pub fn check_mounts(mounts: &[Mount], at: &str) -> Vec<Finding> {
    let mut report = Report::default();
    text::check(&mounts, at, &mut report);
    mounts::check(mounts, at, &mut report);
    report.findings
}

/// Everything that is wrong with new limits; `at` is where they stand in their document.
pub fn check_resources(resources: &Resources, at: &str) -> Vec<Finding> {
    let mut report = Report::default();
    text::check(resources, at, &mut report);
    resources::check(resources, at, &mut report);
    report.findings
}

/// Everything that is wrong with another share of caches and memory bandwidth.
pub fn check_intel_rdt(rdt: &IntelRdt) -> Vec<Finding> {
    const AT: &str = "/linux/intelRdt";
    let mut report = Report::default();
    text::check(rdt, AT, &mut report);
    linux::intel_rdt(rdt, &mut report);
    report.findings
}
