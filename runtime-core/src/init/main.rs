//! The entry file of init, for rustc: what a program without libc needs beside its own code.
#![no_std]
#![no_main]

#[path = "../wire/mod.rs"]
#[allow(dead_code)] // the encoding half is the host side's
mod wire;

#[allow(dead_code)] // the library's launcher uses some that init does not
mod abi;
mod console;
mod copy;
mod dev;
mod exec;
mod fault;
mod hide;
mod hook;
mod interpret;
mod link;
mod mask;
mod mount;
mod mountinfo;
mod net;
#[allow(dead_code)]
mod nr;
mod passwd;
mod path;
mod process;
#[allow(dead_code)]
mod sys;

use core::arch::global_asm;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rdi, rsp",
    "and rsp, -16",
    "call {start}",
    "ud2",
    start = sym start,
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl _start",
    "_start:",
    "mov x29, xzr",
    "mov x30, xzr",
    "mov x0, sp",
    "b {start}",
    start = sym start,
);

/// # Safety
/// `stack` must be what the kernel gives a new program: the number of arguments, then pointers to them.
unsafe extern "C" fn start(stack: *const usize) -> ! {
    let mut base = 0i32;
    // SAFETY: by the contract the first word is the number of arguments, that many pointers follow, and each is
    // to a string that ends with NUL.
    unsafe {
        if *stack >= 2 {
            let mut digit = *stack.add(2) as *const u8;
            while (*digit).is_ascii_digit() {
                base = base.saturating_mul(10).saturating_add(i32::from(*digit - b'0'));
                digit = digit.add(1);
            }
        }
    }
    interpret::main(base)
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    sys::exit(101)
}

// The compiler calls these by name. They are written in assembly, since it would turn a loop in Rust into a
// call of the same function.

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl memcpy",
    ".globl memmove",
    ".globl memset",
    "memcpy:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "rep movsb",
    "ret",
    "memmove:",
    "mov rax, rdi",
    "mov rcx, rdx",
    "mov r8, rdi",
    "sub r8, rsi",
    "cmp r8, rdx",
    "jb 2f",
    "rep movsb",
    "ret",
    "2:",
    "lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    "memset:",
    "mov r8, rdi",
    "mov eax, esi",
    "mov rcx, rdx",
    "rep stosb",
    "mov rax, r8",
    "ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl memcpy",
    ".globl memmove",
    ".globl memset",
    "memcpy:",
    "memmove:",
    "sub x3, x0, x1",
    "cmp x3, x2",
    "b.lo 3f",
    "mov x3, x0",
    "2:",
    "cbz x2, 5f",
    "ldrb w4, [x1], #1",
    "strb w4, [x3], #1",
    "sub x2, x2, #1",
    "b 2b",
    "3:",
    "cbz x2, 5f",
    "sub x2, x2, #1",
    "ldrb w4, [x1, x2]",
    "strb w4, [x0, x2]",
    "b 3b",
    "5:",
    "ret",
    "memset:",
    "mov x3, x0",
    "6:",
    "cbz x2, 5b",
    "strb w1, [x3], #1",
    "sub x2, x2, #1",
    "b 6b",
);

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl memcmp",
    ".globl bcmp",
    "memcmp:",
    "bcmp:",
    "xor eax, eax",
    "mov rcx, rdx",
    "cmp eax, eax",
    "repe cmpsb",
    "je 2f",
    "movzx eax, byte ptr [rdi - 1]",
    "movzx ecx, byte ptr [rsi - 1]",
    "sub eax, ecx",
    "2:",
    "ret",
);

#[cfg(target_arch = "aarch64")]
global_asm!(
    ".globl memcmp",
    ".globl bcmp",
    "memcmp:",
    "bcmp:",
    "2:",
    "cbz x2, 3f",
    "ldrb w3, [x0], #1",
    "ldrb w4, [x1], #1",
    "sub x2, x2, #1",
    "subs w3, w3, w4",
    "b.eq 2b",
    "mov w0, w3",
    "ret",
    "3:",
    "mov w0, wzr",
    "ret",
);
