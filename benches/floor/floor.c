/* The least kernel work that the default container needs: namespaces, cgroup, device filter, mounts, pivot_root, masks,
 * capabilities, exec, wait, removal. No config, no state, no checks: nothing here is safe to use on a hostile root.
 *
 *   floor exit                                                          the start of a process
 *   floor run [OPTION]… ROOT NAME HIERARCHY… -- COMMAND…
 *   floor create --gate FIFO [OPTION]… ROOT NAME HIERARCHY… -- COMMAND…  a `run` up to its last step: it waits at the FIFO
 *   floor start FIFO
 *   floor exec PID NAME HIERARCHY… -- COMMAND…
 *   floor delete [--kill PID] NAME HIERARCHY…
 *   floor list DIRECTORY                                                each file there is a container's, with its PID
 *
 * OPTION: --binds N, --limit BYTES, --seccomp FLAGS FILE (a filter as seccomp(2) takes it), --time.
 *
 * A HIERARCHY is OPTIONS@DIRECTORY: `cpu@/sys/fs/cgroup/cpu`; without options it is of version 2: there the clone goes
 * straight into its cgroup, while into those of version 1 the child moves itself. NAME is the cgroup's path in each.
 * What is bound is the directory `source` beside the ROOT. `--time` prints the nanoseconds that each part took. */

#include "sys.h"

#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>

#define MAX_HIERARCHIES 16
#define MAX_PARTS 16

static struct hierarchy {
    const char *options, *dir;
    int tasks;
} hierarchies[MAX_HIERARCHIES];
static int hierarchy_count;
static int version2;
static const char *name;

static struct {
    unsigned long binds, limit, killed;
    const char *gate;
    int timed;
} options;

/* The time at the end of each part, shared with the child; none of both where they are not asked for. */
static struct { const char *part; uint64_t at; } *marks;
static int *mark_count;

static void map_marks(void) {
    word page = check("mmap", SYS(mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    mark_count = (int *)page;
    marks = (void *)(page + 64);
}

static void mark(const char *part) {
    struct timespec now;
    if (!marks) return;
    SYS(clock_gettime, CLOCK_MONOTONIC, &now);
    if (*mark_count >= MAX_PARTS) return;
    marks[*mark_count].part = part;
    marks[*mark_count].at = (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    ++*mark_count;
}

static void print_marks(void) {
    for (int i = 1; i < *mark_count; i++) {
        char text[128];
        append(append_number(append(append(text, marks[i].part), "\t"), marks[i].at - marks[i - 1].at), "\n");
        print(1, text);
    }
}

/* DIRECTORY/NAME[/FILE] of a hierarchy. */
static const char *cgroup_path(int index, const char *file) {
    static char path[1024];
    char *end = append(append(append(path, hierarchies[index].dir), "/"), name);
    if (file) append(append(end, "/"), file);
    return path;
}

static int open_file(const char *path, int flags) {
    return (int)check(path, SYS(openat, AT_FDCWD, path, flags | O_CLOEXEC, 0));
}

static void write_file(const char *path, const char *text) {
    int fd = open_file(path, O_WRONLY);
    check(path, SYS(write, fd, text, length(text)));
    SYS(close, fd);
}

/* --- cgroup ------------------------------------------------------------------------------------------------------ */

/* The rules of a container without devices of its own: any node may be made; of the default devices all is allowed. */
#define OP(c, d, s, o, i) { .code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i }
#define LOAD(d, o) OP(BPF_LDX | BPF_MEM | BPF_W, d, 1, o, 0)
#define ALLOW_IF(r, value, distance) OP(BPF_JMP | BPF_JEQ | BPF_K, r, 0, distance, value)
#define SKIP_UNLESS(r, value, distance) OP(BPF_JMP | BPF_JNE | BPF_K, r, 0, distance, value)
static const struct bpf_insn device_filter[] = {
    LOAD(2, 0), OP(BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0),
    OP(BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16), OP(BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff),
    LOAD(4, 4), LOAD(5, 8),
    ALLOW_IF(3, BPF_DEVCG_ACC_MKNOD, 14),
    SKIP_UNLESS(2, BPF_DEVCG_DEV_CHAR, 11),
    ALLOW_IF(4, 136, 12),
    SKIP_UNLESS(4, 1, 5),
    ALLOW_IF(5, 3, 10), ALLOW_IF(5, 5, 9), ALLOW_IF(5, 7, 8), ALLOW_IF(5, 8, 7), ALLOW_IF(5, 9, 6),
    SKIP_UNLESS(4, 5, 3),
    ALLOW_IF(5, 0, 4), ALLOW_IF(5, 1, 3), ALLOW_IF(5, 2, 2),
    OP(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0), OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
    OP(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1), OP(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
};

static void attach_device_filter(int cgroup) {
    union bpf_attr load = {
        .prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
        .insns = (uintptr_t)device_filter,
        .insn_cnt = sizeof device_filter / sizeof *device_filter,
        .license = (uintptr_t)"Apache-2.0",
    };
    int filter = (int)check("BPF_PROG_LOAD", SYS(bpf, BPF_PROG_LOAD, &load, sizeof load));
    union bpf_attr attach = {
        .target_fd = cgroup,
        .attach_bpf_fd = filter,
        .attach_type = BPF_CGROUP_DEVICE,
        .attach_flags = BPF_F_ALLOW_MULTI,
    };
    check("BPF_PROG_ATTACH", SYS(bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
    SYS(close, filter);
}

static void write_device_rules(int index) {
    static const char *const rules[] = {
        "c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm",
        "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm",
    };
    write_file(cgroup_path(index, "devices.deny"), "a");
    int fd = open_file(cgroup_path(index, "devices.allow"), O_WRONLY);
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        check("devices.allow", SYS(write, fd, rules[i], length(rules[i])));
    SYS(close, fd);
}

/* Nothing can join a cpuset of version 1 before it has processors and memory nodes. */
static void copy_from_parent(int index, const char *file) {
    char value[4096], parent[64];
    append(append(parent, "../"), file);
    int fd = open_file(cgroup_path(index, parent), O_RDONLY);
    word size = check(file, SYS(read, fd, value, sizeof value - 1));
    SYS(close, fd);
    value[size] = 0;
    write_file(cgroup_path(index, file), value);
}

static void limit_memory(void) {
    for (int i = 0; i < hierarchy_count; i++) {
        int unified = !*hierarchies[i].options;
        if (unified != version2 || (!unified && !same(hierarchies[i].options, "memory"))) continue;
        char text[24];
        append_number(text, options.limit);
        write_file(cgroup_path(i, unified ? "memory.max" : "memory.limit_in_bytes"), text);
    }
}

/* Opens the directory of the cgroup of version 2, or gives -1. */
static int open_unified(void) {
    for (int i = 0; i < hierarchy_count; i++)
        if (!*hierarchies[i].options) return open_file(cgroup_path(i, NULL), O_RDONLY | O_DIRECTORY);
    return -1;
}

/* Makes the cgroups, and gives the directory of the one of version 2. */
static int make_cgroups(void) {
    for (int i = 0; i < hierarchy_count; i++) {
        check(cgroup_path(i, NULL), SYS(mkdirat, AT_FDCWD, cgroup_path(i, NULL), 0755));
        if (same(hierarchies[i].options, "cpuset")) {
            copy_from_parent(i, "cpuset.cpus");
            copy_from_parent(i, "cpuset.mems");
        } else if (same(hierarchies[i].options, "devices")) {
            write_device_rules(i);
        }
    }
    if (options.limit) limit_memory();
    int unified = open_unified();
    if (version2) attach_device_filter(unified);
    return unified;
}

static void open_tasks(void) {
    for (int i = 0; i < hierarchy_count; i++)
        if (*hierarchies[i].options) hierarchies[i].tasks = open_file(cgroup_path(i, "tasks"), O_WRONLY);
}

/* A thread that moves itself through `tasks` does not wait for an RCU grace period. */
static void join_cgroups(void) {
    for (int i = 0; i < hierarchy_count; i++)
        if (*hierarchies[i].options) check("joining a cgroup", SYS(write, hierarchies[i].tasks, "0", 1));
}

static void remove_cgroups(void) {
    for (int i = 0; i < hierarchy_count; i++)
        check(cgroup_path(i, NULL), SYS(unlinkat, AT_FDCWD, cgroup_path(i, NULL), AT_REMOVEDIR));
}

/* --- inside ------------------------------------------------------------------------------------------------------ */

static void mount_at(const char *source, const char *target, const char *kind, unsigned long flags, const char *data) {
    check(target, SYS(mount, source, target, kind, flags, data));
}

static void make_directory(const char *path) { check(path, SYS(mkdirat, AT_FDCWD, path, 0755)); }

static void mount_cgroups(void) {
    const unsigned long flags = MS_NOSUID | MS_NOEXEC | MS_NODEV | MS_RELATIME;
    if (version2) {
        mount_at("cgroup", "sys/fs/cgroup", "cgroup2", flags | MS_RDONLY, NULL);
        return;
    }
    mount_at("cgroup", "sys/fs/cgroup", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, "mode=755");
    for (int i = 0; i < hierarchy_count; i++) {
        const char *base = hierarchies[i].dir;
        for (const char *at = base; *at; at++)
            if (*at == '/') base = at + 1;
        char path[256];
        append(append(path, "sys/fs/cgroup/"), base);
        make_directory(path);
        const char *options = hierarchies[i].options;
        mount_at("cgroup", path, *options ? "cgroup" : "cgroup2", flags | MS_RDONLY, *options ? options : NULL);
    }
    mount_at(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
}

static void mount_defaults(void) {
    const unsigned long closed = MS_NOSUID | MS_NOEXEC | MS_NODEV;
    mount_at("proc", "proc", "proc", 0, NULL);
    mount_at("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k");
    make_directory("dev/pts");
    mount_at("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5");
    make_directory("dev/shm");
    mount_at("shm", "dev/shm", "tmpfs", closed, "mode=1777,size=65536k");
    make_directory("dev/mqueue");
    mount_at("mqueue", "dev/mqueue", "mqueue", closed, NULL);
    mount_at("sysfs", "sys", "sysfs", closed | MS_RDONLY, NULL);
    mount_cgroups();
}

static void mount_binds(void) {
    for (unsigned long i = 0; i < options.binds; i++) {
        char path[32];
        append_number(append(path, "mnt/"), i);
        mount_at("../source", path, NULL, MS_BIND, NULL);
    }
}

static void make_devices(void) {
    static const struct { const char *path; int major, minor; } nodes[] = {
        {"dev/null", 1, 3}, {"dev/zero", 1, 5},    {"dev/full", 1, 7},
        {"dev/tty", 5, 0},  {"dev/random", 1, 8}, {"dev/urandom", 1, 9},
    };
    static const char *const links[][2] = {
        {"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
        {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"},         {"/proc/kcore", "dev/core"},
    };
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
        check(nodes[i].path, SYS(mknodat, AT_FDCWD, nodes[i].path, S_IFCHR | 0666,
                                 makedev(nodes[i].major, nodes[i].minor)));
    for (size_t i = 0; i < sizeof links / sizeof *links; i++)
        check(links[i][1], SYS(symlinkat, links[i][0], AT_FDCWD, links[i][1]));
}

static void enter_root(void) {
    check("pivot_root", SYS(pivot_root, ".", "."));
    check("umount of the old root", SYS(umount2, ".", MNT_DETACH));
    check("chdir", SYS(chdir, "/"));
    mount_at(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL);
}

static void hide_paths(void) {
    static const char *const masked[] = {
        "/proc/acpi",       "/proc/asound",      "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
        "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
    };
    static const char *const read_only[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
    for (size_t i = 0; i < sizeof masked / sizeof *masked; i++) {
        word result = SYS(mount, "/dev/null", masked[i], NULL, MS_BIND, NULL);
        if (result == -ENOTDIR) result = SYS(mount, "tmpfs", masked[i], "tmpfs", MS_RDONLY, NULL);
        if (result != -ENOENT) check(masked[i], result);
    }
    for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
        word result = SYS(mount, read_only[i], read_only[i], NULL, MS_BIND | MS_REC, NULL);
        if (result == -ENOENT) continue;
        check(read_only[i], result);
        mount_at(NULL, read_only[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL);
    }
}

static void loopback_up(void) {
    struct ifreq request = {.ifr_name = "lo"};
    int fd = (int)check("socket", SYS(socket, AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    request.ifr_flags = IFF_UP;
    check("lo", SYS(ioctl, fd, SIOCSIFFLAGS, &request));
    SYS(close, fd);
}

/* CAP_AUDIT_WRITE, CAP_KILL and CAP_NET_BIND_SERVICE stay, no_new_privs is set. */
static void drop_privileges(void) {
    const uint32_t kept = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
    for (int cap = 0; cap < 64; cap++)
        if ((cap > 31 || !(kept >> cap & 1)) && SYS(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0) == -EINVAL) break;
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};
    check("capset", SYS(capset, &header, data));
    check("no_new_privs", SYS(prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

/* The filter of the payload, read while its file can still be reached; empty without one. */
static struct sock_filter filter[BPF_MAXINSNS];
static struct sock_fprog filter_program = {.filter = filter};
static unsigned long filter_flags;

static void read_filter(const char *flags, const char *path) {
    int fd = open_file(path, O_RDONLY);
    word size = check(path, SYS(read, fd, filter, sizeof filter));
    SYS(close, fd);
    filter_program.len = size / sizeof *filter;
    filter_flags = number(flags);
}

static void load_filter(void) {
    if (filter_program.len)
        check("seccomp", SYS(seccomp, SECCOMP_SET_MODE_FILTER, filter_flags, &filter_program));
}

static void become_container(void) {
    const struct rlimit files = {1024, 1024};
    check("sethostname", SYS(sethostname, "corten", 6));
    loopback_up();
    check("rlimit", SYS(prlimit64, 0, RLIMIT_NOFILE, &files, NULL));
    SYS(setsid);
    drop_privileges();
}

/* --- commands ---------------------------------------------------------------------------------------------------- */

static word clone_child(uint64_t flags, int cgroup) {
    struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup;
    }
    return check("clone3", SYS(clone3, &args, sizeof args));
}

static int wait_for(word pid) {
    int status = 0;
    check("wait", SYS(wait4, pid, &status, 0, NULL));
    return status & 0x7f ? 128 + (status & 0x7f) : status >> 8 & 0xff;
}

static void __attribute__((noreturn)) execute(char **command) {
    static char *environment[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", NULL};
    check(command[0], SYS(execve, command[0], command, environment));
    quit(125);
}

/* Tells the maker that all is done but the last step, and waits for `start`. */
static void wait_at(int gate, int ready) {
    char byte = 0;
    check("telling the maker", SYS(write, ready, &byte, 1));
    check("the gate", SYS(read, gate, &byte, 1));
}

static void __attribute__((noreturn)) container(const char *root, int gate, int ready, char **command) {
    mark("clone3 with the namespaces");
    if (!version2) {
        join_cgroups();
        check("cgroup namespace", SYS(unshare, CLONE_NEWCGROUP));
        mark("joining the cgroups");
    }
    SYS(umask, 0);
    mount_at(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);
    mount_at(root, root, NULL, MS_BIND | MS_REC, NULL);
    check(root, SYS(chdir, root));
    mark("bind of the root");
    mount_defaults();
    mark("default mounts");
    if (options.binds) {
        mount_binds();
        mark("further binds");
    }
    make_devices();
    mark("device nodes and links");
    enter_root();
    mark("pivot_root, umount of the old root");
    hide_paths();
    mark("masked and read-only paths");
    become_container();
    mark("host name, lo, limits, capabilities");
    SYS(umask, 022);
    if (gate >= 0) wait_at(gate, ready);
    load_filter();
    execute(command);
}

static const uint64_t namespaces = CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS;

static word clone_container(const char *root, int gate, int ready, char **command) {
    int cgroup = make_cgroups();
    open_tasks();
    mark("cgroup and device filter");
    word pid = clone_child(version2 ? namespaces | CLONE_NEWCGROUP : namespaces, cgroup);
    if (pid == 0) container(root, gate, ready, command);
    return pid;
}

static int run(const char *root, char **command) {
    if (options.timed) map_marks();
    mark("start");
    int status = wait_for(clone_container(root, -1, -1, command));
    mark("exec, payload, exit");
    remove_cgroups();
    mark("removal of the cgroup");
    if (options.timed) print_marks();
    return status;
}

static int create(const char *root, char **command) {
    int ready[2];
    char byte;
    check(options.gate, SYS(mknodat, AT_FDCWD, options.gate, S_IFIFO | 0600, 0));
    /* For both directions, so that nobody waits for the other end. */
    int gate = open_file(options.gate, O_RDWR);
    check("pipe", SYS(pipe2, ready, O_CLOEXEC));
    clone_container(root, gate, ready[1], command);
    SYS(close, ready[1]);
    /* Its end comes without a byte where the container has failed. */
    return check("ready", SYS(read, ready[0], &byte, 1)) == 1 ? 0 : 125;
}

static int start(const char *gate) {
    int fd = open_file(gate, O_WRONLY);
    check(gate, SYS(write, fd, "", 1));
    check(gate, SYS(unlinkat, AT_FDCWD, gate, 0));
    return 0;
}

static int delete(void) {
    if (options.killed) {
        int process = (int)check("pidfd_open", SYS(pidfd_open, options.killed, 0));
        check("kill", SYS(pidfd_send_signal, process, SIGKILL, NULL, 0));
        struct pollfd end = {.fd = process, .events = POLLIN};
        check("waiting for the end", SYS(ppoll, &end, 1, NULL, NULL, 0));
    }
    remove_cgroups();
    return 0;
}

/* The name, the process and whether there is one, of each file of a directory. */
static int list(const char *path) {
    static char entries[32768], text[32768];
    int directory = open_file(path, O_RDONLY | O_DIRECTORY);
    word size;
    while ((size = check(path, SYS(getdents64, directory, entries, sizeof entries))) > 0) {
        char *end = append(text, "");
        for (word at = 0; at < size; at += *(uint16_t *)(entries + at + 16)) {
            const char *file = entries + at + 19;
            char pid[24], process[40];
            if (*file == '.') continue;
            int fd = (int)check(file, SYS(openat, directory, file, O_RDONLY | O_CLOEXEC, 0));
            word digits = check(file, SYS(read, fd, pid, sizeof pid - 1));
            SYS(close, fd);
            pid[digits] = 0;
            append(append(process, "/proc/"), pid);
            int alive = SYS(faccessat, AT_FDCWD, process, 0) == 0;
            end = append(append(append(append(end, file), "\t"), pid), alive ? "\talive\n" : "\tgone\n");
        }
        print(1, text);
    }
    return 0;
}

static int enter(unsigned long target, char **command) {
    int cgroup = open_unified();
    open_tasks();
    int process = (int)check("pidfd_open", SYS(pidfd_open, target, 0));
    check("setns", SYS(setns, process, CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS));
    word pid = clone_child(0, cgroup);
    if (pid == 0) {
        join_cgroups();
        /* Only now: with `nsdelegate` nobody comes into a cgroup namespace's cgroups from within it. */
        check("cgroup namespace", SYS(setns, process, CLONE_NEWCGROUP));
        drop_privileges();
        execute(command);
    }
    return wait_for(pid);
}

/* Splits `OPTIONS@DIRECTORY …` up to `--`, and gives the command behind it. */
static char **parse_hierarchies(char **argv) {
    for (; *argv && !same(*argv, "--"); argv++) {
        char *at = *argv;
        while (*at && *at != '@') at++;
        if (!*at || hierarchy_count == MAX_HIERARCHIES) check("HIERARCHY", -EINVAL);
        *at = 0;
        hierarchies[hierarchy_count].options = *argv;
        hierarchies[hierarchy_count++].dir = at + 1;
    }
    version2 = hierarchy_count == 1 && !*hierarchies[0].options;
    return *argv && argv[1] ? argv + 1 : NULL;
}

static int usage(void) {
    print(2, "usage: floor exit\n"
             "       floor run|create [--gate FIFO] [--binds N] [--limit BYTES] [--seccomp FLAGS FILE] [--time]\n"
             "           ROOT NAME HIERARCHY... -- COMMAND...\n"
             "       floor start FIFO\n"
             "       floor exec PID NAME HIERARCHY... -- COMMAND...\n"
             "       floor delete [--kill PID] NAME HIERARCHY...\n"
             "       floor list DIRECTORY\n");
    return 2;
}

/* Reads the options, and gives what is behind them; nothing where one of them is not known. */
static char **parse_options(char **argv) {
    for (; argv[0] && argv[0][0] == '-'; argv++) {
        if (same(argv[0], "--time")) options.timed = 1;
        else if (!argv[1]) return NULL;
        else if (same(argv[0], "--gate")) options.gate = *++argv;
        else if (same(argv[0], "--binds")) options.binds = number(*++argv);
        else if (same(argv[0], "--limit")) options.limit = number(*++argv);
        else if (same(argv[0], "--kill")) options.killed = number(*++argv);
        else if (same(argv[0], "--seccomp") && argv[2]) read_filter(argv[1], argv[2]), argv += 2;
        else return NULL;
    }
    return argv;
}

static int program(int argc, char **argv, char **envp) {
    (void)envp;
    if (argc == 2 && same(argv[1], "exit")) return 0;
    if (argc == 3 && same(argv[1], "start")) return start(argv[2]);
    if (argc == 3 && same(argv[1], "list")) return list(argv[2]);
    if (argc < 4) return usage();
    const char *verb = argv[1], *operand = NULL;
    int deleting = same(verb, "delete");
    if (!(argv = parse_options(argv + 2))) return usage();
    if (!deleting && *argv) operand = *argv++;
    if (!*argv) return usage();
    name = *argv++;
    char **command = parse_hierarchies(argv);
    if (!hierarchy_count) return usage();
    if (deleting) return delete();
    if (!command) return usage();
    if (same(verb, "exec")) return enter(number(operand), command);
    if (same(verb, "run")) return run(operand, command);
    if (same(verb, "create") && options.gate) return create(operand, command);
    return usage();
}
