//! The top of the document: version, root, names, annotations, other platforms.

use super::report::{Report, quote};
use super::version;
use crate::config::{Annotations, Spec};

/// Longest host or domain name that the kernel takes.
const MAX_NAME: usize = 64;

pub(super) fn check(spec: &Spec, report: &mut Report) {
    oci_version(&spec.oci_version, report);
    match &spec.root {
        None => {
            report
                .error("/root", "root must be specified")
                .hint("the container's root filesystem is missing");
        }
        Some(root) if root.path.is_empty() => {
            report.error("/root/path", "the path must not be empty");
        }
        Some(root) => report.length("/root/path", &root.path),
    }
    if spec.process.is_none() {
        report.error("/process", "process property must not be empty");
    }
    for (pointer, name) in [("/hostname", &spec.hostname), ("/domainname", &spec.domainname)] {
        if name.as_ref().is_some_and(|name| name.len() > MAX_NAME) {
            report.error(pointer, format!("the name is longer than {MAX_NAME} bytes"));
        }
    }
    annotations(spec, report);
    for (pointer, platform) in [
        ("/windows", &spec.windows),
        ("/solaris", &spec.solaris),
        ("/vm", &spec.vm),
        ("/zos", &spec.zos),
        ("/freebsd", &spec.freebsd),
    ] {
        if platform.is_some() {
            report.warning(pointer, "settings of another platform have no effect");
        }
    }
}

fn annotations(spec: &Spec, report: &mut Report) {
    if spec.annotations.contains_key("") {
        report.error("/annotations/", "an annotation has an empty key");
    }
    let annotations = Annotations::of(&spec.annotations);
    for (name, fault) in annotations.faults {
        report.error(format_args!("/annotations/{name}"), fault);
    }
    let user = spec.process.as_ref().map(|process| &process.user);
    if annotations.keep_groups && user.is_some_and(|user| !user.additional_gids.is_empty()) {
        let message = "no effect: the annotation run.oci.keep_original_groups keeps the caller's groups";
        report.warning("/process/user/additionalGids", message);
    }
}

fn oci_version(version: &str, report: &mut Report) {
    match version::major(version) {
        Some(1) => {}
        Some(major) => {
            report
                .error("/ociVersion", format!("version {major} of the specification is not supported"))
                .hint("this runtime follows version 1");
        }
        None => {
            report
                .error("/ociVersion", format!("{} is not a version number", quote(version)))
                .hint("a version looks like 1.2.0");
        }
    }
}
