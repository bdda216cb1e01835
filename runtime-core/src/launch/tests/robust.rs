//! Damaged programs, busy callers, large callers, hosts that forbid a memfd.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};

use super::*;
use crate::launch::image::{Image, Way};
use crate::launch::spawn::spawn_patiently;

const ALL: u64 =
    (libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWUTS | libc::CLONE_NEWIPC | libc::CLONE_NEWNET)
        as u64;

/// Runs a program with nobody to talk to; it must end by itself, and not by a signal.
fn ends(program: &[u8], what: &dyn std::fmt::Debug) {
    let (Child { channel, pidfd, .. }, output) = start(program, ALL, &[]).unwrap();
    drop((channel, output));
    let status = waitid(Id::PIDFd(pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
    assert!(matches!(status, WaitStatus::Exited(..)), "{what:?}: {status:?}");
}

/// Whatever one changed byte makes of a program, init ends by itself. What the programs make on disk is there already,
/// should the change lead them to the host's root.
fn damage(steps: &[Step<'_>], flips: &[u8]) {
    let whole = shell(steps, "exit 0");
    assert_eq!(run_with(&whole, ALL, &[]).code(), 0);
    for place in 0..whole.len() {
        for flip in flips {
            let mut damaged = whole.clone();
            damaged[place] ^= flip;
            ends(&damaged, &(place, flip));
        }
    }
    for len in 0..whole.len() {
        assert_eq!(run_with(&whole[..len], ALL, &[]).code(), 1, "{len}");
    }
}

#[test]
fn damaged_programs() {
    apart(|| {
        let steps = [
            Step::Undumpable {},
            Step::Umask { mask: 0o22 },
            Step::SetGroups { groups: List::Items(&[1, 2]), lenient: false },
            Step::Chdir { path: Str::from("/"), last: false },
            Step::SetRlimit { resource: 4, soft: 0, hard: 0 },
        ];
        damage(&steps, &[0x01, 0x02, 0x80, 0xff]);
    });
}

#[test]
fn damaged_mounts() {
    let dir = std::env::temp_dir().join(format!("corten-damaged-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.to_str().unwrap();
    apart(|| {
        let bind = |path: &'static str| Step::BindMount {
            source: Str::from(path),
            inside: false,
            source_link: false,
            tree: None,
            recursive: true,
            attrs: Attrs::default(),
            target: Str::from(path),
            nofollow: false,
            ids: None,
            target_link: false,
            copy_link: false,
            keep: None,
        };
        let mode = [Setting { key: Str::from("mode"), value: Some(Str::from("755")) }];
        let tmpfs = Step::MountFs {
            fstype: Str::from("tmpfs"),
            source: None,
            options: List::Items(&mode),
            attrs: Attrs::default(),
            keep_mode: false,
            target: Str::from("/tmp"),
            nofollow: true,
            copy_up: false,
            keep: Some(1),
        };
        let paths = texts(&["/usr", "/nowhere"]);
        let steps = [
            Step::Chdir { path: Str::from(path), last: false },
            Step::TakeRoot { attrs: Attrs::default() },
            Step::MakeDirectory { path: Str::from("/dev") },
            bind("/bin"),
            bind("/lib"),
            bind("/lib64"),
            bind("/usr"),
            tmpfs,
            Step::Readonly { paths: List::Items(&paths) },
            Step::PivotRoot { isolate: true },
            Step::CloseFds { gate: None },
            Step::Chdir { path: Str::from("/tmp"), last: true },
        ];
        damage(&steps, &[0xff]);
    });
    std::fs::remove_dir_all(&dir).unwrap();
}

/// Threads that do something over and over, until this is dropped.
struct Busy(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

impl Busy {
    fn new(threads: usize, work: fn()) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let thread = |_| {
            let done = Arc::clone(&done);
            thread::spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    work();
                }
            })
        };
        let threads = (0..threads).map(thread).collect();
        Self(done, threads)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        for thread in self.1.drain(..) {
            thread.join().unwrap();
        }
    }
}

#[test]
fn busy_threads() {
    let _busy = Busy::new(8, || {
        let kept: Vec<String> = (0..100).map(|n| format!("{n:>n$}")).collect();
        // Nobody in this program changes the environment; reading takes the same lock.
        let read = (std::env::vars().count(), std::env::var_os("PATH"));
        log::warn!("still busy {} {read:?}", kept.len());
    });
    let program = shell(&[], "exit 0");
    for _ in 0..300 {
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let payload = [null.as_fd(); 3];
        let request =
            Request { program: &program, payload: &payload, extra: &[], namespaces: 0, cgroup: None };
        let child = spawn(&request).unwrap();
        let status = waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
        assert!(matches!(status, WaitStatus::Exited(_, 0)), "{status:?}");
    }
}

/// The best of some times that `spawn` takes.
fn spawn_time() -> Duration {
    let program = program(&[]);
    let time = || {
        let before = Instant::now();
        let (child, _output) = start(&program, 0, &[]).unwrap();
        let time = before.elapsed();
        waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
        time
    };
    (0..50).map(|_| time()).min().unwrap()
}

#[test]
fn large_callers_pay_no_more() {
    let small = spawn_time();
    let memory = vec![1u8; 1 << 30];
    let large = spawn_time();
    assert_eq!(memory.iter().step_by(4096).filter(|byte| **byte == 1).count(), 1 << 18);
    drop(memory);
    eprintln!("spawn: {small:?} from a small caller, {large:?} from one of 1 GB");
    assert!(large < small + Duration::from_millis(1), "{small:?} {large:?}");
}

#[test]
fn caller_keeps_its_mask() {
    let mut mask = SigSet::empty();
    mask.add(Signal::SIGUSR2);
    pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&mask), None).unwrap();
    assert_eq!(run(&shell(&[], "exit 0")).code(), 0);
    let mut after = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut after)).unwrap();
    assert_eq!(after, mask);
}

#[test]
fn every_way_to_an_image() {
    let program = shell(&[], "ls -l /proc/$$/exe >/dev/null; exit 4");
    for way in Way::ALL {
        if way == Way::Tmpfs && !root() {
            continue;
        }
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let payload = [null.as_fd(); 3];
        let request =
            Request { program: &program, payload: &payload, extra: &[], namespaces: 0, cgroup: None };
        let child = spawn_patiently(&request, way).unwrap();
        assert_eq!(child.way, way);
        let status = waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
        assert!(matches!(status, WaitStatus::Exited(_, 4)), "{way:?}: {status:?}");
    }
}

#[test]
fn images_cannot_be_changed() {
    for way in [Way::Memfd, Way::Tmpfs] {
        if way == Way::Tmpfs && !root() {
            continue;
        }
        // A child of another test may have a copy of the writer for a moment.
        let image = (0..100).find_map(|_| Image::new(&program(&[]), way).ok()).unwrap();
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", image.as_fd().as_raw_fd());
        let written = File::options()
            .write(true)
            .open(&path)
            .and_then(|mut file| std::io::Write::write(&mut file, b"x"));
        assert!(written.is_err(), "{way:?}");
        let truncated = File::options().write(true).open(&path).and_then(|file| file.set_len(0));
        assert!(truncated.is_err(), "{way:?}");
    }
}

#[test]
fn descriptors_that_do_not_fit() {
    let null = File::open("/dev/null").unwrap();
    let many = vec![null.as_fd(); 2_000_000];
    let error = start(&program(&[]), 0, &many).err().unwrap();
    assert!(error.to_string().contains("hand descriptors to init"), "{error}");
}

/// Runs a test where a system call answers `errno`, as in a container with a seccomp profile.
fn refusing(call: libc::c_long, errno: Errno, test: impl FnOnce() + Send) {
    let filter = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let program = [
        filter(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        filter(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        filter(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    under(&program, test);
}

/// Runs a test in a thread under a filter.
#[allow(unsafe_code)]
pub(super) fn under(program: &[libc::sock_filter], test: impl FnOnce() + Send) {
    let mut program = program.to_vec();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
            // SAFETY: the filter and its length belong together and live through the call; it is for this thread.
            let set = unsafe {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program)
            };
            assert_eq!(set, 0);
            test();
        });
        thread.join().unwrap();
    });
}

#[test]
fn host_without_clone3() {
    for errno in [Errno::ENOSYS, Errno::EPERM] {
        refusing(libc::SYS_clone3, errno, || {
            let namespaces = if geteuid().is_root() { ALL } else { 0 };
            let (child, output) = start(&shell(&[], "echo $$"), namespaces, &[]).unwrap();
            let ended = end(&child, output);
            assert_eq!(ended.code(), 0);
            assert_eq!(ended.output == "1\n", namespaces != 0);
        });
    }
}

#[test]
fn host_without_executable_memfds() {
    if !root() {
        return;
    }
    for call in [libc::SYS_memfd_create, libc::SYS_execveat] {
        refusing(call, Errno::EACCES, || {
            let answer = start(&shell(&[], "exit 0"), 0, &[]);
            if call == libc::SYS_memfd_create {
                let (child, output) = answer.unwrap();
                assert_eq!(child.way, Way::Tmpfs);
                assert_eq!(end(&child, output).code(), 0);
            } else {
                let error = answer.err().unwrap().to_string();
                assert!(error.starts_with("execute init: "), "{error}");
            }
        });
    }
}

/// In a user namespace without maps the capabilities outlive the exec, and init can do what they allow.
#[test]
fn fresh_user_namespace() {
    let namespaces = (libc::CLONE_NEWUSER | libc::CLONE_NEWUTS) as u64;
    let steps = [Step::Sethostname { name: Str::from("inside") }];
    let ended = run_with(&shell(&steps, "uname -n; grep CapEff /proc/self/status"), namespaces, &[]);
    assert!(ended.output.starts_with("inside\nCapEff:\t0000"), "{ended:?}");
}

#[test]
fn other_threads_start_children_too() {
    let _others = Busy::new(2, || drop(std::process::Command::new("/bin/true").status()));
    let program = shell(&[], "exit 0");
    for way in Way::ALL.iter().cycle().take(60) {
        if *way == Way::Tmpfs && !geteuid().is_root() {
            continue;
        }
        let null = File::options().read(true).write(true).open("/dev/null").unwrap();
        let payload = [null.as_fd(); 3];
        let request =
            Request { program: &program, payload: &payload, extra: &[], namespaces: 0, cgroup: None };
        let child = spawn_patiently(&request, *way).unwrap();
        waitid(Id::PIDFd(child.pidfd.as_fd()), WaitPidFlag::WEXITED).unwrap();
    }
}
