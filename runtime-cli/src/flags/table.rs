//! The one table of commands and flags. The parser, the help and the usage errors all come from it.

use super::{Arguments, Command, Flag};
use crate::commands;

pub(crate) const HELP: Flag = Flag::switch("help", "show this help").short("h");

pub(crate) const DEBUG: Flag = Flag::switch("debug", "log debug messages and where they come from");
pub(crate) const LOG: Flag = Flag::value("log", "FILE", "append log messages to FILE").default("stderr");
pub(crate) const LOG_FORMAT: Flag =
    Flag::value("log-format", "FORMAT", "\"text\" or \"json\"").default("text");
pub(crate) const ROOT: Flag = Flag::value("root", "DIR", "where the state of containers is kept, on a tmpfs")
    .default("/run/corten, or $XDG_RUNTIME_DIR/corten for an unprivileged user");
pub(crate) const SYSTEMD_CGROUP: Flag =
    Flag::switch("systemd-cgroup", "let systemd make cgroups; cgroupsPath is then \"slice:prefix:name\"");
pub(crate) const ROOTLESS: Flag = Flag::value(
    "rootless",
    "BOOL",
    "ignore missing permissions for cgroups: \"true\", \"false\" or \"auto\"",
)
.default("auto");
/// runc had it up to 1.1, and callers of that time pass it: criu is looked up in PATH.
const CRIU: Flag = Flag::value("criu", "PATH", "no effect").hidden();
pub(crate) const VERSION: Flag = Flag::switch("version", "print the version").short("v");

pub(crate) const BUNDLE: Flag =
    Flag::value("bundle", "DIR", "directory of the bundle").short("b").default("the current directory");
pub(crate) const CONFIG_FILE: Flag =
    Flag::value("config", "FILE", "configuration to use in place of the bundle's")
        .default("config.json of the bundle");
pub(crate) const CONSOLE_SOCKET: Flag = Flag::value(
    "console-socket",
    "PATH",
    "Unix socket that receives the master end of the process's pseudoterminal",
);
pub(crate) const PIDFD_SOCKET: Flag =
    Flag::value("pidfd-socket", "PATH", "Unix socket that receives a pidfd of the process");
pub(crate) const PID_FILE: Flag = Flag::value("pid-file", "FILE", "file to write the process id to");
pub(crate) const NO_PIVOT: Flag =
    Flag::switch("no-pivot", "change the root without pivot_root, which a ramdisk refuses");
pub(crate) const NO_NEW_KEYRING: Flag =
    Flag::switch("no-new-keyring", "keep the caller's session keyring in place of a new one");
pub(crate) const PRESERVE_FDS: Flag =
    Flag::value("preserve-fds", "N", "pass N more descriptors, after those of $LISTEN_FDS").default("0");
pub(crate) const STRICT: Flag =
    Flag::switch("strict", "refuse fields of the configuration that are unknown or have no effect");

pub(crate) const DETACH: Flag =
    Flag::switch("detach", "return as soon as the process has been started").short("d");
pub(crate) const KEEP: Flag = Flag::switch("keep", "do not delete the container when it exits");
pub(crate) const NO_SUBREAPER: Flag =
    Flag::switch("no-subreaper", "do not adopt and reap the orphans of the container");

pub(crate) const CWD: Flag = Flag::value("cwd", "DIR", "working directory inside the container");
pub(crate) const ENV: Flag = Flag::values("env", "NAME=VALUE", "add an environment variable").short("e");
pub(crate) const TTY: Flag = Flag::switch("tty", "give the process a pseudoterminal").short("t");
pub(crate) const USER: Flag = Flag::value("user", "UID[:GID]", "ids to run as, in numbers").short("u");
pub(crate) const ADDITIONAL_GIDS: Flag =
    Flag::values("additional-gids", "GID", "add a supplementary group").short("g");
pub(crate) const PROCESS: Flag =
    Flag::value("process", "FILE", "file that describes the process as /process of config.json does")
        .short("p");
pub(crate) const PROCESS_LABEL: Flag = Flag::value("process-label", "LABEL", "SELinux label of the process");
pub(crate) const APPARMOR: Flag = Flag::value("apparmor", "PROFILE", "AppArmor profile of the process");
pub(crate) const NO_NEW_PRIVS: Flag =
    Flag::switch("no-new-privs", "executing a program never adds privileges to the process");
pub(crate) const CAP: Flag = Flag::values("cap", "NAME", "add a capability").short("c");
pub(crate) const CGROUP: Flag =
    Flag::values("cgroup", "[CONTROLLERS:]PATH", "run in an existing cgroup below the container's");
pub(crate) const IGNORE_PAUSED: Flag =
    Flag::switch("ignore-paused", "start the process in a paused container; it waits until resumed");

pub(crate) const ALL: Flag =
    Flag::switch("all", "a container that does not run is no error").short("a").hidden();
pub(crate) const FORCE: Flag =
    Flag::switch("force", "kill the container if it still runs; one that does not exist is no error")
        .short("f");
pub(crate) const TABLE_OR_JSON: Flag =
    Flag::value("format", "FORMAT", "\"table\" or \"json\"").short("f").default("table");
pub(crate) const TEXT_OR_JSON: Flag =
    Flag::value("format", "FORMAT", "\"text\" or \"json\"").short("f").default("text");
pub(crate) const QUIET: Flag = Flag::switch("quiet", "print ids only").short("q");
pub(crate) const SPEC_ROOTLESS: Flag = Flag::switch("rootless", "a configuration that needs no privileges");

pub(crate) const INTERVAL: Flag =
    Flag::value("interval", "DURATION", "time between two statistics").default("5s");
pub(crate) const STATS: Flag = Flag::switch("stats", "print the statistics once");

pub(crate) const RESOURCES: Flag =
    Flag::value("resources", "FILE", "JSON file with the limits, or - for standard input").short("r");
pub(crate) const BLKIO_WEIGHT: Flag = Flag::value("blkio-weight", "N", "weight of block I/O, 10 to 1000");
pub(crate) const CPU_PERIOD: Flag =
    Flag::value("cpu-period", "MICROSECONDS", "period that the CPU quota counts for");
pub(crate) const CPU_QUOTA: Flag = Flag::value("cpu-quota", "MICROSECONDS", "CPU time in each period");
pub(crate) const CPU_BURST: Flag = Flag::value("cpu-burst", "MICROSECONDS", "CPU time that may be saved up");
pub(crate) const CPU_SHARE: Flag = Flag::value("cpu-share", "N", "weight of CPU time");
pub(crate) const CPU_RT_PERIOD: Flag =
    Flag::value("cpu-rt-period", "MICROSECONDS", "period that the realtime budget counts for");
pub(crate) const CPU_RT_RUNTIME: Flag =
    Flag::value("cpu-rt-runtime", "MICROSECONDS", "realtime budget in each period");
pub(crate) const CPU_IDLE: Flag = Flag::value("cpu-idle", "0|1", "run only when nothing else does");
pub(crate) const CPUSET_CPUS: Flag = Flag::value("cpuset-cpus", "LIST", "CPUs to use");
pub(crate) const CPUSET_MEMS: Flag = Flag::value("cpuset-mems", "LIST", "memory nodes to use");
pub(crate) const MEMORY: Flag = Flag::value("memory", "BYTES", "memory limit");
pub(crate) const MEMORY_RESERVATION: Flag = Flag::value("memory-reservation", "BYTES", "soft memory limit");
pub(crate) const MEMORY_SWAP: Flag =
    Flag::value("memory-swap", "BYTES", "limit of memory and swap together, -1 for none");
pub(crate) const KERNEL_MEMORY: Flag = Flag::value("kernel-memory", "BYTES", "no effect").hidden();
pub(crate) const KERNEL_MEMORY_TCP: Flag = Flag::value("kernel-memory-tcp", "BYTES", "no effect").hidden();
pub(crate) const PIDS_LIMIT: Flag = Flag::value("pids-limit", "N", "number of processes, -1 for any");
pub(crate) const L3_CACHE_SCHEMA: Flag =
    Flag::value("l3-cache-schema", "SCHEMA", "allocation of the third-level cache");
pub(crate) const MEM_BW_SCHEMA: Flag =
    Flag::value("mem-bw-schema", "SCHEMA", "allocation of memory bandwidth");

const IMAGE_PATH: Flag =
    Flag::value("image-path", "DIR", "directory of the image files").default("./checkpoint");
const WORK_PATH: Flag = Flag::value("work-path", "DIR", "directory for logs and temporary files");
const PARENT_PATH: Flag = Flag::value("parent-path", "DIR", "image directory of the previous pre-dump");
const LEAVE_RUNNING: Flag = Flag::switch("leave-running", "do not stop the container");
const TCP_ESTABLISHED: Flag = Flag::switch("tcp-established", "allow open TCP connections");
const TCP_SKIP_IN_FLIGHT: Flag =
    Flag::switch("tcp-skip-in-flight", "leave out TCP connections that are not established yet");
const LINK_REMAP: Flag = Flag::switch("link-remap", "allow open files that have been unlinked");
const EXT_UNIX_SK: Flag = Flag::switch("ext-unix-sk", "allow Unix sockets connected to the outside");
const SHELL_JOB: Flag = Flag::switch("shell-job", "allow a controlling terminal of the outside");
const LAZY_PAGES: Flag = Flag::switch("lazy-pages", "transfer memory when it is needed");
const STATUS_FD: Flag =
    Flag::value("status-fd", "FD", "descriptor to write to when lazy pages can be served").default("-1");
const PAGE_SERVER: Flag = Flag::value("page-server", "ADDRESS:PORT", "page server to send memory to");
const FILE_LOCKS: Flag = Flag::switch("file-locks", "allow file locks");
const PRE_DUMP: Flag = Flag::switch("pre-dump", "save the memory only and let the container run on");
const MANAGE_CGROUPS_MODE: Flag =
    Flag::value("manage-cgroups-mode", "MODE", "\"soft\", \"full\", \"strict\" or \"ignore\"")
        .default("soft");
const EMPTY_NS: Flag = Flag::values("empty-ns", "network", "do not save the properties of this namespace");
const AUTO_DEDUP: Flag = Flag::switch("auto-dedup", "drop memory images that a later one replaces");
const LSM_PROFILE: Flag =
    Flag::value("lsm-profile", "TYPE:NAME", "security label or profile to restore with");
const LSM_MOUNT_CONTEXT: Flag =
    Flag::value("lsm-mount-context", "CONTEXT", "SELinux context to restore mounts with");

pub(crate) const GLOBAL: &[Flag] =
    &[DEBUG, LOG, LOG_FORMAT, ROOT, SYSTEMD_CGROUP, ROOTLESS, CRIU, HELP, VERSION];

const ID: &str = "<container-id>";

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "check",
        summary: "report every fault of a bundle's configuration",
        usage: "",
        arguments: Arguments::Exactly(0),
        trailing: false,
        flags: &[BUNDLE, CONFIG_FILE, STRICT, TEXT_OR_JSON],
        run: commands::check::run,
    },
    Command {
        name: "checkpoint",
        summary: "save a running container to image files",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[
            IMAGE_PATH,
            WORK_PATH,
            PARENT_PATH,
            LEAVE_RUNNING,
            TCP_ESTABLISHED,
            TCP_SKIP_IN_FLIGHT,
            LINK_REMAP,
            EXT_UNIX_SK,
            SHELL_JOB,
            LAZY_PAGES,
            STATUS_FD,
            PAGE_SERVER,
            FILE_LOCKS,
            PRE_DUMP,
            MANAGE_CGROUPS_MODE,
            EMPTY_NS,
            AUTO_DEDUP,
        ],
        run: commands::not_yet::checkpoint,
    },
    Command {
        name: "create",
        summary: "create a container from a bundle",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[
            BUNDLE,
            CONFIG_FILE,
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            PID_FILE,
            NO_PIVOT,
            NO_NEW_KEYRING,
            PRESERVE_FDS,
            STRICT,
        ],
        run: commands::create::run,
    },
    Command {
        name: "delete",
        summary: "delete a container and all that it holds",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[FORCE],
        run: commands::delete::run,
    },
    Command {
        name: "events",
        summary: "print statistics and out-of-memory events of a container",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[INTERVAL, STATS],
        run: commands::events::run,
    },
    Command {
        name: "exec",
        summary: "run a process in a container",
        usage: "<container-id> <command> [arguments], or --process FILE <container-id>",
        arguments: Arguments::AtLeast(1),
        trailing: true,
        flags: &[
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            CWD,
            ENV,
            TTY,
            USER,
            ADDITIONAL_GIDS,
            PROCESS,
            DETACH,
            PID_FILE,
            PROCESS_LABEL,
            APPARMOR,
            NO_NEW_PRIVS,
            CAP,
            PRESERVE_FDS,
            CGROUP,
            IGNORE_PAUSED,
        ],
        run: commands::exec::run,
    },
    Command {
        name: "features",
        summary: "print what this runtime supports, as JSON",
        usage: "",
        arguments: Arguments::Exactly(0),
        trailing: false,
        flags: &[],
        run: commands::features::run,
    },
    Command {
        name: "kill",
        summary: "send a signal (SIGTERM by default) to a container's process",
        usage: "<container-id> [signal]",
        arguments: Arguments::Between(1, 2),
        trailing: false,
        flags: &[ALL],
        run: commands::kill::run,
    },
    Command {
        name: "list",
        summary: "list the containers of a state root",
        usage: "",
        arguments: Arguments::Exactly(0),
        trailing: false,
        flags: &[TABLE_OR_JSON, QUIET],
        run: commands::list::run,
    },
    Command {
        name: "mounts",
        summary: "add mounts to a running container or remove them, by a JSON list in FILE (- for standard input)",
        usage: "add|remove <container-id> FILE",
        arguments: Arguments::Exactly(3),
        trailing: false,
        flags: &[],
        run: commands::mounts::run,
    },
    Command {
        name: "pause",
        summary: "suspend all processes of a container",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[],
        run: commands::pause::pause,
    },
    Command {
        name: "plan",
        summary: "print the steps that would make a container of a bundle",
        usage: "",
        arguments: Arguments::Exactly(0),
        trailing: false,
        flags: &[BUNDLE, CONFIG_FILE, NO_PIVOT, NO_NEW_KEYRING, STRICT, TEXT_OR_JSON],
        run: commands::plan::run,
    },
    Command {
        name: "ps",
        summary: "list the processes of a container",
        usage: "<container-id> [options of ps(1)]",
        arguments: Arguments::AtLeast(1),
        trailing: true,
        flags: &[TABLE_OR_JSON],
        run: commands::ps::run,
    },
    Command {
        name: "restore",
        summary: "restore a container from image files",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[
            CONSOLE_SOCKET,
            IMAGE_PATH,
            WORK_PATH,
            PARENT_PATH,
            TCP_ESTABLISHED,
            EXT_UNIX_SK,
            SHELL_JOB,
            FILE_LOCKS,
            MANAGE_CGROUPS_MODE,
            BUNDLE,
            DETACH,
            PID_FILE,
            NO_SUBREAPER,
            NO_PIVOT,
            EMPTY_NS,
            AUTO_DEDUP,
            LAZY_PAGES,
            PAGE_SERVER,
            LSM_PROFILE,
            LSM_MOUNT_CONTEXT,
        ],
        run: commands::not_yet::restore,
    },
    Command {
        name: "resume",
        summary: "resume all processes of a paused container",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[],
        run: commands::pause::resume,
    },
    Command {
        name: "run",
        summary: "create a container, start it and wait for its end",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[
            BUNDLE,
            CONFIG_FILE,
            CONSOLE_SOCKET,
            PIDFD_SOCKET,
            DETACH,
            KEEP,
            PID_FILE,
            NO_SUBREAPER,
            NO_PIVOT,
            NO_NEW_KEYRING,
            PRESERVE_FDS,
            STRICT,
        ],
        run: commands::run::run,
    },
    Command {
        name: "spec",
        summary: "write a template of config.json",
        usage: "",
        arguments: Arguments::Exactly(0),
        trailing: false,
        flags: &[BUNDLE, SPEC_ROOTLESS],
        run: commands::spec::run,
    },
    Command {
        name: "start",
        summary: "start the process of a created container",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[],
        run: commands::start::run,
    },
    Command {
        name: "state",
        summary: "print the state of a container, as JSON",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[],
        run: commands::state::run,
    },
    Command {
        name: "update",
        summary: "change the resource limits of a container",
        usage: ID,
        arguments: Arguments::Exactly(1),
        trailing: false,
        flags: &[
            RESOURCES,
            BLKIO_WEIGHT,
            CPU_PERIOD,
            CPU_QUOTA,
            CPU_BURST,
            CPU_SHARE,
            CPU_RT_PERIOD,
            CPU_RT_RUNTIME,
            CPU_IDLE,
            CPUSET_CPUS,
            CPUSET_MEMS,
            MEMORY,
            MEMORY_RESERVATION,
            MEMORY_SWAP,
            KERNEL_MEMORY,
            KERNEL_MEMORY_TCP,
            PIDS_LIMIT,
            L3_CACHE_SCHEMA,
            MEM_BW_SCHEMA,
        ],
        run: commands::update::run,
    },
];
