//! What a profile needs of the running kernel.

use super::profile::{ACTIONS, FLAGS, find, flag_bits};
use super::{Error, Fault, action, flag, notifies};
use crate::config::Seccomp;

/// The first value of a checked profile that the kernel lacks something for. `has_flags` says whether it knows these flags of
/// seccomp(2) together, `has_action` whether it knows a result of filters.
pub(crate) fn lacking(
    profile: &Seccomp,
    has_flags: impl Fn(u32) -> bool,
    has_action: impl Fn(u32) -> bool,
) -> Option<Error> {
    let missing = |at: String, fault| Some(Error { pointer: format!("/linux/seccomp{at}"), fault });
    if !has_flags(0) {
        return missing(String::new(), Fault::NoFilters);
    }
    let notifies = notifies(profile);
    let listener = if notifies { flag::NEW_LISTENER } else { 0 };
    let rules = profile.syscalls.iter().enumerate().map(|(index, rule)| (Some(index), &rule.action));
    let mut known = Vec::new();
    for (rule, name) in std::iter::once((None, &profile.default_action)).chain(rules) {
        let Some(kind) = find(&ACTIONS, name).filter(|kind| !known.contains(kind)) else { continue };
        if !has_action(kind) || kind == action::NOTIFY && !has_flags(listener) {
            let at = rule.map_or("/defaultAction".to_owned(), |index| format!("/syscalls/{index}/action"));
            return missing(at, Fault::NoAction(name.clone()));
        }
        known.push(kind);
    }
    for (index, name) in profile.flags.iter().flatten().enumerate() {
        let bits = find(&FLAGS, name).map_or(0, |flag| flag_bits(flag, notifies));
        if !has_flags(bits | listener) {
            return missing(format!("/flags/{index}"), Fault::NoFlag(name.clone()));
        }
    }
    None
}
