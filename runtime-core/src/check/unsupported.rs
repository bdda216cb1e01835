//! What the specification knows and this runtime does not do yet. It is refused by name: to leave
//! it out in silence would be to run another container than the one that was asked for.

use super::report::Report;
use crate::config::{Linux, Spec};

pub(super) fn check(spec: &Spec, report: &mut Report) {
    let none = Linux::default();
    let linux = spec.linux.as_ref().unwrap_or(&none);
    check_linux(linux, report);
}

fn check_linux(linux: &Linux, report: &mut Report) {
    let fields = [("intelRdt", linux.intel_rdt.is_some())];
    refuse("/linux", fields, report);
}

fn refuse<const N: usize>(at: &str, fields: [(&str, bool); N], report: &mut Report) {
    for (field, _) in fields.into_iter().filter(|(_, present)| *present) {
        report.unsupported(format_args!("{at}/{field}"));
    }
}
