//! What init reports, in words.

use super::*;
use crate::wire::{Check, Kind, Report, Tag};

fn report(plan: &Plan, name: &str, kind: Kind, value: u32) -> StepError {
    let step = wire_names(plan).iter().position(|step| *step == name).unwrap() as u32;
    let call = libc::SYS_execve as u32;
    plan.explain(&Report { tag: Tag::Failed, step, kind, call, index: 0, value })
}

#[test]
fn faults_are_explained_in_the_words_of_engines() {
    let program = |name: &str| {
        plan(with([("/process/args", json!([name])), ("/process/cwd", json!("/nope"))])).unwrap()
    };
    let (bare, full) = (program("nosuch"), program("/x"));
    let rows = [
        (&bare, "Lookup", Kind::Errno, libc::ENOENT, "exec: \"nosuch\": executable file not found in $PATH"),
        (&full, "Lookup", Kind::Errno, libc::ENOENT, "exec: \"/x\": stat /x: no such file or directory"),
        (&full, "Lookup", Kind::Errno, libc::EACCES, "exec: \"/x\": permission denied"),
        (&full, "Lookup", Kind::Check, Check::NotRegular as i32, "exec: \"/x\": is a directory"),
        (&full, "Exec", Kind::Errno, libc::ENOEXEC, "exec /x: exec format error"),
        (
            &full,
            "Chdir",
            Kind::Errno,
            libc::ENOENT,
            "chdir to cwd (\"/nope\") set in config.json failed: no such file or directory",
        ),
        (
            &full,
            "SetGroups",
            Kind::Errno,
            libc::EPERM,
            "unable to set the supplementary groups: execve: operation not permitted",
        ),
    ];
    for (plan, step, kind, value, message) in rows {
        let error = report(plan, step, kind, value as u32);
        assert_eq!(error.to_string(), message);
        assert_eq!(error.step, step);
    }
    assert_eq!(report(&full, "Exec", Kind::Errno, libc::ENOENT as u32).pointer.unwrap(), "/process/args");
}

#[test]
fn hooks_that_fail_are_named() {
    let config = with([("/hooks", json!({"createContainer": [{"path": "/bin/true"}]}))]);
    let plan = plan(config).unwrap();
    let message = |kind, value| report(&plan, "RunHook", kind, value).message;
    assert_eq!(message(Kind::Exit, 1), "error running createContainer hook #0: exit status 1");
    assert_eq!(message(Kind::Signal, 9), "error running createContainer hook #0: killed by signal 9");
    assert_eq!(
        message(Kind::Errno, libc::ENOENT as u32),
        "error running createContainer hook #0: fork/exec /bin/true: no such file or directory"
    );
    assert!(message(Kind::Timeout, 2).ends_with("timed out after 2 s"));
}

#[test]
fn a_program_of_another_release_is_named_by_the_config() {
    let mut program = plan(small()).unwrap().program().to_vec();
    program[0] += 1;
    assert!(Plan::of_program(program).is_none());
    let (tag, kind, call, value) = (Tag::Failed, Kind::Errno, libc::SYS_execve as u32, libc::ENOENT as u32);
    let report = Report { tag, step: 7, kind, call, index: 0, value };
    let message = Plan::explain_start(&["/x".to_owned(), "y".to_owned()], &report).message;
    assert!(
        message.starts_with("unable to start \"/x\": step 7 of a program that cannot be read"),
        "{message}"
    );
    assert!(message.ends_with(": execve: no such file or directory"), "{message}");
}

#[test]
fn any_report_is_explained() {
    let plan = plan(small()).unwrap();
    for step in 0..plan.len() as u32 + 2 {
        for kind in [Kind::Errno, Kind::Exit, Kind::Signal, Kind::Timeout, Kind::Check] {
            for value in [0, 1, 9, 4095, u32::MAX] {
                let report = Report { tag: Tag::Failed, step, kind, call: value, index: value, value };
                assert!(!plan.explain(&report).message.is_empty());
            }
        }
    }
}
