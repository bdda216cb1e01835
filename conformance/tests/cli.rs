//! The command line: usage errors, exit codes, help, version, log formats, pid files, features, spec.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use conformance::{Container, Sandbox, corten_only, is_peer, sandbox};
use serde_json::{Value, json};

const COMMANDS: [&str; 17] = [
    "checkpoint",
    "create",
    "delete",
    "events",
    "exec",
    "features",
    "kill",
    "list",
    "pause",
    "ps",
    "restore",
    "resume",
    "run",
    "spec",
    "start",
    "state",
    "update",
];

/// The log lines in a text, each of which must be one JSON object.
fn events(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

#[test]
fn version_names_the_program_and_the_specification() {
    let t = sandbox!();
    for flag in ["--version", "-v", "-version"] {
        let output = t.bare([flag]).run();
        let text = output.ok();
        assert!(text.lines().next().unwrap().contains(" version "), "{text}");
        assert!(text.lines().any(|line| line.starts_with("spec: 1.")), "{text}");
        assert_eq!(output.stderr(), "");
    }
}

#[test]
fn help_goes_to_standard_output() {
    let t = sandbox!();
    let overview = t.bare(["--help"]).run().ok();
    for args in [vec!["-h"], vec!["help"], vec![]] {
        assert_eq!(t.bare(args).run().ok(), overview);
    }
    for command in COMMANDS {
        assert!(overview.contains(command), "{command} is missing in\n{overview}");
        let output = t.bare([command, "--help"]).run();
        assert!(output.ok().contains(command), "{}", output.report());
        assert_eq!(output.stderr(), "", "{command}");
        assert_eq!(t.bare([command, "-h"]).run().ok(), output.stdout());
    }
}

#[test]
fn an_unknown_command_exits_3() {
    let t = sandbox!();
    t.runtime(["frobnicate"]).run().fails_with(3, "No help topic for 'frobnicate'");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    let t = sandbox!();
    let text = "flag provided but not defined: -nosuch";
    t.bare(["--nosuch", "list"]).run().fails_with(1, text);
    for command in COMMANDS {
        t.runtime([command, "--nosuch", "id"]).run().fails_with(1, text);
    }
    if !is_peer() {
        // runc 1.1 writes a full stop where newer ones write a colon.
        t.runtime(["state", "-nosuch"]).run().fails_with(1, &format!("Incorrect Usage: {text}"));
    }
}

#[test]
fn a_flag_without_its_value_is_a_usage_error() {
    let t = sandbox!();
    for args in [
        ["create", "--bundle"],
        ["run", "--pid-file"],
        ["exec", "--user"],
        ["restore", "--lsm-mount-context"],
    ] {
        t.runtime(args).run().fails_with(1, "flag needs an argument: -");
    }
    t.bare(["--log"]).run().fails_with(1, "flag needs an argument: -");
}

#[test]
fn the_number_of_arguments_is_checked() {
    let t = sandbox!();
    let exactly = |n| format!("requires exactly {n} argument(s)");
    let at_least = |n| format!("requires a minimum of {n} argument");
    for (args, text) in [
        (vec!["state"], exactly(1)),
        (vec!["state", "a", "b"], exactly(1)),
        (vec!["create"], exactly(1)),
        (vec!["run", "a", "b"], exactly(1)),
        (vec!["start"], exactly(1)),
        (vec!["delete"], exactly(1)),
        (vec!["pause"], exactly(1)),
        (vec!["resume", "a", "b"], exactly(1)),
        (vec!["list", "a"], exactly(0)),
        (vec!["spec", "a"], exactly(0)),
        (vec!["features", "a"], exactly(0)),
        (vec!["kill"], at_least(1)),
        (vec!["ps"], at_least(1)),
        (vec!["exec"], at_least(1)),
    ] {
        let output = t.runtime(&args).run();
        output.fails_with(1, &text);
        let command = args[0];
        assert!(output.stdout().starts_with("Incorrect Usage.\n\n"), "{}", output.report());
        assert!(output.stdout().contains(command), "{}", output.report());
    }
    t.runtime(["kill", "a", "TERM", "b"]).run().fails(1);
}

#[test]
fn long_flags_take_one_dash_or_two_and_both_forms_of_value() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]).write();
    let dir = bundle.dir().to_str().unwrap();
    let root = t.state_root();
    let root = root.to_str().unwrap();
    for flags in [
        vec!["-root", root, "run", "-bundle", dir],
        vec![&format!("-root={root}"), "run", &format!("-bundle={dir}")],
        vec!["--root", root, "run", "-no-subreaper", "-b", dir],
        vec![&format!("--root={root}"), "run", &format!("-b={dir}")],
        vec!["--root", "/nosuch", "--root", root, "run", "--bundle", "/nosuch", "--bundle", dir],
    ] {
        t.bare(flags).args([t.id()]).run().ok();
    }
    t.assert_clean();
}

#[test]
fn log_formats_other_than_two_are_refused() {
    let t = sandbox!();
    t.bare(["--log-format", "xml", "list"]).run().fails_with(1, "invalid log-format: xml");
}

#[test]
fn a_text_log_carries_time_level_and_message() {
    let t = sandbox!();
    let stderr = t.runtime(["state", "nosuch"]).run().fails(1);
    assert!(stderr.starts_with("time=\"20"), "{stderr}");
    assert!(stderr.ends_with(" level=error msg=\"container does not exist\"\n"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn a_json_log_has_three_keys_in_order() {
    let t = sandbox!();
    let stderr = t.runtime(["--log-format", "json", "state", "nosuch"]).run().stderr();
    assert!(stderr.starts_with(r#"{"level":"error","msg":"container does not exist","#), "{stderr}");
    let event = &events(&stderr)[0];
    let time = event["time"].as_str().unwrap();
    assert!(time.len() >= 20 && time.starts_with("20") && time.as_bytes()[10] == b'T', "RFC 3339: {time}");
}

/// containerd decodes every object of the file, in which all commands of a container append, and reports the last error.
#[test]
fn containerd_reads_a_log_file_of_several_commands() {
    let t = sandbox!();
    let log = t.path("log.json");
    let log = log.to_str().unwrap();
    let mut bundle = t.bundle();
    bundle.args(["nosuch"]).write();
    let flags = ["--log", log, "--log-format", "json"];
    let create = ["create", "--bundle", bundle.dir().to_str().unwrap(), "c"];
    t.runtime(flags).args(["state", "nosuch"]).run().fails(1);
    let output = t.runtime(flags).args(create).run();
    let stderr = output.fails(1);
    let text = fs::read_to_string(log).unwrap();
    let events = events(&text);
    let last = events.iter().rfind(|event| event["level"] == "error").unwrap();
    let message = last["msg"].as_str().unwrap();
    assert!(message.contains("executable file not found in $PATH"), "{text}");
    assert_eq!(stderr.trim_end(), message, "the bare message also goes to standard error");
    assert_eq!(fs::metadata(log).unwrap().permissions().mode() & 0o777, 0o644);
}

/// Podman decodes the whole of a fresh file as one object.
#[test]
fn podman_reads_a_fresh_log_file_as_one_object() {
    let t = sandbox!();
    let log = t.path("oci-log");
    let mut bundle = t.bundle();
    bundle.args(["nosuch"]).push("/process/capabilities/bounding", json!("CAP_OF_THE_FUTURE")).write();
    let flags = ["--log-format=json", "--log", log.to_str().unwrap()];
    t.runtime(flags).args(["create", "--bundle", bundle.dir().to_str().unwrap(), "c"]).run().fails(1);
    let text = fs::read_to_string(&log).unwrap();
    if is_peer() {
        return; // runc adds its warning about the capability, and podman falls back to conmon's text
    }
    let event: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(event["level"], "error");
}

#[test]
fn json_errors_carry_what_machines_need() {
    corten_only!();
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.set("/process/cwd", "relative").write();
    let create = ["--log-format", "json", "create", "--bundle", bundle.dir().to_str().unwrap(), "c"];
    let stderr = t.runtime(create).run().stderr();
    let event = events(&stderr).remove(0);
    assert_eq!(event["error"]["pointer"], "/process/cwd", "{stderr}");
    assert!(event["error"]["kind"].is_string(), "{stderr}");
}

#[test]
fn debug_lines_keep_the_format() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["true"]);
    let id = t.id();
    bundle.write();
    let run = ["--debug", "--log-format", "json", "run", "-b", bundle.dir().to_str().unwrap(), &id];
    let output = t.runtime(run).run();
    output.ok();
    let events = events(&output.stderr());
    assert!(events.iter().any(|event| event["level"] == "debug"), "{}", output.report());
}

#[test]
fn success_is_silent() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let c = t.create(&bundle);
    for (command, args) in
        [("start", vec![]), ("pause", vec![]), ("resume", vec![]), ("kill", vec!["KILL"]), ("delete", vec![])]
    {
        if command == "delete" {
            c.wait_for("stopped");
        }
        let output = c.command(command, args).run();
        assert_eq!((output.ok(), output.stderr()), (String::new(), String::new()), "{command}");
    }
    assert_eq!((c.output().stdout(), c.output().stderr()), (String::new(), String::new()), "create");
}

#[test]
fn roots_that_cannot_be() {
    corten_only!(); // since runc 1.5
    let t = sandbox!();
    t.bare(["--root", "/", "list"]).run().fails_with(1, "Option --root argument should not be set to /");
    t.bare(["--root", "/../", "list"]).run().fails_with(1, "Option --root argument should not be set to /");
    t.bare(["--root", "/nosuch/root", "list"]).run().fails(1);
    assert!(!fs::exists("/nosuch").unwrap());
}

#[test]
fn rootless_takes_every_boolean() {
    let t = sandbox!();
    fs::create_dir(t.state_root()).unwrap();
    for value in ["auto", "", "1", "0", "t", "f", "T", "F", "true", "false", "TRUE", "FALSE", "True", "False"]
    {
        t.runtime([&format!("--rootless={value}"), "list"]).run().ok();
    }
    if !is_peer() {
        t.runtime(["--rootless=maybe", "list"]).run().fails_with(1, "maybe");
    }
}

#[test]
fn a_relative_root_is_made_absolute() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]).write();
    let create = ["--root", "state", "create", "--bundle", bundle.dir().to_str().unwrap(), "c"];
    t.bare(create).dir(t.dir()).run().ok();
    t.runtime(["state", "c"]).dir("/").run().ok();
    t.runtime(["delete", "--force", "c"]).run().ok();
}

#[test]
fn pid_files_are_relative_to_the_caller_and_bare() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let id = t.id();
    let caller = t.path("caller");
    fs::create_dir(&caller).unwrap();
    let create =
        t.on_bundle(["create", "--pid-file", "init.pid"], &bundle, &id).dir(&caller).after("umask 022");
    let output = create.run();
    output.ok();
    let c = Container::new(&t, id, output);
    assert_eq!(fs::read_to_string(caller.join("init.pid")).unwrap(), c.pid().to_string());
    assert_eq!(fs::metadata(caller.join("init.pid")).unwrap().permissions().mode() & 0o777, 0o644);
    c.start();

    // An existing file is replaced.
    fs::write(caller.join("exec.pid"), "a much longer old content").unwrap();
    let exec = c.exec_with(["--detach", "--pid-file", "exec.pid"], ["sleep", "1000"]).dir(&caller);
    exec.run().ok();
    let pid: u32 = fs::read_to_string(caller.join("exec.pid")).unwrap().parse().unwrap();
    assert!(conformance::kernel::Process(pid).file("cmdline").starts_with("sleep"));
    let names: Vec<_> = fs::read_dir(&caller).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn no_pid_file_without_a_process() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let file = t.path("pid");
    let flags = ["create", "--pid-file", file.to_str().unwrap()];
    bundle.args(["nosuch"]);
    t.on_bundle(flags, &bundle, &t.id()).run().fails(1);
    assert!(!file.exists());
    let c = t.launch(bundle.args(["sleep", "1000"]));
    c.exec_with(["--detach", "--pid-file", file.to_str().unwrap()], ["nosuch"]).run().fails(255);
    assert!(!file.exists());
    drop(c);
    // A pid file that cannot be written undoes the create.
    t.on_bundle(["create", "--pid-file", "/nosuch/pid"], &bundle, &t.id()).run().fails(1);
    if !is_peer() {
        // Who is to be told of the process is told before it runs.
        bundle.set("/root/readonly", false).script("touch /mark");
        t.on_bundle(["run", "--pid-file", "/nosuch/pid"], &bundle, &t.id()).run().fails(1);
        assert!(!bundle.inside("mark").exists());
        let file = file.to_str().unwrap();
        t.on_bundle(["run", "--pid-file", file], &bundle, &t.id()).run().ok();
        assert!(bundle.inside("mark").exists());
    }
    t.assert_clean();
}

#[test]
fn features_say_what_engines_read() {
    let t = sandbox!();
    let output = t.bare(["features"]).run();
    let text = output.ok();
    assert_eq!(output.stderr(), "");
    assert!(text.starts_with("{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": \"1."), "{text}");
    let features: Value = serde_json::from_str(&text).unwrap();
    let has = |pointer: &str, name: &str| {
        let list = features
            .pointer(pointer)
            .and_then(Value::as_array)
            .unwrap_or_else(|| panic!("{pointer}: {text}"));
        assert!(list.contains(&json!(name)), "{name} is missing in {pointer}: {list:?}");
    };
    for hook in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        has("/hooks", hook);
    }
    for kind in ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"] {
        has("/linux/namespaces", kind);
    }
    for option in ["ro", "rw", "bind", "rbind", "nosuid", "nodev", "noexec", "rro", "rslave", "private"] {
        has("/mountOptions", option);
    }
    has("/linux/capabilities", "CAP_CHOWN");
    has("/linux/capabilities", "CAP_CHECKPOINT_RESTORE");
    assert_eq!(features["linux"]["cgroup"]["v1"], true);
    assert_eq!(features["linux"]["cgroup"]["v2"], true);
    let options: Vec<&str> =
        features["mountOptions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(options.is_sorted(), "{options:?}");
    if !is_peer() {
        assert!(features["linux"]["mountExtensions"]["idmap"]["enabled"].is_boolean(), "{text}");
        assert!(features["potentiallyUnsafeConfigAnnotations"].is_array(), "{text}");
    }
}

#[test]
fn spec_writes_a_config_that_runs() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let file = bundle.dir().join("config.json");
    assert_eq!(t.bare(["spec"]).dir(bundle.dir()).after("umask 022").run().ok(), "");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("{\n\t\"ociVersion\": \"1."), "{text}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["process"]["terminal"], true);
    assert_eq!(config["process"]["args"], json!(["sh"]));
    assert_eq!(config["process"]["noNewPrivileges"], true);
    assert_eq!(config["root"], json!({"path": "rootfs", "readonly": true}));
    // What the harness runs all tests with is this template.
    for pointer in
        ["/process/env", "/process/rlimits", "/mounts", "/linux/maskedPaths", "/linux/readonlyPaths"]
    {
        assert_eq!(
            unordered(config.pointer(pointer)),
            unordered(bundle.config().pointer(pointer)),
            "{pointer}"
        );
    }
    t.bare(["spec"]).dir(bundle.dir()).run().fails_with(1, "File config.json exists. Remove it first");

    let mut config = config;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["echo", "it runs"]);
    bundle.write_bytes(config.to_string().as_bytes());
    let run = ["run", "--bundle", bundle.dir().to_str().unwrap(), "c"];
    assert_eq!(t.runtime(run).run().ok(), "it runs\n");
    bundle.args(["true"]);
}

/// A list as text, with its items and their options in a fixed order and `sysfs`'s spelling of no options made one.
fn unordered(list: Option<&Value>) -> Vec<String> {
    let mut items: Vec<String> = list.unwrap().as_array().unwrap().iter().map(Value::to_string).collect();
    items.sort();
    items
}

#[test]
fn spec_for_a_bundle_elsewhere_and_rootless() {
    let t = sandbox!();
    let bundle = t.bundle();
    t.bare(["spec", "--rootless", "--bundle", bundle.dir().to_str().unwrap()]).dir("/").run().ok();
    let config: Value = serde_json::from_slice(&fs::read(bundle.dir().join("config.json")).unwrap()).unwrap();
    let linux = &config["linux"];
    let kinds: Vec<&str> =
        linux["namespaces"].as_array().unwrap().iter().map(|ns| ns["type"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"user") && !kinds.contains(&"network"), "{kinds:?}");
    assert_eq!(linux["uidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert_eq!(linux["gidMappings"], json!([{"containerID": 0, "hostID": 0, "size": 1}]));
    assert!(linux.get("resources").is_none());
    let mounts = config["mounts"].as_array().unwrap();
    let sys = mounts.iter().find(|mount| mount["destination"] == "/sys").unwrap();
    assert_eq!(sys["options"], json!(["rbind", "nosuid", "noexec", "nodev", "ro"]));
    let pts = mounts.iter().find(|mount| mount["destination"] == "/dev/pts").unwrap();
    assert!(!pts["options"].as_array().unwrap().contains(&json!("gid=5")));
}

#[test]
fn a_missing_or_broken_bundle() {
    let t = sandbox!();
    let empty = t.path("empty");
    fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    let create = |t: &Sandbox, dir: &str| t.runtime(["create", "--bundle", dir, "c"]).run();
    create(&t, empty).fails_with(1, "JSON specification file config.json not found");
    create(&t, "/nosuch").fails_with(1, "no such file or directory");
    let bundle = t.bundle();
    bundle.write_bytes(b"{ not json");
    create(&t, bundle.dir().to_str().unwrap()).fails(1);
    t.assert_clean();
}

#[test]
fn closed_standard_descriptors_become_dev_null() {
    corten_only!(); // runc 1.1 hands descriptors of its own over, /sys/fs/cgroup as standard input
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.args(["sleep", "1000"]);
    let id = t.id();
    let create = t.on_bundle(["create"], &bundle, &id).after("exec 0<&- 1>&- 2>&-");
    let output = create.run();
    output.ok();
    let c = Container::new(&t, id, output);
    c.start();
    let pid = c.init();
    conformance::wait_until("the payload", || pid.file("cmdline").starts_with("sleep"));
    let descriptors = pid.descriptors();
    assert_eq!(descriptors.len(), 3, "{descriptors:?}");
    assert!(descriptors.iter().all(|(_, path)| path.ends_with("dev/null")), "{descriptors:?}");
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    corten_only!(); // runc ignores it
    let t = sandbox!();
    fs::create_dir(t.state_root()).unwrap();
    let output = t.runtime(["list"]).after("exec >/dev/full").run();
    output.fails_with(1, "no space left on device");
    let output = t.runtime(["features"]).after("exec >/dev/full").run();
    output.fails_with(1, "no space left on device");
}

/// CRI-O passes a handful of variables, and no HOME.
#[test]
fn an_empty_environment_is_enough() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    bundle.script("echo $HOME $PATH").set("/process/env", json!(["PATH=/bin"]));
    assert_eq!(t.on_bundle(["run"], &bundle, &t.id()).env_clear().run().ok(), "/root /bin\n");
    t.assert_clean();
}

#[test]
fn a_pipe_without_a_reader_fails_the_command_and_ends_nobody() {
    let t = sandbox!();
    let pipe = t.path("pipe");
    let shell = format!("mkfifo '{0}'; exec 3<>'{0}' >'{0}' 3<&-", pipe.display());
    t.bare(["features"]).after(&shell).run().fails_with(1, "standard output");
}

#[test]
fn arguments_that_are_not_text_are_refused_in_words() {
    let t = sandbox!();
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    for command in ["state", "start", "delete", "kill", "create"] {
        let output = t.runtime([command]).args([bytes]).run();
        let stderr = output.fails(1);
        assert!(stderr.contains("level=error") && !stderr.contains("panicked"), "{}", output.report());
    }
    t.assert_clean();
}

#[test]
fn exec_errors_exit_255() {
    let t = sandbox!();
    let mut bundle = t.bundle();
    let c = t.launch(bundle.args(["sleep", "1000"]));
    t.runtime(["exec", "nosuch", "true"]).run().fails_with(255, "container does not exist");
    c.exec(["nosuch"]).fails_with(255, "exec failed: ");
    c.exec_with(["--detach"], ["nosuch"]).run().fails(255);
    c.exec(["false"]).fails(1);
}
