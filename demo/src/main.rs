//! The demo's payload: what a process inside a container sees of its namespaces, mounts, capabilities and limits, and what it
//! is refused. A static program without dependencies, so that an otherwise empty root file system can run it.

use std::fs;
use std::io::Write;
use std::path::Path;

/// What the program may not do, and an attempt at it.
type Attempt = (&'static str, fn() -> std::io::Result<()>);

fn main() {
    heading("who");
    println!("  pid {}, host name {}", std::process::id(), read("/proc/sys/kernel/hostname"));
    println!("  {}", fields("/proc/self/status", &["Uid", "Gid", "NoNewPrivs", "Seccomp"]));

    heading("namespaces");
    for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup", "user", "time"] {
        let own = fs::read_link(format!("/proc/self/ns/{kind}")).unwrap_or_default();
        let host = std::env::var(format!("HOST_{}", kind.to_uppercase())).unwrap_or_default();
        let verdict = if host == own.to_string_lossy() { "shared with the host" } else { "its own" };
        println!("  {:<22} {verdict}", own.display());
    }

    heading("processes and devices");
    println!("  /proc: {}", names("/proc", |name| name.bytes().all(|byte| byte.is_ascii_digit())));
    println!("  /dev:  {}", names("/dev", |_| true));
    println!("  net:   {}", names("/sys/class/net", |_| true));

    heading("mounts");
    for line in read("/proc/self/mountinfo").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let kind = words.iter().position(|word| *word == "-").and_then(|dash| words.get(dash + 1));
        if let (Some(target), Some(options), Some(kind)) = (words.get(4), words.get(5), kind) {
            println!("  {target:<28} {kind:<8} {options}");
        }
    }

    heading("capabilities and limits");
    println!("  {}", fields("/proc/self/status", &["CapEff", "CapBnd", "CapAmb"]));
    for line in read("/proc/self/limits").lines().filter(|line| line.contains("open files")) {
        println!("  {line}");
    }
    for line in read("/proc/self/cgroup").lines().take(2) {
        println!("  cgroup {line}");
    }

    heading("what it is refused");
    let attempts: [Attempt; 4] = [
        ("write to its root", || fs::write("/new", "")),
        ("change a kernel parameter", || fs::write("/proc/sys/kernel/panic", "1")),
        ("look at the kernel's timers", || some(fs::read("/proc/timer_list"))),
        ("look at the firmware", || empty("/sys/firmware")),
    ];
    for (what, attempt) in attempts {
        match attempt() {
            Ok(()) => println!("  {what}: IT COULD"),
            Err(error) => println!("  {what}: {error}"),
        }
    }
    let _ = std::io::stdout().flush();
}

fn heading(text: &str) {
    println!("\n\x1b[1m{text}\x1b[0m");
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim_end().to_owned()
}

/// An empty file is as good as none.
fn some(bytes: std::io::Result<Vec<u8>>) -> std::io::Result<()> {
    match bytes?.as_slice() {
        [] => Err(std::io::Error::other("masked: it reads empty")),
        _ => Ok(()),
    }
}

/// An empty directory likewise.
fn empty(dir: &str) -> std::io::Result<()> {
    match fs::read_dir(dir)?.next() {
        None => Err(std::io::Error::other("masked: it is empty")),
        Some(_) => Ok(()),
    }
}

fn fields(path: &str, wanted: &[&str]) -> String {
    let text = read(path);
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let found = lines.filter(|(name, _)| wanted.contains(name));
    found
        .map(|(name, value)| format!("{name} {}", value.replace('\t', " ").trim()))
        .collect::<Vec<_>>()
        .join(", ")
}

fn names(dir: impl AsRef<Path>, wanted: fn(&str) -> bool) -> String {
    let Ok(entries) = fs::read_dir(dir) else { return "-".to_owned() };
    let mut names: Vec<String> = entries
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| wanted(name))
        .collect();
    names.sort();
    names.join(" ")
}
