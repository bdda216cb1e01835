//! `/linux/seccomp`, as its compiler judges it.

use super::report::Report;
use crate::config::Seccomp;
use crate::seccomp;

pub(super) fn check(seccomp: &Seccomp, unknown_fails: bool, report: &mut Report) {
    for seccomp::Error { pointer, fault } in seccomp::check(seccomp) {
        let refused = unknown_fails && matches!(fault, seccomp::Fault::UnknownSyscall(_));
        if fault.is_warning() && !refused {
            report.warning(pointer, fault.to_string());
        } else {
            report.error(pointer, fault.to_string());
        }
    }
    if let Some(path) = &seccomp.listener_path {
        report.host_path("/linux/seccomp/listenerPath", path);
    }
}
