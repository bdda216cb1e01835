/* libseccomp behind a pipe: profiles come in as lines, programs go out as lines.
 *
 *   names ARCH FIRST LAST                   -> lines "NUMBER NAME", then "done"
 *   begin DEFAULT OPTIMIZE                  a new filter without architectures
 *   arch NAME
 *   rule ACTION NAME COUNT [INDEX OP A B]...
 *   end                                     -> "program LENGTH NANOSECONDS", of this processor alone, and as many lines "CODE JT JF K",
 *                                              or "refused ERRNO" if it does not take a rule
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/*
 * One filter per architecture, merged in the end: a rule for a call that an architecture does not have
 * makes libseccomp forget to load the number there.
 */
static scmp_filter_ctx filters[32];
static uint32_t arches[32];
static unsigned int filter_count, default_action, optimize;
static int failure;
static struct timespec begun;

static void names(void)
{
	char arch[32];
	int first, last;

	if (scanf("%31s %d %d", arch, &first, &last) != 3)
		return;
	uint32_t token = seccomp_arch_resolve_name(arch);
	for (int nr = first; token && nr <= last; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(token, nr);
		if (name)
			printf("%d %s\n", nr, name);
		free(name);
	}
	puts("done");
}

static void begin(void)
{
	if (scanf("%u %u", &default_action, &optimize) != 2)
		return;
	failure = 0;
	filter_count = 0;
	/* On some profiles libseccomp runs forever. */
	alarm(2);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begun);
}

static void arch(void)
{
	char name[32];

	if (scanf("%31s", name) != 1 || filter_count == 32)
		return;
	scmp_filter_ctx filter = seccomp_init(default_action);
	uint32_t token = seccomp_arch_resolve_name(name);
	seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, optimize);
	if (token != seccomp_arch_native()) {
		seccomp_arch_remove(filter, seccomp_arch_native());
		seccomp_arch_add(filter, token);
	}
	arches[filter_count] = token;
	filters[filter_count++] = filter;
}

static void rule(void)
{
	unsigned int action, count;
	char name[64];
	struct scmp_arg_cmp args[6];

	if (scanf("%u %63s %u", &action, name, &count) != 3 || count > 6)
		return;
	for (unsigned int i = 0; i < count; i++) {
		unsigned int op;
		unsigned long long a, b;
		if (scanf("%u %u %llu %llu", &args[i].arg, &op, &a, &b) != 4)
			return;
		args[i].op = op;
		args[i].datum_a = a;
		args[i].datum_b = b;
	}
	int nr = seccomp_syscall_resolve_name(name);
	if (nr == __NR_SCMP_ERROR)
		return;
	for (unsigned int i = 0; i < filter_count; i++) {
		int there = seccomp_syscall_resolve_name_arch(arches[i], name);
		int multiplexed = there <= -100 && there >= -224;
		if (there < 0 && !multiplexed)
			continue;
		int result = seccomp_rule_add_array(filters[i], action, nr, count, args);
		if (result < 0 && !failure)
			failure = -result;
	}
}

static void end(void)
{
	struct sock_filter code;
	FILE *file = tmpfile();

	for (unsigned int i = 1; i < filter_count; i++)
		if (!failure)
			failure = -seccomp_merge(filters[0], filters[i]);
	if (!failure && file)
		failure = -seccomp_export_bpf(filters[0], fileno(file));
	if (failure || !file) {
		printf("refused %d\n", failure);
	} else {
		struct timespec now;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
		long took = (now.tv_sec - begun.tv_sec) * 1000000000 + now.tv_nsec - begun.tv_nsec;
		printf("program %ld %ld\n", (long)(lseek(fileno(file), 0, SEEK_CUR) / sizeof(code)), took);
		lseek(fileno(file), 0, SEEK_SET);
		while (read(fileno(file), &code, sizeof(code)) == sizeof(code))
			printf("%u %u %u %u\n", code.code, code.jt, code.jf, code.k);
	}
	if (file)
		fclose(file);
	seccomp_release(filters[0]);
	alarm(0);
}

int main(void)
{
	char word[16];
	const struct {
		const char *name;
		void (*run)(void);
	} commands[] = { { "names", names }, { "begin", begin }, { "arch", arch }, { "rule", rule }, { "end", end } };

	while (scanf("%15s", word) == 1) {
		for (unsigned int i = 0; i < sizeof(commands) / sizeof(*commands); i++)
			if (!strcmp(word, commands[i].name))
				commands[i].run();
		if (!strcmp(word, "end") || !strcmp(word, "names"))
			fflush(stdout);
	}
	return 0;
}
