//! Hooks in the container's namespaces.

use super::*;

const STATE: &str = r#"{"pid":          ,"id":"x"}"#;

/// Runs a shell as a hook before a payload that says "payload".
fn hook(path: &str, script: &str, timeout: u32) -> Ended {
    let (args, env) = (texts(&["hook", "-c", script]), texts(&["A=b", "PATH=/usr/bin:/bin"]));
    let hook = Step::RunHook {
        path: Str::from(path),
        args: List::Items(&args),
        env: List::Items(&env),
        home: false,
        timeout,
        state: Bytes(STATE.as_bytes()),
        pid_at: 7,
        output: None,
    };
    run(&shell(&[Step::Undumpable {}, hook], "echo payload $$; umask"))
}

#[test]
fn succeeds() {
    let script = "echo $0 $A $(cat); umask; ps -o pgid= -p $$ | tr -d ' '; echo $$; ls -l /proc/$$/fd 2>/dev/null | grep -c socket; true";
    let ended = hook("/bin/sh", script, 0);
    let lines: Vec<&str> = ended.output.lines().collect();
    let [state, umask, group, pid, sockets, payload, rest] = lines[..] else { panic!("{ended:?}") };
    let init = payload.strip_prefix("payload ").unwrap();
    // The shell leaves one of the field's blanks.
    assert_eq!(state, format!(r#"hook b {{"pid":{init} ,"id":"x"}}"#));
    assert_eq!((umask, sockets, rest), ("0022", "0", "0000"));
    assert_eq!(group, pid);
}

#[test]
fn fails() {
    let told = |fault: Report| (fault.step, fault.kind, fault.value);
    assert_eq!(told(hook("/bin/sh", "exit 3", 0).fault()), (1, Kind::Exit, 3));
    assert_eq!(told(hook("/bin/sh", "kill -TERM $$", 0).fault()), (1, Kind::Signal, 15));
    let ended = hook("/nowhere", "", 0);
    // The hook's process tells the cause; init's report of its exit comes after.
    let first = ended.reports[0];
    assert_eq!(told(first), (1, Kind::Errno, Errno::ENOENT as u32));
}

#[test]
fn takes_too_long() {
    let before = std::time::Instant::now();
    // The whole group is killed: had the sleeper in the background lived on, the pipe would stay open.
    let ended = hook("/bin/sh", "sleep 60 & sleep 60", 1);
    assert_eq!((ended.fault().kind, ended.fault().value), (Kind::Timeout, 1));
    assert!(before.elapsed().as_secs() < 10);
}

#[test]
fn ignores_its_state() {
    assert_eq!(hook("/bin/sh", "exec <&-", 0).code(), 0);
    let (args, state) = (texts(&["true"]), vec![b' '; 1 << 20]);
    let mut hook = Step::RunHook {
        path: Str::from("/bin/true"),
        args: List::Items(&args),
        env: List::Items(&[]),
        home: false,
        timeout: 0,
        state: Bytes(&state),
        pid_at: 0,
        output: None,
    };
    assert_eq!(run(&shell(&[hook], "exit 0")).code(), 0);
    if let Step::RunHook { pid_at, .. } = &mut hook {
        *pid_at = (1 << 20) - 9;
    }
    let fault = run(&shell(&[hook], "exit 0")).fault();
    assert_eq!((fault.kind, fault.value), (Kind::Check, Check::Program as u32));
}
