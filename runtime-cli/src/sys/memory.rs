//! Copies and comparisons of memory for x86_64, in place of musl's: those copy four bytes by the instructions for megabytes, and compare a long
//! name byte by byte. A command does this a thousand times, mostly with a few bytes.
//!
//! In assembler, since a compiler may make a call of `memcpy` out of whatever Rust says here.

use std::arch::global_asm;

// Up to 32 bytes are read before any is written, so they may overlap; of more, what overlaps from behind is copied from its end.
global_asm!(
    ".pushsection .text.corten_copy,\"ax\",@progbits",
    ".p2align 4",
    ".globl corten_copy",
    ".type corten_copy, @function",
    "corten_copy:",
    "mov rax, rdi",
    "cmp rdx, 16",
    "jb 2f",
    "cmp rdx, 32",
    "ja 5f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + rdx - 16]",
    "movups [rdi], xmm0",
    "movups [rdi + rdx - 16], xmm1",
    "ret",
    "2: cmp edx, 8",
    "jb 3f",
    "mov rcx, [rsi]",
    "mov r8, [rsi + rdx - 8]",
    "mov [rdi], rcx",
    "mov [rdi + rdx - 8], r8",
    "ret",
    "3: cmp edx, 4",
    "jb 4f",
    "mov ecx, [rsi]",
    "mov r8d, [rsi + rdx - 4]",
    "mov [rdi], ecx",
    "mov [rdi + rdx - 4], r8d",
    "ret",
    // At most three: the first, the one in the middle and the last.
    "4: test edx, edx",
    "jz 6f",
    "movzx ecx, byte ptr [rsi]",
    "movzx r8d, byte ptr [rsi + rdx - 1]",
    "mov r9d, edx",
    "shr r9d",
    "movzx r10d, byte ptr [rsi + r9]",
    "mov [rdi], cl",
    "mov [rdi + r9], r10b",
    "mov [rdi + rdx - 1], r8b",
    "ret",
    "5: mov rcx, rdi",
    "sub rcx, rsi",
    "cmp rcx, rdx",
    "mov rcx, rdx",
    "jb 7f",
    "rep movsb",
    "6: ret",
    "7: lea rdi, [rdi + rdx - 1]",
    "lea rsi, [rsi + rdx - 1]",
    "std",
    "rep movsb",
    "cld",
    "ret",
    ".size corten_copy, . - corten_copy",
    ".popsection",
);

// Eight bytes at a time, the last eight once more where fewer are left.
global_asm!(
    ".pushsection .text.corten_compare,\"ax\",@progbits",
    ".p2align 4",
    ".globl corten_compare",
    ".type corten_compare, @function",
    "corten_compare:",
    "xor ecx, ecx",
    "cmp rdx, 8",
    "jb 4f",
    "sub rdx, 8",
    "2: mov rax, [rdi + rcx]",
    "mov r8, [rsi + rcx]",
    "cmp rax, r8",
    "jne 3f",
    "cmp rcx, rdx",
    "je 5f",
    "add rcx, 8",
    "cmp rcx, rdx",
    "cmova rcx, rdx",
    "jmp 2b",
    "3: bswap rax",
    "bswap r8",
    "cmp rax, r8",
    "sbb eax, eax",
    "or eax, 1",
    "ret",
    "4: cmp rcx, rdx",
    "je 5f",
    "movzx eax, byte ptr [rdi + rcx]",
    "movzx r8d, byte ptr [rsi + rcx]",
    "inc rcx",
    "sub eax, r8d",
    "je 4b",
    "ret",
    "5: xor eax, eax",
    "ret",
    ".size corten_compare, . - corten_compare",
    ".popsection",
);

// What the linker finds here it does not take from the C library. Tests have that one's.
#[cfg(not(test))]
global_asm!(
    ".globl memcpy",
    ".set memcpy, corten_copy",
    ".globl memmove",
    ".set memmove, corten_copy",
    ".globl memcmp",
    ".set memcmp, corten_compare",
    ".globl bcmp",
    ".set bcmp, corten_compare",
);

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;
    use std::ptr;

    use nix::libc;

    unsafe extern "C" {
        fn corten_copy(to: *mut u8, from: *const u8, size: usize) -> *mut u8;
        fn corten_compare(a: *const u8, b: *const u8, size: usize) -> i32;
    }

    const MOST: usize = 300;
    const PAGE: usize = 4096;

    fn pattern() -> Vec<u8> {
        (0..3 * MOST).map(|at| (at * 7 + at / 256) as u8).collect()
    }

    /// A page with nothing beside it: what goes beyond it ends the test.
    struct Alone(*mut u8);

    impl Alone {
        fn new() -> Self {
            let access = libc::PROT_READ | libc::PROT_WRITE;
            let kind = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping touches none that exists, and the part that is opened is its own.
            unsafe {
                let mapping = libc::mmap(ptr::null_mut(), 3 * PAGE, libc::PROT_NONE, kind, -1, 0);
                assert_ne!(mapping, libc::MAP_FAILED);
                let page = mapping.byte_add(PAGE);
                assert_eq!(libc::mprotect(page, PAGE, access), 0);
                Self(page.cast())
            }
        }

        /// The first and the last bytes.
        fn edges(&self, size: usize) -> [*mut u8; 2] {
            [self.0, self.0.wrapping_add(PAGE - size)]
        }
    }

    impl Drop for Alone {
        fn drop(&mut self) {
            // SAFETY: the whole mapping, which nobody uses any more.
            unsafe { libc::munmap(self.0.byte_sub(PAGE).cast(), 3 * PAGE) };
        }
    }

    #[test]
    fn nothing_beyond_is_touched() {
        let (from, to) = (Alone::new(), Alone::new());
        for size in 0..MOST {
            for (from, to) in from.edges(size).into_iter().zip(to.edges(size)) {
                // SAFETY: as many bytes are there.
                unsafe {
                    corten_copy(to, from, size);
                    assert_eq!(corten_compare(to, from, size), 0);
                }
            }
        }
    }

    #[test]
    fn copies_of_any_size_that_overlap_or_not() {
        for size in 0..MOST {
            let near = (0..=40).chain([size / 2, size.saturating_sub(1), size, size + 1, MOST]);
            for (from, to) in near.flat_map(|distance| [(3, 3 + distance), (3 + distance, 3)]) {
                let (mut copied, mut expected) = (pattern(), pattern());
                expected.copy_within(from..from + size, to);
                let memory = copied.as_mut_ptr();
                // SAFETY: both pieces lie within the vector, which is longer than all of this.
                let answer = unsafe { corten_copy(memory.add(to), memory.add(from), size) };
                assert_eq!(answer, memory.wrapping_add(to));
                assert_eq!(copied, expected, "{size} bytes from {from} to {to}");
            }
        }
    }

    #[test]
    fn comparisons_of_any_size() {
        for size in 0..MOST {
            let a = pattern();
            let compare = |b: &[u8]| {
                // SAFETY: both are longer than the size.
                unsafe { corten_compare(a.as_ptr(), b.as_ptr(), size) }.cmp(&0)
            };
            let mut b = pattern();
            b[size] = !a[size];
            assert_eq!(compare(&b), Ordering::Equal, "{size}");
            for at in 0..size {
                for other in [0, 0x7f, 0x80, 0xff] {
                    b.clone_from(&a);
                    // What comes after the first difference does not count.
                    b[size - 1] = !a[size - 1];
                    b[at] = other;
                    assert_eq!(compare(&b), a[..size].cmp(&b[..size]), "{size} bytes, at {at}: {other}");
                }
            }
        }
    }
}
