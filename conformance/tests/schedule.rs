//! How the kernel treats the process: processors, scheduler, I/O priority, execution domain, memory policy.

use std::path::Path;

use conformance::{Container, corten_only, is_peer, kernel, sandbox, skip, tool};
use serde_json::{Value, json};

/// Policy, nice value and real-time priority of a line of `/proc/PID/stat`.
fn scheduling(stat: &str) -> (u32, i32, u32) {
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split_whitespace().collect();
    // The state, the third field, is the first one here.
    (fields[38].parse().unwrap(), fields[16].parse().unwrap(), fields[37].parse().unwrap())
}

#[test]
fn the_scheduler_is_the_one_asked_for() {
    let t = sandbox!();
    let rows = [
        (json!({"policy": "SCHED_OTHER", "nice": -7}), (0, -7, 0)),
        (json!({"policy": "SCHED_BATCH", "nice": 12}), (3, 12, 0)),
        (json!({"policy": "SCHED_IDLE"}), (5, 0, 0)),
        (
            json!({
                "policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RESET_ON_FORK"],
                "runtime": 1_000_000, "deadline": 50_000_000, "period": 100_000_000
            }),
            (6, 0, 0),
        ),
    ];
    for (scheduler, expected) in rows {
        let mut bundle = t.bundle();
        // The reset on a fork would show in a child.
        bundle.set("/process/scheduler", scheduler).script("read line < /proc/self/stat; echo \"$line\"");
        assert_eq!(scheduling(&t.run(&bundle).ok()), expected);
    }
}

/// Real-time policies need a budget where the kernel gives one to each cgroup.
#[test]
fn flags_and_priorities_of_the_scheduler() {
    let t = sandbox!();
    let Some(chrt) = tool("chrt") else { skip!("chrt is not installed") };
    let budget = kernel::hierarchy("cpu").is_some_and(|dir| dir.join("cpu.rt_runtime_us").exists());
    for (policy, flag) in [("SCHED_FIFO", None), ("SCHED_RR", Some("SCHED_FLAG_RESET_ON_FORK"))] {
        let mut bundle = t.bundle();
        bundle.args(["sleep", "1000"]);
        bundle.set("/process/scheduler", json!({"policy": policy, "priority": 7}));
        if let Some(flag) = flag {
            bundle.set("/process/scheduler/flags", json!([flag]));
        }
        if budget {
            bundle.set("/linux/resources/cpu", json!({"realtimePeriod": 500_000, "realtimeRuntime": 10_000}));
        }
        let id = t.id();
        let output = t.on_bundle(["run", "--detach"], &bundle, &id).run();
        if output.stderr().contains("cpu.rt_runtime_us") {
            skip!("other cgroups of this machine have the whole budget");
        }
        output.ok();
        let c = Container::new(&t, id, output);
        let shown = t.command([chrt.as_os_str()]).args(["-p", &c.pid().to_string()]).run().ok();
        assert!(shown.contains(policy) && shown.contains("priority: 7"), "{shown}");
        assert_eq!(shown.contains("RESET_ON_FORK"), flag.is_some(), "{shown}");
    }
}

/// Those that need a processor's or a kernel's support still reach the kernel.
#[test]
fn each_flag_of_the_scheduler_is_given_on() {
    corten_only!();
    let t = sandbox!();
    for (flag, bit) in [
        ("RESET_ON_FORK", 0x01),
        ("RECLAIM", 0x02),
        ("DL_OVERRUN", 0x04),
        ("KEEP_POLICY", 0x08),
        ("KEEP_PARAMS", 0x10),
        ("UTIL_CLAMP_MIN", 0x20),
        ("UTIL_CLAMP_MAX", 0x40),
    ] {
        let mut bundle = t.bundle();
        let flag = format!("SCHED_FLAG_{flag}");
        bundle.set("/process/scheduler", json!({"policy": "SCHED_OTHER", "flags": [flag]})).write();
        let plan = t.runtime(["plan", "--bundle", bundle.dir().to_str().unwrap()]).run().ok();
        let step = plan.lines().find(|line| line.contains("SetScheduler")).unwrap();
        assert!(
            step.contains(&format!("flags={bit} ")) || step.contains(&format!("flags=\"{bit:#x}\"")),
            "{step}"
        );
    }
}

/// The kernel gives deadlines only to what may run on all processors.
#[test]
fn deadlines_and_few_processors_exclude_each_other() {
    let t = sandbox!();
    if std::thread::available_parallelism().unwrap().get() == 1 {
        skip!("there is one processor only");
    }
    let mut bundle = t.bundle();
    let deadline = json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 50_000_000, "period": 50_000_000});
    bundle.set("/process/scheduler", deadline).set("/linux/resources/cpu/cpus", "0").args(["true"]);
    t.run(&bundle).fails_with(1, "process scheduler can't be used together with AllowedCPUs");
}

#[test]
fn a_process_of_exec_has_the_scheduler_of_its_own() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/scheduler", json!({"policy": "SCHED_BATCH", "nice": 3})).args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    assert_eq!(scheduling(&c.exec(["cat", "/proc/self/stat"]).ok()), (3, 3, 0));
}

#[test]
fn the_io_priority_is_the_one_asked_for() {
    let t = sandbox!();
    for (priority, expected) in [
        (json!({"class": "IOPRIO_CLASS_BE", "priority": 6}), "best-effort: prio 6\n"),
        (json!({"class": "IOPRIO_CLASS_IDLE"}), "idle"),
        (json!({"class": "IOPRIO_CLASS_RT", "priority": 2}), "realtime: prio 2\n"),
    ] {
        let mut bundle = t.bundle();
        bundle.set("/process/ioPriority", priority).args(["/bin/busybox", "ionice"]);
        let output = t.run(&bundle);
        assert!(output.ok().starts_with(expected), "{}", output.report());
    }
}

#[test]
fn the_callers_affinity_is_not_the_containers() {
    corten_only!();
    let t = sandbox!();
    if tool("taskset").is_none() {
        conformance::skip!("taskset is not installed");
    }
    let allowed = kernel::Process(std::process::id()).status("Cpus_allowed_list");
    let mut bundle = t.bundle();
    let command = ["grep", "Cpus_allowed_list", "/proc/self/status"];
    let narrowed = t.on_bundle(["run"], bundle.args(command), &t.id()).wrap(["taskset", "-c", "0"]).run();
    assert!(narrowed.ok().trim_end().ends_with(&allowed), "{}", narrowed.report());
    let c = t.launch(bundle.args(["sleep", "1000"]));
    let narrowed = c.exec_with([], command).wrap(["taskset", "-c", "0"]).run();
    assert!(narrowed.ok().trim_end().ends_with(&allowed), "{}", narrowed.report());
}

#[test]
fn exec_goes_to_the_processors_asked_for() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/execCPUAffinity", json!({"initial": "0-1", "final": "0"})).args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    let text = c.exec(["grep", "Cpus_allowed_list", "/proc/self/status"]).ok();
    assert!(text.trim_end().ends_with("\t0"), "{text}");
    let mut bundle = t.bundle();
    bundle.set("/process/execCPUAffinity", json!({"final": "4000"})).args(["sleep", "1000"]);
    let c = t.launch(&bundle);
    c.exec_with([], ["true"]).run().fails_with(255, "CPU affinity");
}

#[test]
fn the_execution_domain_holds_for_every_process() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/linux/personality/domain", "LINUX32").args(["sleep", "1000"]);
    let machine = if cfg!(target_arch = "x86_64") { "i686\n" } else { "armv8l\n" };
    let c = t.launch(&bundle);
    assert_eq!(c.exec(["uname", "-m"]).ok(), machine);
    if !is_peer() {
        bundle.set("/linux/personality/flags", json!(["ADDR_NO_RANDOMIZE", "UNAME26"]));
        let c = t.launch(&bundle);
        let text = c.shell("cat /proc/self/personality; uname -r");
        assert!(text.starts_with("00060008\n2.6."), "{text}");
    }
}

#[test]
fn the_memory_policy_is_the_one_asked_for() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    let policy = |mode: &str, nodes: Option<&str>| -> Value { json!({"mode": mode, "nodes": nodes}) };
    bundle.set("/linux/memoryPolicy", policy("MPOL_BIND", Some("0"))).args([
        "head",
        "-n1",
        "/proc/self/numa_maps",
    ]);
    if !Path::new("/proc/self/numa_maps").exists() {
        assert_eq!(t.refused_at(&bundle), "/linux/memoryPolicy");
        return;
    }
    let text = t.run(&bundle).ok();
    assert!(text.contains(" bind:0 "), "{text}");
    let text = t.run(bundle.set("/linux/memoryPolicy", policy("MPOL_DEFAULT", None))).ok();
    assert!(text.contains(" default "), "{text}");
    let c = t.launch(
        bundle.set("/linux/memoryPolicy", policy("MPOL_INTERLEAVE", Some("0"))).args(["sleep", "1000"]),
    );
    assert!(c.exec(["head", "-n1", "/proc/self/numa_maps"]).ok().contains(" interleave:0 "));
    c.force_delete();
    bundle.set("/linux/memoryPolicy", policy("MPOL_BIND", Some("1000")));
    assert_eq!(t.refused_at(&bundle), "/linux/memoryPolicy");
}
