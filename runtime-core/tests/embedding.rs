//! The library in somebody else's program: one with many threads, one with much memory. Needs root and cgroups.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction, signal};
use runtime_core::config::Namespace;
use runtime_core::{
    Bundle, Changes, CreateOptions, Error, ExecOptions, Exit, Id, Runtime, Start, StartOptions, Status,
};
use serde_json::{Value, json};

/// One test at a time: busy threads would spoil the other's times.
static ALONE: Mutex<()> = Mutex::new(());

/// A logger with a lock, as many programs have one.
struct Lines(Mutex<usize>);

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        *self.0.lock().unwrap() += record.args().to_string().len();
    }

    fn flush(&self) {}
}

static LOGGER: Lines = Lines(Mutex::new(0));

/// What a test has to itself: a bundle, a state root, whose containers go away with the value, and this process.
struct Place {
    dir: PathBuf,
    /// The name of its container, or how the names of its containers begin.
    name: String,
    /// For standard streams that lead nowhere.
    null: fs::File,
    _alone: MutexGuard<'static, ()>,
}

impl Place {
    /// None, with a word about it, where such tests cannot run.
    fn new(name: &str) -> Option<Self> {
        if let Some(reason) = missing() {
            eprintln!("skipped: {reason}");
            return None;
        }
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = std::env::temp_dir().join(format!("corten-embedding-{name}-{}", std::process::id()));
        for root in ["rootfs", "mapped"] {
            let bin = dir.join("bundle").join(root).join("bin");
            fs::create_dir_all(&bin).unwrap();
            fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
            symlink("busybox", bin.join("true")).unwrap();
        }
        let config = serde_json::json!({
            "ociVersion": "1.3.0",
            "process": {"args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]},
        });
        fs::write(dir.join("bundle/config.json"), config.to_string()).unwrap();
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
        Some(Self { dir, name: format!("{name}-{}", std::process::id()), null, _alone })
    }

    fn runtime(&self) -> Runtime {
        Runtime::new(self.dir.join("state"))
    }

    /// The container's id, where there is but one.
    fn id(&self) -> Id {
        Id::new(self.name.as_str()).unwrap()
    }

    fn stdio(&self) -> Option<[BorrowedFd<'_>; 3]> {
        Some([self.null.as_fd(); 3])
    }

    /// For a container that ends with the value which has created it, unless it is started.
    fn held(&self) -> CreateOptions<'_> {
        CreateOptions { stdio: self.stdio(), start: Start::ByCreator, ..CreateOptions::default() }
    }

    fn bundle(&self) -> Bundle {
        Bundle::load(self.dir.join("bundle")).unwrap()
    }

    /// The bundle with another value somewhere.
    fn changed(&self, pointer: &str, value: Value) -> Bundle {
        let config = fs::read_to_string(self.dir.join("bundle/config.json")).unwrap();
        let mut config: Value = serde_json::from_str(&config).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        if config.pointer(parent).is_none() {
            config[&parent[1..]] = json!({});
        }
        match config.pointer_mut(parent).unwrap() {
            Value::Array(list) => list[name.parse::<usize>().unwrap()] = value,
            object => object[name] = value,
        }
        Bundle { spec: serde_json::from_value(config).unwrap(), ..self.bundle() }
    }
}

impl Place {
    /// The bundle with a user namespace, for which sources of mounts are opened.
    fn in_user_namespace(&self) -> Bundle {
        chown(self.dir.join("bundle/mapped"), Some(100_000), Some(100_000)).unwrap();
        let mut config = serde_json::to_value(&self.bundle().spec).unwrap();
        config["root"]["path"] = json!("mapped");
        let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 1}]);
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        let bind = json!({"destination": "/mnt", "source": self.dir.join("bundle"), "options": ["rbind"]});
        config["mounts"].as_array_mut().unwrap().push(bind);
        Bundle { spec: serde_json::from_value(config).unwrap(), ..self.bundle() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for container in self.runtime().list().into_iter().flatten().flat_map(|(_, container)| container) {
            let _ = container.delete_forced();
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Why the tests cannot run here, if they cannot.
fn missing() -> Option<&'static str> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("needs root");
    }
    (!Path::new("/bin/busybox").exists()).then_some("needs busybox-static")
}

/// Version and patch level of the kernel.
fn kernel() -> (u32, u32) {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split(['.', '-']).map(|number| number.parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Creates, starts, waits for and deletes one container; how long the creation took.
fn live(place: &Place, bundle: &Bundle, number: usize) -> Duration {
    let (runtime, id) = (place.runtime(), Id::new(format!("{}-{number}", place.name)).unwrap());
    let options = CreateOptions { stdio: place.stdio(), ..CreateOptions::default() };
    let begin = Instant::now();
    let mut container = runtime.create(&id, bundle, &options).unwrap();
    let took = begin.elapsed();
    container.start(&StartOptions::default()).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Code(0));
    container.delete().unwrap();
    took
}

/// What happens to a bundle in which everything happens: hooks of the caller's side, a process executed, a faulty create.
fn live_fully(place: &Place) {
    let (runtime, id, stdio) = (place.runtime(), place.id(), place.stdio());
    let options = CreateOptions { stdio, ..CreateOptions::default() };
    let create = |bundle: &Bundle| runtime.create(&id, bundle, &options);
    let hook = |kind: &str, code: &str| {
        place.changed(&format!("/hooks/{kind}"), json!([{"path": "/bin/sh", "args": ["sh", "-c", code]}]))
    };
    assert!(matches!(create(&hook("createRuntime", "exit 3")), Err(Error::Hook { .. })));
    assert!(matches!(create(&place.changed("/process/args/0", json!("/missing"))), Err(Error::Create(_))));
    let mut lacking = place.in_user_namespace();
    lacking.spec.mounts[1].source = Some("/missing".to_owned());
    assert!(matches!(create(&lacking), Err(Error::Launch(_))));
    let log = place.dir.join("log");
    let script = json!(["/bin/busybox", "sleep", "100"]);
    let mut bundle = hook("poststop", &format!("sleep 0.02; echo deleted >{}", log.display()));
    bundle.spec.process.as_mut().unwrap().args = serde_json::from_value(script).unwrap();
    let mut container = create(&bundle).unwrap();
    container.start(&StartOptions::default()).unwrap();
    let process = bundle.spec.process.as_ref().unwrap();
    let mut executed = container.exec(process, &ExecOptions { stdio, ..ExecOptions::default() }).unwrap();
    executed.kill(9).unwrap();
    assert_eq!(executed.wait().unwrap(), Exit::Signal(9));
    assert_eq!(container.state().unwrap().status, Status::Running);
    container.kill(9, false).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Signal(9));
    assert_eq!(container.state().unwrap().status, Status::Stopped);
    container.delete().unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "deleted\n");
    assert_eq!(runtime.list().unwrap().count(), 0);
}

#[test]
fn three_hundred_containers_among_eight_busy_threads() {
    let Some(place) = Place::new("threads") else { return };
    let (runtime, bundles) = (place.runtime(), [place.bundle(), place.in_user_namespace()]);
    let own = || {
        let links = ["ns/mnt", "ns/user", "cwd", "root"]
            .map(|name| fs::read_link(format!("/proc/thread-self/{name}")).unwrap());
        (links, fs::read_dir("/proc/self/fd").unwrap().count())
    };
    live(&place, &bundles[1], 300);
    let before = own();
    log::set_logger(&LOGGER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for number in 0..8 {
            let stop = &stop;
            scope.spawn(move || {
                let mut kept = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    // The allocator, the logger and the lock of the environment.
                    kept.push(format!("{number} {:?}", std::env::var("PATH")));
                    log::info!("{}", kept.len());
                    // SAFETY: the standard library's lock guards all readers in this program.
                    unsafe { std::env::set_var(format!("BUSY_{number}"), "1") };
                    if kept.len() > 1000 {
                        kept.clear();
                    }
                }
            });
        }
        for number in 0..300 {
            live(&place, &bundles[number % 2], number);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(own(), before);
    assert_eq!(runtime.list().unwrap().count(), 0);
}

#[test]
fn a_large_caller_pays_no_more_than_a_small_one() {
    let Some(place) = Place::new("large") else { return };
    let bundle = place.bundle();
    let mut number = 0;
    let mut least = || {
        let mut once = || {
            number += 1;
            live(&place, &bundle, number)
        };
        (0..21).map(|_| once()).min().unwrap()
    };
    // Other work on the machine may delay all of a series, but not of each; a copy of page tables would take its time in each.
    let extra = |_| {
        let small = least();
        let ballast = vec![1u8; 1 << 30];
        let large = least();
        assert_eq!(std::hint::black_box(&ballast)[1 << 29], 1);
        large.saturating_sub(small)
    };
    let extras: Vec<Duration> = (0..5).map(extra).collect();
    assert!(
        extras.iter().any(|extra| *extra < Duration::from_millis(1)),
        "a caller of 1 GB pays {extras:?} more"
    );
}

#[test]
fn a_container_that_its_creator_alone_can_start() {
    let Some(place) = Place::new("held") else { return };
    let (runtime, id) = (place.runtime(), place.id());
    let create = |bundle: &Bundle| runtime.create(&id, bundle, &place.held()).unwrap();

    let mut container = create(&place.bundle());
    let mut other = runtime.load(&id).unwrap();
    assert_eq!(other.state().unwrap().status, Status::Creating);
    assert!(matches!(other.start(&StartOptions::default()), Err(Error::NotRunning)));
    assert!(matches!(other.delete(), Err(Error::NotStopped { .. })));
    container.start(&StartOptions::default()).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Code(0));
    assert!(matches!(container.start(&StartOptions::default()), Err(Error::StartStopped)));
    container.delete().unwrap();

    let container = create(&place.bundle());
    let init = container.pidfd().unwrap().try_clone_to_owned().unwrap();
    drop(container);
    let ended = nix::poll::PollFd::new(init.as_fd(), nix::poll::PollFlags::POLLIN);
    assert_eq!(
        nix::poll::poll(&mut [ended], 10_000u16),
        Ok(1),
        "init outlives the value that could start it"
    );
    let other = runtime.load(&id).unwrap();
    assert_eq!(other.state().unwrap().status, Status::Stopped);
    other.delete().unwrap();

    let program = place.dir.join("bundle/rootfs/bin/nonsense");
    fs::write(&program, "nonsense").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut container = create(&place.changed("/process/args/0", json!("/bin/nonsense")));
    let error = container.start(&StartOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::Enter(step) if step.message.contains("exec format error")), "{error}");
    container.delete().unwrap();
}

#[test]
fn a_container_that_starts_at_once() {
    let Some(place) = Place::new("once") else { return };
    let (runtime, id) = (place.runtime(), place.id());
    let options = || CreateOptions { stdio: place.stdio(), start: Start::AtOnce, ..CreateOptions::default() };

    let mut container = runtime.create(&id, &place.bundle(), &options()).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Code(0), "it waits for its start");
    container.start(&StartOptions::default()).unwrap();
    assert!(matches!(container.start(&StartOptions::default()), Err(Error::StartStopped)));
    container.delete().unwrap();

    // Whatever becomes of the value that made it.
    let sleep = place.changed("/process/args", json!(["/bin/busybox", "sleep", "100"]));
    drop(runtime.create(&id, &sleep, &options()).unwrap());
    let other = runtime.load(&id).unwrap();
    assert_eq!(other.state().unwrap().status, Status::Running);
    other.delete_forced().unwrap();

    let missing = place.changed("/process/args/0", json!("/bin/nowhere"));
    let error = runtime.create(&id, &missing, &options()).unwrap_err();
    assert!(error.to_string().contains("no such file or directory"), "{error}");
    assert_eq!(runtime.list().unwrap().count(), 0);

    let program = place.dir.join("bundle/rootfs/bin/nonsense");
    fs::write(&program, "nonsense").unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let nonsense = place.changed("/process/args/0", json!("/bin/nonsense"));
    let mut container = runtime.create(&id, &nonsense, &options()).unwrap();
    let error = container.start(&StartOptions::default()).unwrap_err();
    assert!(matches!(&error, Error::Enter(step) if step.message.contains("exec format error")), "{error}");
    container.delete().unwrap();
}

/// A command's thread makes the network namespace and comes back from it; any other caller's does not go there.
#[test]
fn a_caller_stays_in_its_network_namespace() {
    let Some(place) = Place::new("network") else { return };
    let namespace = |task: &str| fs::read_link(format!("/proc/{task}/ns/net")).unwrap();
    let before = namespace("thread-self");
    let mut bundle = place.bundle();
    bundle.spec.linux.as_mut().unwrap().namespaces.push(Namespace { typ: "network".into(), path: None });
    for command in [false, true] {
        let options = CreateOptions { stdio: place.stdio(), command, ..CreateOptions::default() };
        let container = place.runtime().create(&place.id(), &bundle, &options).unwrap();
        assert_eq!(namespace("thread-self"), before);
        assert_eq!(namespace("self"), before);
        assert_ne!(namespace(&container.pid().unwrap().to_string()), before);
        container.delete_forced().unwrap();
    }
}

/// Sends a signal to a process of a container.
fn signal_to(pid: i32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

/// The end of a process that waits for its start comes before the start, and while it has not taken the order yet.
#[test]
fn what_ends_before_its_start_was_not_started() {
    let Some(place) = Place::new("unstarted") else { return };
    let (runtime, id) = (place.runtime(), place.id());
    let stdio = place.stdio();
    for taken in [false, true] {
        let mut container = runtime.create(&id, &place.bundle(), &place.held()).unwrap();
        let pid = container.pid().unwrap();
        let started = std::thread::scope(|scope| {
            signal_to(pid, if taken { Signal::SIGSTOP } else { Signal::SIGKILL });
            std::thread::sleep(Duration::from_millis(100));
            let starter = scope.spawn(|| container.start(&StartOptions::default()));
            std::thread::sleep(Duration::from_millis(100));
            if taken {
                signal_to(pid, Signal::SIGKILL);
            }
            starter.join().unwrap()
        });
        assert!(matches!(started, Err(Error::StartStopped)), "{started:?}");
        container.delete().unwrap();
    }

    let sleep = place.changed("/process/args", json!(["/bin/busybox", "sleep", "100"]));
    let mut container =
        runtime.create(&id, &sleep, &CreateOptions { stdio, ..CreateOptions::default() }).unwrap();
    container.start(&StartOptions::default()).unwrap();
    let process = sleep.spec.process.as_ref().unwrap();
    let prepared = container.prepare(process, &ExecOptions { stdio, ..ExecOptions::default() }).unwrap();
    for pid in container.processes().unwrap() {
        if Some(pid) != container.pid() {
            signal_to(pid, Signal::SIGKILL);
        }
    }
    std::thread::sleep(Duration::from_millis(100));
    let started = prepared.start();
    assert!(matches!(started, Err(Error::InitDied(_))), "{started:?}");
    container.delete_forced().unwrap();
}

/// T13: a payload with every right over its user namespace, and a process that has joined that and is not the payload's yet.
#[test]
fn a_process_that_joins_cannot_be_looked_into() {
    let Some(place) = Place::new("joined") else { return };
    let (runtime, id, stdio) = (place.runtime(), place.id(), place.stdio());
    let mut bundle = place.in_user_namespace();
    let process = bundle.spec.process.as_mut().unwrap();
    process.args = ["/bin/busybox", "sleep", "100"].map(str::to_owned).to_vec();
    let sets = json!({"bounding": ["CAP_SYS_PTRACE"], "permitted": ["CAP_SYS_PTRACE"], "effective": ["CAP_SYS_PTRACE"]});
    process.capabilities = serde_json::from_value(sets).unwrap();
    let mut look = process.clone();
    let script = "for p in /proc/[0-9]*; do echo $p=$(/bin/busybox readlink $p/exe); done";
    look.args = ["/bin/busybox", "sh", "-c", script].map(str::to_owned).to_vec();

    let options = CreateOptions { stdio, ..CreateOptions::default() };
    let mut container = runtime.create(&id, &bundle, &options).unwrap();
    container.start(&StartOptions::default()).unwrap();
    let process = bundle.spec.process.as_ref().unwrap();
    let joined = container.prepare(process, &ExecOptions { stdio, ..ExecOptions::default() }).unwrap();
    let (output, theirs) = nix::unistd::pipe().unwrap();
    let stdio = Some([place.null.as_fd(), theirs.as_fd(), theirs.as_fd()]);
    let mut looking = container.exec(&look, &ExecOptions { stdio, ..ExecOptions::default() }).unwrap();
    drop(theirs);
    let seen = std::io::read_to_string(fs::File::from(output)).unwrap();
    assert_eq!(looking.wait().unwrap(), Exit::Code(0));
    let readable = seen.lines().filter(|line| line.ends_with("/bin/busybox")).count();
    let closed = seen.lines().filter(|line| line.ends_with('=')).count();
    assert_eq!((readable, closed, seen.lines().count()), (2, 1, 3), "{seen}");
    drop(joined);
    container.delete_forced().unwrap();
}

/// What keeps a container from being started leaves it as it is; whoever holds it may delete it.
#[test]
fn a_start_that_was_refused_can_be_repeated() {
    let Some(place) = Place::new("repeated") else { return };
    let (runtime, id) = (place.runtime(), place.id());
    let mut container = runtime.create(&id, &place.bundle(), &place.held()).unwrap();
    // Made without a directory for the socket.
    let notify = StartOptions { notify_socket: Some("/nowhere".into()) };
    assert!(matches!(container.start(&notify), Err(Error::System { .. })));

    let (file, frozen, thawed) = freezer(container.pid().unwrap());
    fs::write(&file, frozen).unwrap();
    let refused = container.start(&StartOptions::default());
    fs::write(&file, thawed).unwrap();
    assert!(matches!(refused, Err(Error::StartPaused)), "{refused:?}");

    container.start(&StartOptions::default()).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Code(0));
    container.delete().unwrap();

    let container = runtime.create(&id, &place.bundle(), &place.held()).unwrap();
    container.delete().unwrap();
    assert_eq!(runtime.list().unwrap().count(), 0);
}

/// A value that was loaded before its record was renewed finds what is kept of the config where it is now.
#[test]
fn a_record_of_the_first_version_is_renewed_by_whom_it_was_loaded() {
    let Some(place) = Place::new("renewed") else { return };
    let (runtime, id) = (place.runtime(), place.id());
    let sleep = place.changed("/process/args", json!(["/bin/busybox", "sleep", "100"]));
    let options = CreateOptions { stdio: place.stdio(), ..CreateOptions::default() };
    runtime.create(&id, &sleep, &options).unwrap().start(&StartOptions::default()).unwrap();

    let [record, config] =
        ["state.json", "config.json"].map(|name| place.dir.join("state").join(id.as_str()).join(name));
    let read = |path: &Path| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let mut first = read(&record);
    first.as_object_mut().unwrap().append(read(&config).as_object_mut().unwrap());
    first["version"] = json!(1);
    fs::write(&record, first.to_string()).unwrap();
    fs::remove_file(&config).unwrap();

    let container = runtime.load(&id).unwrap();
    container.update(&Changes::default()).unwrap();
    assert_eq!(read(&record)["version"], 2);
    assert_eq!(container.process().unwrap().args[0], "/bin/busybox");
    container.delete_forced().unwrap();
}

/// The file that freezes a process's cgroup, and what is written to it for that and for the opposite.
fn freezer(pid: i32) -> (PathBuf, &'static str, &'static str) {
    let cgroups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let path = |mark: &str| cgroups.lines().find_map(|line| line.split_once(mark)).map(|(_, path)| path);
    let root = Path::new("/sys/fs/cgroup");
    match path(":freezer:/") {
        Some(path) => (root.join("freezer").join(path).join("freezer.state"), "FROZEN", "THAWED"),
        None => (root.join(path("0::/").unwrap()).join("cgroup.freeze"), "1", "0"),
    }
}

/// The kernel reaps the children of such a caller, and their pidfds remember how they ended.
#[test]
fn a_caller_that_ignores_its_children() {
    if kernel() < (6, 15) {
        return eprintln!("skipped: needs Linux 6.15");
    }
    let Some(place) = Place::new("ignored") else { return };
    let disposition = |how| {
        // SAFETY: no handler is installed, and no other test waits for children meanwhile.
        unsafe { signal(Signal::SIGCHLD, how) }.unwrap()
    };
    let before = disposition(SigHandler::SigIgn);
    live_fully(&place);
    disposition(before);
}

extern "C" fn nothing(_: libc::c_int) {}

/// A signal with a handler every half a millisecond, after which the kernel makes no call again.
#[test]
fn a_caller_that_is_interrupted() {
    let Some(place) = Place::new("interrupt") else { return };
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    // SAFETY: takes nothing.
    let thread = unsafe { libc::pthread_self() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // SAFETY: the thread outlives this scope.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        let lived = std::panic::catch_unwind(|| {
            for _ in 0..10 {
                live_fully(&place);
            }
        });
        stop.store(true, Ordering::Relaxed);
        lived.unwrap();
    });
}
