//! Ids, capabilities, limits: what the payload may.

use super::*;

const CAPS: &str = "grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs):' /proc/self/status | tr -s '\\t ' ' '";

#[test]
fn identity() {
    if !root() {
        return;
    }
    let (chown, net_admin) = (1, 1 << 12);
    let steps = [
        Step::DieWithParent {},
        Step::Undumpable {},
        Step::CapBound { keep: chown | net_admin },
        Step::SetGroups { groups: List::Items(&[7, 70_000]), lenient: false },
        Step::SetIds { uid: 1000, gid: 1001 },
        Step::SetCaps { effective: chown, permitted: chown | net_admin, inheritable: chown, ambient: chown },
        Step::NoNewPrivs {},
        // RLIMIT_CORE
        Step::SetRlimit { resource: 4, soft: 4096, hard: 8192 },
        Step::Umask { mask: 0o27 },
    ];
    let script = format!("{CAPS}; umask; ulimit -Sc; ulimit -Hc");
    let ended = run(&shell(&steps, &script));
    assert_eq!(
        ended.output,
        "Uid: 1000 1000 1000 1000\nGid: 1001 1001 1001 1001\nGroups: 7 70000 \n\
        CapInh: 0000000000000001\nCapPrm: 0000000000000001\nCapEff: 0000000000000001\n\
        CapBnd: 0000000000001001\nCapAmb: 0000000000000001\nNoNewPrivs: 1\n0027\n8\n16\n",
        "{ended:?}"
    );
}

#[test]
fn home() {
    if !root() {
        return;
    }
    let home = |uid| {
        let ended = run(&shell(&[Step::OpenRoot {}, Step::FindHome { uid }], "echo $HOME"));
        ended.output
    };
    assert_eq!(home(0), "/root\n");
    assert_eq!(home(3_999_999_999), "/\n");
}

/// Whatever an image has in the place of `/etc/passwd`: nothing hangs, nothing is believed.
#[test]
fn home_of_a_hostile_image() {
    use std::fs;
    use std::os::unix::fs::symlink;
    apart(|| {
        let dir = std::env::temp_dir().join(format!("corten-home-{}", std::process::id()));
        let etc = dir.join("etc");
        let passwd = etc.join("passwd");
        fs::create_dir_all(&etc).unwrap();
        let path = dir.to_str().unwrap().to_owned();
        let home = || {
            let steps = [
                Step::Chdir { path: Str::from(path.as_str()), last: false },
                Step::TakeRoot { attrs: Attrs::default() },
                Step::FindHome { uid: 7 },
            ];
            let ended = run_with(&shell(&steps, "echo $HOME"), libc::CLONE_NEWNS as u64, &[]);
            let _ = fs::remove_file(&passwd).or_else(|_| fs::remove_dir(&passwd));
            ended.output
        };
        fs::write(&passwd, "x:x:7:7::/home/x:/bin/sh\n").unwrap();
        assert_eq!(home(), "/home/x\n");
        assert_eq!(home(), "/\n", "none");
        symlink("/etc/other", &passwd).unwrap();
        fs::write(etc.join("other"), "x:x:7:7::/home/other:/bin/sh\n").unwrap();
        assert_eq!(home(), "/home/other\n");
        symlink("passwd", &passwd).unwrap();
        assert_eq!(home(), "/\n", "a loop");
        nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(home(), "/\n", "a FIFO");
        fs::create_dir(&passwd).unwrap();
        assert_eq!(home(), "/\n", "a directory");
        fs::write(&passwd, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert_eq!(home(), "/\n", "too large");
        fs::write(&passwd, "x:x:7:7::/a\0b:/bin/sh\n").unwrap();
        assert_eq!(home(), "/\n", "a NUL");
        fs::remove_dir_all(&dir).unwrap();
    });
}

#[test]
fn directory_of_the_user() {
    if !root() {
        return;
    }
    use std::os::unix::fs::PermissionsExt;
    let path = std::env::temp_dir().join(format!("corten-cwd-{}", std::process::id()));
    std::fs::create_dir_all(path.join("inner")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    let inner = path.join("inner");
    let inner = Str::from(inner.to_str().unwrap());
    let first = Step::Chdir { path: inner, last: false };
    let ids = Step::SetIds { uid: 1000, gid: 1000 };
    let caps = Step::SetCaps { effective: 0, permitted: 0, inheritable: 0, ambient: 0 };
    let last = Step::Chdir { path: inner, last: true };
    let ended = run(&shell(&[first, ids, caps, last], "pwd"));
    let refused = run(&shell(&[ids, caps, first, last], "pwd")).fault();
    std::fs::remove_dir_all(&path).unwrap();
    assert!(ended.output.contains("inner"), "{ended:?}");
    assert_eq!((refused.step, refused.value), (3, Errno::EACCES as u32));
}

#[test]
fn directory_outside() {
    apart(|| {
        // Of another mount namespace: open, and not reachable from this root.
        let dir = File::open("/tmp").unwrap();
        let steps = [
            Step::Unshare { kinds: libc::CLONE_NEWNS as u32 },
            Step::Chdir { path: Str::from("/proc/self/fd/5"), last: false },
        ];
        let fault = run_with(&shell(&steps, "pwd"), 0, &[dir.as_fd()]).fault();
        assert_eq!((fault.step, fault.kind, fault.value), (1, Kind::Check, Check::CwdOutside as u32));
    });
}

#[test]
fn session_keyring() {
    let name = format!("_ses.corten-{}", std::process::id());
    let steps = [Step::SessionKeyring { name: Str::from(name.as_str()) }];
    let ended = run(&shell(&steps, "cat /proc/keys"));
    // The possessor may do everything, the user all but write and change it.
    let ours = ended.output.lines().find(|line| line.contains(&name)).unwrap();
    assert!(ours.contains(" 3f1b0000 "), "{ours}");
}
