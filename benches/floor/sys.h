/* System calls without a C library, and the few helpers that the programs here share.
 *
 * The same source is built twice: with -DNOLIBC it brings its own entry point, else glibc's start-up calls main(). The
 * calls themselves are the same instructions in both, so that the two builds differ by the start of the process alone. */

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

typedef long word;

#if defined(__x86_64__)
static inline word call6(word n, word a, word b, word c, word d, word e, word f) {
    word result;
    register word r10 __asm__("r10") = d;
    register word r8 __asm__("r8") = e;
    register word r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
static inline word call6(word n, word a, word b, word c, word d, word e, word f) {
    register word x8 __asm__("x8") = n;
    register word x0 __asm__("x0") = a;
    register word x1 __asm__("x1") = b;
    register word x2 __asm__("x2") = c;
    register word x3 __asm__("x3") = d;
    register word x4 __asm__("x4") = e;
    register word x5 __asm__("x5") = f;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
#else
#error "only x86_64 and aarch64"
#endif

#define PICK(a, b, c, d, e, f, g, name, ...) name
#define CALL0(n) call6(n, 0, 0, 0, 0, 0, 0)
#define CALL1(n, a) call6(n, (word)(a), 0, 0, 0, 0, 0)
#define CALL2(n, a, b) call6(n, (word)(a), (word)(b), 0, 0, 0, 0)
#define CALL3(n, a, b, c) call6(n, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define CALL4(n, a, b, c, d) call6(n, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)
#define CALL5(n, a, b, c, d, e) call6(n, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), 0)
#define CALL6(n, a, b, c, d, e, f) call6(n, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), (word)(f))
/* SYS(mkdirat, AT_FDCWD, path, 0755): the kernel's answer, a negative errno if it failed. */
#define SYS(name, ...) \
    PICK(0, ##__VA_ARGS__, CALL6, CALL5, CALL4, CALL3, CALL2, CALL1, CALL0)(__NR_##name, ##__VA_ARGS__)

static inline size_t length(const char *text) {
    size_t n = 0;
    while (text[n]) n++;
    return n;
}

static inline int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

/* Appends `text` at `to`, and gives the new end. The buffers here are sized for it by their users. */
static inline char *append(char *to, const char *text) {
    while ((*to = *text++)) to++;
    return to;
}

static inline char *append_number(char *to, unsigned long value) {
    char digits[24], *at = digits + sizeof digits;
    *--at = 0;
    do *--at = '0' + value % 10;
    while (value /= 10);
    return append(to, at);
}

static inline unsigned long number(const char *text) {
    unsigned long value = 0;
    for (; *text >= '0' && *text <= '9'; text++) value = value * 10 + (*text - '0');
    return value;
}

static inline void print(int fd, const char *text) { SYS(write, fd, text, length(text)); }

static inline void __attribute__((noreturn)) quit(int status) {
    for (;;) SYS(exit_group, status);
}

/* Ends the program with "NAME: STEP: errno N" when a call failed. */
static inline word check(const char *step, word result) {
    if (result >= 0) return result;
    char text[512];
    append(append_number(append(append(append(text, "floor: "), step), ": errno "), -result), "\n");
    print(2, text);
    quit(125);
}

static int program(int argc, char **argv, char **envp);

#ifdef NOLIBC
__attribute__((noreturn, used)) static void entry(word *stack) {
    int argc = (int)stack[0];
    char **argv = (char **)(stack + 1);
    quit(program(argc, argv, argv + argc + 1));
}
#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call entry\n");
#else
__asm__(".globl _start\n_start: mov x29, #0\n mov x0, sp\n bl entry\n");
#endif
#else
int main(int argc, char **argv, char **envp) { return program(argc, argv, envp); }
#endif
