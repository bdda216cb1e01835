//! `corten spec`: writes a configuration to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use nix::unistd::{getegid, geteuid};
use runtime_core::cgroup::{Layout, Version};
use runtime_core::config::Spec;

use super::bundle_dir;
use crate::failure::{Failure, Outcome};
use crate::flags::Matches;
use crate::flags::table::SPEC_ROOTLESS;
use crate::globals::Globals;
use crate::output;

const NAME: &str = "config.json";

pub(crate) fn run(_: &Globals, flags: &Matches) -> Outcome {
    let mut spec = if flags.is_set(&SPEC_ROOTLESS) {
        Spec::rootless_template(geteuid().as_raw(), getegid().as_raw())
    } else {
        Spec::template()
    };
    // Tools that read a container's cgroup of version 1 expect the host's path, as runc's template gives it to them.
    let unified = Layout::detect().is_ok_and(|layout| layout.version() == Version::V2);
    if let Some(linux) = spec.linux.as_mut().filter(|_| !unified) {
        linux.namespaces.retain(|namespace| namespace.typ != "cgroup");
    }
    let text = output::indented_json(&spec, "\t")?;
    let path = bundle_dir(flags).join(NAME);
    let file = OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => Failure::new(format!("File {NAME} exists. Remove it first")),
        _ => Failure::file("open", &path, error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| Failure::file("write", &path, error))?;
    Ok(0)
}
