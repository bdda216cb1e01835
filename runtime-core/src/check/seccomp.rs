//! `/linux/seccomp`, as its compiler judges it.

use super::report::Report;
use crate::config::Seccomp;
use crate::seccomp;

pub(super) fn check(seccomp: &Seccomp, report: &mut Report) {
    for seccomp::Error { pointer, fault } in seccomp::check(seccomp) {
        if fault.is_warning() {
            report.warning(pointer, fault.to_string());
        } else {
            report.error(pointer, fault.to_string());
        }
    }
    if let Some(path) = &seccomp.listener_path {
        report.host_path("/linux/seccomp/listenerPath", path);
    }
}
