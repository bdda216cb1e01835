//! What a profile needs of the running kernel.

use super::profile::{ACTIONS, FLAGS, find, flag_bits};
use super::{Error, Fault, action, flag};
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
    let rules = profile.syscalls.iter().enumerate();
    let rules = rules.map(|(index, rule)| (format!("/syscalls/{index}/action"), rule.action.as_str()));
    let default = ("/defaultAction".to_owned(), profile.default_action.as_str());
    let mut asked = Vec::new();
    let mut listener = 0;
    for (at, name) in std::iter::once(default).chain(rules) {
        let Some(kind) = find(&ACTIONS, name).filter(|kind| !asked.contains(kind)) else { continue };
        if kind == action::NOTIFY {
            listener = flag::NEW_LISTENER;
        }
        if !has_action(kind) || kind == action::NOTIFY && !has_flags(listener) {
            return missing(at, Fault::NoAction(name.to_owned()));
        }
        asked.push(kind);
    }
    for (index, name) in profile.flags.iter().flatten().enumerate() {
        let bits = find(&FLAGS, name).map_or(0, |flag| flag_bits(flag, listener != 0));
        if !has_flags(bits | listener) {
            return missing(format!("/flags/{index}"), Fault::NoFlag(name.clone()));
        }
    }
    None
}
