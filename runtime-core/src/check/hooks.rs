//! `/hooks`.

use super::report::Report;
use crate::config::{Hook, Hooks};

pub(super) fn check(hooks: &Hooks, report: &mut Report) {
    for (kind, hooks) in hooks.by_kind() {
        for (index, hook) in hooks.iter().enumerate() {
            check_hook(hook, &format!("/hooks/{kind}/{index}"), report);
        }
    }
}

fn check_hook(hook: &Hook, at: &str, report: &mut Report) {
    report.host_path(format_args!("{at}/path"), &hook.path);
    if let Some(seconds) = hook.timeout.filter(|seconds| *seconds <= 0) {
        report.error(format_args!("{at}/timeout"), format!("{seconds} seconds are not more than 0"));
    }
}
