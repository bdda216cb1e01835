//! The library in somebody else's program: one with many threads, one with much memory. Needs root and cgroups.

#![allow(unsafe_code, clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use runtime_core::{Bundle, CreateOptions, Exit, Id, Runtime, StartOptions};

/// One test at a time: busy threads would spoil the other's times.
static ALONE: Mutex<()> = Mutex::new(());

/// A bundle and a state root that go away with the value.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("corten-embedding-{name}-{}", std::process::id()));
        let bin = dir.join("bundle/rootfs/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::copy("/bin/busybox", bin.join("busybox")).unwrap();
        symlink("busybox", bin.join("true")).unwrap();
        let config = serde_json::json!({
            "ociVersion": "1.3.0",
            "process": {"args": ["/bin/true"], "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 0, "gid": 0}},
            "root": {"path": "rootfs"},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
            "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"}]},
        });
        fs::write(dir.join("bundle/config.json"), config.to_string()).unwrap();
        Self(dir)
    }

    fn runtime(&self) -> Runtime {
        Runtime::new(self.0.join("state"))
    }

    fn bundle(&self) -> Bundle {
        Bundle::load(self.0.join("bundle")).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Why the tests cannot run here, if they cannot.
fn missing() -> Option<&'static str> {
    if !nix::unistd::Uid::effective().is_root() {
        return Some("needs root");
    }
    (!Path::new("/bin/busybox").exists()).then_some("needs busybox-static")
}

/// Creates, starts, waits for and deletes one container; how long the creation took.
fn live(runtime: &Runtime, bundle: &Bundle, id: &str) -> Duration {
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    let options = CreateOptions { stdio: Some([null.as_fd(); 3]), ..CreateOptions::default() };
    let begin = Instant::now();
    let mut container = runtime.create(&Id::new(id).unwrap(), bundle, &options).unwrap();
    let took = begin.elapsed();
    container.start(&StartOptions::default()).unwrap();
    assert_eq!(container.wait().unwrap(), Exit::Code(0));
    container.delete().unwrap();
    took
}

#[test]
fn three_hundred_containers_among_eight_busy_threads() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new("threads");
    let (runtime, bundle) = (place.runtime(), place.bundle());
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
            live(&runtime, &bundle, &format!("embedded-{}-{number}", std::process::id()));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(runtime.list().unwrap().len(), 0);
}

#[test]
fn a_large_caller_pays_no_more_than_a_small_one() {
    if let Some(reason) = missing() {
        eprintln!("skipped: {reason}");
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let place = Place::new("large");
    let (runtime, bundle) = (place.runtime(), place.bundle());
    // The least, which other work on the machine does not raise.
    let least = |kind: &str| {
        let id = |number| format!("{kind}-{}-{number}", std::process::id());
        (0..41).map(|number| live(&runtime, &bundle, &id(number))).min().unwrap()
    };
    let small = least("small");
    let ballast = vec![1u8; 1 << 30];
    let large = least("large");
    assert_eq!(std::hint::black_box(&ballast)[1 << 29], 1);
    let extra = large.saturating_sub(small);
    assert!(extra < Duration::from_millis(1), "{small:?} became {large:?} in a caller of 1 GB");
}
