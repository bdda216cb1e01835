/* Loads a filter and makes a system call under it, each in a process of its own.
 *
 * In: "FLAGS COUNT", COUNT lines "CODE JT JF K", then lines "BITS NUMBER A B C", BITS being 64 or 32.
 * Out, for each call: "returned VALUE", "signal NUMBER" or "refused ERRNO".
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct result {
	int refused;
	long value;
};

static long call64(long nr, long a, long b, long c)
{
	long value;
	__asm__ volatile("syscall" : "=a"(value) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return value;
}

static long call32(long nr, long a, long b, long c)
{
	long value;
	__asm__ volatile("int $0x80" : "=a"(value) : "a"(nr), "b"(a), "c"(b), "d"(c) : "r8", "r9", "r10", "r11", "memory");
	return (int)value;
}

int main(void)
{
	static struct sock_filter code[4096];
	unsigned int flags, bits;
	unsigned long nr, a, b, c;
	struct sock_fprog program = { 0, code };
	struct result *result = mmap(0, sizeof(*result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (result == MAP_FAILED || scanf("%u %hu", &flags, &program.len) != 2 || program.len > 4096)
		return 1;
	for (int i = 0; i < program.len; i++)
		if (scanf("%hu %hhu %hhu %u", &code[i].code, &code[i].jt, &code[i].jf, &code[i].k) != 4)
			return 1;
	while (scanf("%u %lu %lu %lu %lu", &bits, &nr, &a, &b, &c) == 5) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			result->refused = 0;
			prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
			if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) < 0)
				result->refused = errno;
			else
				result->value = bits == 64 ? call64(nr, a, b, c) : call32(nr, a, b, c);
			_exit(0);
		}
		waitpid(child, &status, 0);
		if (WIFSIGNALED(status))
			printf("signal %d\n", WTERMSIG(status));
		else if (result->refused)
			printf("refused %d\n", result->refused);
		else
			printf("returned %ld\n", result->value);
	}
	return 0;
}
