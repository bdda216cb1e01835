//! Filters as init loads them.

use nix::libc;
use serde_json::{Value, json};

use super::robust::under;
use super::*;
use crate::config::Seccomp;
use crate::host;
use crate::seccomp::{Arch, compile};
use crate::sys;

/// Runs a script after these steps and a filter with this action for new directories.
fn with_filter<T>(action: &str, first: &[Step<'_>], then: impl FnOnce(&[u8]) -> T) -> T {
    let profile = format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent",
            "syscalls": [{{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_{action}"}}]}}"#
    );
    let profile: Seccomp = serde_json::from_str(&profile).unwrap();
    let filter = compile(&profile, Arch::NATIVE.unwrap()).unwrap();
    let code: Vec<u8> = filter.program.iter().flat_map(|one| one.to_bytes()).collect();
    let load = Step::LoadSeccomp { program: Bytes(&code), flags: filter.flags };
    let script = "mkdir /proc/x 2>&1 | sed 's/.*: //'; grep ^Seccomp: /proc/self/status";
    then(&shell(&[first, &[load]].concat(), script))
}

#[test]
fn a_filter_is_loaded_wherever_it_lies() {
    for slashes in 1..=8 {
        let path = "/".repeat(slashes);
        let first = [Step::NoNewPrivs {}, Step::Chdir { path: Str::from(path.as_str()), last: false }];
        let ended = with_filter("ERRNO", &first, run);
        assert_eq!(ended.output, "Operation not permitted\nSeccomp:\t2\n", "{ended:?}");
    }
}

#[test]
fn the_host_side_takes_the_listener() {
    with_filter("NOTIFY", &[Step::NoNewPrivs {}], |program| {
        let (child, output) = start(program, 0, &[]).unwrap();
        let message = child.channel.receive().unwrap().unwrap();
        assert_eq!((message.report.tag, message.report.step), (Tag::Listener, 1));
        let listener = sys::pidfd_getfd(&child.pidfd, message.report.value);
        child.channel.send(Order::Proceed).unwrap();
        // Without anybody who listens the calls fail.
        drop(listener.unwrap());
        assert_eq!(end(&child, output).output, "Function not implemented\nSeccomp:\t2\n");
    });
}

#[test]
fn without_privilege_and_promise_there_is_no_filter() {
    if !root() {
        return;
    }
    let drop = Step::SetCaps { effective: 0, permitted: 0, inheritable: 0, ambient: 0 };
    let fault = with_filter("ERRNO", &[drop], run).fault();
    assert_eq!((fault.step, fault.kind, fault.value), (1, Kind::Errno, Errno::EACCES as u32));
}

/// Where seccomp(2) refuses some of what it is asked, as an older kernel does.
#[test]
fn what_the_kernel_lacks_is_told_before_there_is_a_container() {
    let equal = |index: u32, value: u32| json!({"index": index, "op": "SCMP_CMP_EQ", "value": value});
    let has_bit = |bit: u32| json!({"index": 1, "op": "SCMP_CMP_MASKED_EQ", "value": bit, "valueTwo": bit});
    let flag = |name: &str| json!([format!("SECCOMP_FILTER_FLAG_{name}")]);
    let cases: [(Value, Value, &str); 4] = [
        (json!([equal(0, 1), has_bit(32)]), flag("WAIT_KILLABLE_RECV"), "/linux/seccomp/flags/0"),
        (json!([equal(0, 1), has_bit(8)]), Value::Null, "/linux/seccomp/syscalls/0/action"),
        (json!([equal(0, 2)]), Value::Null, "/linux/seccomp/defaultAction"),
        (json!([equal(0, 1)]), Value::Null, "/linux/seccomp"),
    ];
    for (refused, flags, pointer) in cases {
        let rule = json!({"names": ["seccomp"], "action": "SCMP_ACT_ERRNO", "errnoRet": 22, "args": refused});
        let older = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
        let older = compile(&serde_json::from_value(older).unwrap(), Arch::NATIVE.unwrap()).unwrap().program;
        let older: Vec<libc::sock_filter> = older
            .iter()
            .map(|one| libc::sock_filter { code: one.code, jt: one.jt, jf: one.jf, k: one.k })
            .collect();
        let profile: Seccomp = serde_json::from_value(json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/agent", "flags": flags,
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]
        }))
        .unwrap();
        host::can_filter(&profile).unwrap();
        under(&older, || {
            let error = host::can_filter(&profile).unwrap_err();
            assert_eq!(error.pointer(), Some(pointer), "{error}");
        });
    }
}
