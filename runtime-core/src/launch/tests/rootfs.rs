//! A root file system from mounts to pivot.

use std::path::PathBuf;
use std::{env, fs, process};

use super::*;
use crate::init::abi::{MOUNT_ATTR_NODEV, MOUNT_ATTR_RDONLY};

/// An empty directory for a root.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("corten-rootfs-{name}-{}", process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn bind(path: &str) -> Step<'_> {
    let path = Str::from(path);
    Step::BindMount {
        source: path,
        inside: false,
        source_link: false,
        tree: None,
        recursive: true,
        attrs: Attrs::default(),
        target: path,
        nofollow: false,
        ids: None,
        target_link: false,
        copy_link: false,
        keep: None,
    }
}

fn fs<'a>(fstype: &'a str, target: &'a str, options: &'a [Setting<'a>], attrs: Attrs) -> Step<'a> {
    Step::MountFs {
        fstype: Str::from(fstype),
        source: Some(Str::from(fstype)),
        options: List::Items(options),
        attrs,
        keep_mode: false,
        target: Str::from(target),
        nofollow: true,
        copy_up: false,
        keep: None,
    }
}

/// The steps of an ordinary container: `inner` between the mounts and the pivot, `outer` after it.
fn container(name: &str, inner: &[Step<'_>], outer: &[Step<'_>], script: &str) -> Ended {
    let dir = Dir::new(name);
    let rootfs = File::open(&dir.0).unwrap();
    let mode = [Setting { key: Str::from("mode"), value: Some(Str::from("755")) }];
    let nodev = Attrs { set: MOUNT_ATTR_NODEV, ..Attrs::default() };
    let before = [
        Step::Undumpable {},
        Step::DieWithParent {},
        Step::ResetSignals {},
        Step::EnterRootfs { dir: Fd(0) },
        Step::Unshare { kinds: libc::CLONE_NEWNS as u32 },
        Step::Propagation { path: Str::from("/"), flags: (libc::MS_REC | libc::MS_SLAVE) as u32 },
        Step::TakeRoot { attrs: Attrs::default() },
        Step::RealDirectory { path: Str::from("/dev"), create: true },
        bind("/bin"),
        bind("/lib"),
        bind("/lib64"),
        bind("/usr"),
        fs("proc", "/proc", &[], nodev),
        fs("tmpfs", "/dev", &mode, Attrs::default()),
    ];
    let pivot = [Step::PivotRoot { isolate: false }];
    let steps = [&before, inner, &pivot, outer].concat();
    let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET;
    run_with(&shell(&steps, script), namespaces as u64, &[rootfs.as_fd()])
}

#[test]
fn whole() {
    if !root() {
        return;
    }
    let null = Step::MakeNode {
        path: Str::from("/dev/null"),
        mode: libc::S_IFCHR | 0o666,
        major: 1,
        minor: 3,
        uid: 4,
        gid: 5,
    };
    let inner = [
        null,
        // The same once more is fine.
        null,
        Step::MakeSymlink { target: Str::from("/proc/self/fd"), path: Str::from("/dev/fd") },
        Step::MakeSymlink { target: Str::from("elsewhere"), path: Str::from("/dev/fd") },
        Step::MakeDirectory { path: Str::from("/work/dir") },
    ];
    let outer = [
        Step::Sethostname { name: Str::from("box") },
        Step::LoopbackUp {},
        Step::NewSession {},
        Step::MountSetattr { slot: 0, attrs: Attrs { set: MOUNT_ATTR_RDONLY, ..Attrs::default() } },
        Step::CloseFds { gate: None },
        Step::Chdir { path: Str::from("/work/dir"), last: false },
        Step::Chdir { path: Str::from("/nowhere"), last: true },
    ];
    let script = "pwd; echo $$; uname -n; stat -c '%F %a %u:%g %t:%T' /dev/null; readlink /dev/fd; \
        ls / | tr '\\n' ' '; mkdir /x 2>&1 | grep -o Read-only; grep -c lo: /proc/net/dev; echo hi >/dev/null; \
        ls /proc/self/fd | tr '\\n' ' '; grep ' /proc ' /proc/self/mountinfo | grep -c nodev";
    let ended = container("whole", &inner, &outer, script);
    assert_eq!(
        ended.output,
        "/work/dir\n1\nbox\ncharacter special file 666 4:5 1:3\n/proc/self/fd\n\
        bin dev lib lib64 proc usr work Read-only\n1\n0 1 2 3 1\n",
        "{ended:?}"
    );
}

#[test]
fn masks() {
    if !root() {
        return;
    }
    let script = "for path in /proc/acpi /proc/fs /proc/bus; do ls -A $path; done; cat /proc/version /proc/keys; \
        echo x 2>&1 >/proc/keys | grep -o Read-only; echo 1 2>&1 >/proc/sys/kernel/printk | grep -o Read-only; \
        mkdir /proc/fs/x 2>&1 | grep -o Read-only; ls /proc/self/status; ls /";
    let normal = "Read-only\nRead-only\nRead-only\n/proc/self/status\nbin\ndev\nlib\nlib64\nproc\nusr\n";
    let readonly = texts(&["/proc/sys", "/proc/nowhere"]);
    let readonly = Step::Readonly { paths: List::Items(&readonly) };
    let paths =
        texts(&["/nowhere", "/proc/version", "/proc/fs", "/proc/keys", "/proc/bus", "/proc/version/x"]);
    let ended = container(
        "masks",
        &[Step::Mask { paths: List::Items(&paths), label: None, aside: false }, readonly],
        &[],
        script,
    );
    assert_eq!(ended.output, normal, "{ended:?}");

    let paths = texts(&["/proc/version", "/nowhere", "/proc/keys"]);
    let script = "cat /proc/version /proc/keys; ls /; grep -c tmpfs /proc/self/mountinfo";
    let ended = container(
        "files",
        &[Step::Mask { paths: List::Items(&paths), label: None, aside: false }],
        &[],
        script,
    );
    assert_eq!(ended.output, "bin\ndev\nlib\nlib64\nproc\nusr\n3\n", "{ended:?}");

    let paths = texts(&["/nowhere", "/proc/nowhere"]);
    let ended = container(
        "nothing",
        &[Step::Mask { paths: List::Items(&paths), label: None, aside: false }],
        &[],
        "echo fine",
    );
    assert_eq!(ended.output, "fine\n", "{ended:?}");
}

#[test]
fn mount_calls() {
    if !root() {
        return;
    }
    let data = |flags: u64, data: &'static str, attrs| Step::MountData {
        fstype: Str::from("tmpfs"),
        source: Str::from("src"),
        flags,
        data: Str::from(data),
        attrs,
        target: Str::from("/new/dir"),
    };
    let readonly = Attrs { set: MOUNT_ATTR_RDONLY, ..Attrs::default() };
    let steps = [
        data(0, "size=64k,mode=700", Attrs { set: MOUNT_ATTR_NODEV, ..Attrs::default() }),
        data(libc::MS_REMOUNT | libc::MS_BIND, "", readonly),
        data(libc::MS_REMOUNT, "size=128k", readonly),
    ];
    let script = "grep ' /new/dir ' /proc/self/mountinfo | cut -d' ' -f6,9-";
    let ended = container("data", &steps, &[], script);
    assert_eq!(ended.output, "ro,relatime src rw,size=128k,mode=700\n", "{ended:?}");
}

/// A helper for a running container has no mount namespace that would go with it.
#[test]
fn a_mount_whose_attributes_are_refused_goes() {
    apart(|| {
        let dir = Dir::new("refused");
        // Two ways of keeping access times at once.
        let attrs = Attrs { set: 0x30, ..Attrs::default() };
        let mount = Step::MountData {
            fstype: Str::from("tmpfs"),
            source: Str::from("src"),
            flags: 0,
            data: Str::from("size=64k"),
            attrs,
            target: Str::from(dir.0.to_str().unwrap()),
        };
        let fault = run(&program(&[Step::OpenRoot {}, mount])).fault();
        assert_eq!((fault.call, fault.value), (libc::SYS_mount_setattr as u32, Errno::EINVAL as u32));
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!mounts.contains("corten-rootfs-refused"), "{mounts}");
    });
}

#[test]
fn faults_name_the_option() {
    if !root() {
        return;
    }
    let setting = |key: &'static str, value| Setting { key: Str::from(key), value: Some(Str::from(value)) };
    let options = [setting("mode", "755"), setting("size", "many")];
    let fault = container("option", &[fs("tmpfs", "/x", &options, Attrs::default())], &[], "").fault();
    assert_eq!((fault.call, fault.index, fault.value), (libc::SYS_fsconfig as u32, 1, Errno::EINVAL as u32));
    let fault = container("type", &[fs("nosuchfs", "/x", &[], Attrs::default())], &[], "").fault();
    assert_eq!((fault.call, fault.value), (libc::SYS_fsopen as u32, Errno::ENODEV as u32));
}

#[test]
fn other_node() {
    if !root() {
        return;
    }
    let node = |minor| Step::MakeNode {
        path: Str::from("/dev/x"),
        mode: libc::S_IFCHR | 0o666,
        major: 1,
        minor,
        uid: 0,
        gid: 0,
    };
    let fault = container("node", &[node(3), node(5)], &[], "").fault();
    assert_eq!((fault.kind, fault.value), (Kind::Check, Check::OtherNode as u32));
}

#[test]
fn moved_root() {
    if !root() {
        return;
    }
    let dir = Dir::new("moved");
    let rootfs = File::open(&dir.0).unwrap();
    let proc = File::open("/proc").unwrap();
    let steps = [
        Step::EnterRootfs { dir: Fd(0) },
        Step::Unshare { kinds: libc::CLONE_NEWNS as u32 },
        Step::Propagation { path: Str::from("/"), flags: (libc::MS_REC | libc::MS_SLAVE) as u32 },
        Step::TakeRoot { attrs: Attrs::default() },
        bind("/bin"),
        bind("/lib"),
        bind("/lib64"),
        bind("/usr"),
        Step::MoveRoot { proc: Fd(1) },
        Step::Chdir { path: Str::from("/"), last: true },
    ];
    let ended = run_with(&shell(&steps, "ls /"), 0, &[rootfs.as_fd(), proc.as_fd()]);
    assert_eq!(ended.output, "bin\nlib\nlib64\nusr\n", "{ended:?}");
}

#[test]
fn private_parent() {
    apart(|| {
        let dir = Dir::new("parent");
        mount(Some("tmpfs"), &dir.0, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        mount(None::<&str>, &dir.0, None::<&str>, MsFlags::MS_SHARED, None::<&str>).unwrap();
        fs::create_dir_all(dir.0.join("a/b")).unwrap();
        let deep = File::open(dir.0.join("a/b")).unwrap();
        let newns = Step::Unshare { kinds: libc::CLONE_NEWNS as u32 };
        let steps = [Step::EnterRootfs { dir: Fd(0) }, newns, Step::PrivateParent {}];
        let script = format!("grep ' {} ' /proc/self/mountinfo | grep -c shared", dir.0.display());
        let ended = run_with(&shell(&steps, &script), 0, &[deep.as_fd()]);
        drop(deep);
        // A process that another test is just about to make may have a copy of the descriptor for a moment.
        nix::mount::umount2(&dir.0, nix::mount::MntFlags::MNT_DETACH).unwrap();
        assert_eq!(ended.output, "0\n", "{ended:?}");
    });
}

#[test]
fn sysctls() {
    if !root() {
        return;
    }
    let proc = File::open("/proc").unwrap();
    let sysctl =
        |path, value| Step::WriteSysctl { proc: Fd(0), path: Str::from(path), value: Str::from(value) };
    let steps = [
        sysctl("sys/net/ipv4/ping_group_range", "7 9"),
        sysctl("sys/net/ipv4/ping_group_range", "7 9"),
        sysctl("sys/kernel/shm_rmid_forced", "1"),
    ];
    let script = "cat /proc/sys/net/ipv4/ping_group_range /proc/sys/kernel/shm_rmid_forced";
    let namespaces = (libc::CLONE_NEWNET | libc::CLONE_NEWIPC) as u64;
    let ended = run_with(&shell(&steps, script), namespaces, &[proc.as_fd()]);
    assert_eq!(ended.output, "7\t9\n1\n", "{ended:?}");
    let steps = [sysctl("self/oom_score_adj", "1")];
    let fault = run_with(&shell(&steps, ""), namespaces, &[proc.as_fd()]).fault();
    assert_eq!(fault.value, Errno::ELOOP as u32);
}
