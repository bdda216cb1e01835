/* peak COMMAND [ARG]…: runs a command; the last line of output is the largest resident size, in KiB, that the command or
 * a child that it waited for had.
 *
 * The kernel counts what a process was before its exec as well. This program is smaller than anything it measures. */

#include "sys.h"

#include <signal.h>
#include <sys/resource.h>

static int program(int argc, char **argv, char **envp) {
    if (argc < 2) {
        print(2, "usage: peak COMMAND [ARG]...\n");
        return 2;
    }
    word pid = check("clone", SYS(clone, SIGCHLD, 0, 0, 0, 0));
    if (pid == 0) {
        check(argv[1], SYS(execve, argv[1], argv + 1, envp));
    }
    int status = 0;
    struct rusage usage;
    check("wait", SYS(wait4, pid, &status, 0, &usage));
    char text[32];
    append(append_number(append(text, "\n"), usage.ru_maxrss), "\n");
    print(1, text);
    return status == 0 ? 0 : 1;
}
