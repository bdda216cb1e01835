//! Kernels that lack something: what of a profile is at fault.

use serde_json::{Value, json};

use super::super::{ACTIONS, FLAGS, flag, lacking};

const ALL: u32 = 0b11_1111;

/// The first fault on a kernel with these flags and without these actions.
fn fault(profile: Value, flags: u32, without: &[&str]) -> Option<String> {
    let profile = serde_json::from_value(profile).unwrap();
    // As the kernel judges combinations.
    let has_flags = |asked: u32| {
        let listener = asked & flag::NEW_LISTENER != 0;
        let needs_listener = asked & flag::WAIT_KILLABLE_RECV != 0 && !listener;
        let conflict = listener && asked & flag::TSYNC != 0 && asked & flag::TSYNC_ESRCH == 0;
        asked & !flags == 0 && !needs_listener && !conflict
    };
    let has_action = |asked| {
        let known = |(name, action): &(&str, u32)| *action == asked && !without.contains(name);
        ACTIONS.iter().any(known)
    };
    lacking(&profile, has_flags, has_action).map(|error| error.to_string())
}

fn profile(flags: Value, actions: &[&str]) -> Value {
    let rules: Vec<Value> =
        actions.iter().map(|action| json!({"names": ["mkdir"], "action": action})).collect();
    json!({"defaultAction": "SCMP_ACT_ERRNO", "listenerPath": "/agent", "flags": flags, "syscalls": rules})
}

#[test]
fn a_kernel_that_has_everything() {
    let all_flags: Vec<&str> = FLAGS.iter().map(|(name, _)| *name).collect();
    let all_actions: Vec<&str> = ACTIONS.iter().map(|(name, _)| *name).collect();
    for flags in [json!(null), json!([]), json!(all_flags)] {
        for actions in [&[][..], &all_actions] {
            assert_eq!(fault(profile(flags.clone(), actions), ALL, &[]), None, "{flags} {actions:?}");
        }
    }
}

#[test]
fn each_flag_that_is_missing() {
    for (name, bit) in FLAGS {
        let others = FLAGS.iter().filter(|(_, other)| *other != bit).map(|(name, _)| *name);
        let flags: Vec<&str> = others.chain([name]).collect();
        let message = format!(
            "/linux/seccomp/flags/3: the kernel does not know {name}: use a newer one, or remove the flag"
        );
        let profile = profile(json!(flags), &["SCMP_ACT_NOTIFY"]);
        assert_eq!(fault(profile.clone(), ALL & !bit, &[]), Some(message), "{name}");
    }
    // What the profile does not ask for need not be there.
    assert_eq!(fault(profile(json!([]), &["SCMP_ACT_LOG"]), 0, &[]), None);
}

#[test]
fn each_action_that_is_missing() {
    for (name, _) in ACTIONS {
        let message = |at: &str| {
            Some(format!(
                "/linux/seccomp{at}: the kernel does not know {name}: use a newer one, or another action"
            ))
        };
        let rules = profile(json!(null), &["SCMP_ACT_ERRNO", name]);
        let at = if name == "SCMP_ACT_ERRNO" { "/defaultAction" } else { "/syscalls/1/action" };
        // KILL is another name of KILL_THREAD.
        let without = if name == "SCMP_ACT_KILL" { "SCMP_ACT_KILL_THREAD" } else { name };
        assert_eq!(fault(rules, ALL, &[without, name, "SCMP_ACT_KILL"]), message(at), "{name}");
    }
}

#[test]
fn listeners_and_filters_that_are_missing() {
    let listening = profile(json!(null), &["SCMP_ACT_LOG", "SCMP_ACT_NOTIFY"]);
    let error = fault(listening.clone(), ALL & !flag::NEW_LISTENER, &[]).unwrap();
    assert!(
        error.starts_with("/linux/seccomp/syscalls/1/action: the kernel does not know SCMP_ACT_NOTIFY"),
        "{error}"
    );
    let profile = serde_json::from_value(listening).unwrap();
    let error = lacking(&profile, |_| false, |_| false).unwrap().to_string();
    assert!(error.starts_with("/linux/seccomp: the kernel has no filters"), "{error}");
}
