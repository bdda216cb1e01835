//! The architectures of a profile: how each numbers its calls and passes their arguments.

use super::search::{Named, Search};
use super::tables::{NONE, SYSCALLS};

/// Bit of an audit architecture: registers of 64 bits.
const BITS_64: u32 = 0x8000_0000;
/// Bit of an audit architecture: little-endian.
const LITTLE: u32 = 0x4000_0000;
/// Bit of an audit architecture: the n32 ABI of MIPS.
const N32: u32 = 0x2000_0000;
/// Added to the number of a call made through the x32 ABI.
pub(super) const X32_BASE: u32 = 0x4000_0000;
/// First of ARM's private calls; in the table they start at `ARM_TABLE`.
pub(super) const ARM_PRIVATE: u32 = 0x000f_0000;
const ARM_TABLE: u32 = 0xf000;

/// A system call: its name and its number in each ABI.
#[derive(Debug)]
pub(super) struct Syscall {
    pub(super) name: &'static str,
    pub(super) numbers: [u16; 18],
}

impl Named for Syscall {
    const TABLE: &'static [Self] = &SYSCALLS;

    fn name(&self) -> &'static str {
        self.name
    }
}

/// An architecture of the specification, `SCMP_ARCH_X86_64` for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arch {
    name: &'static str,
    /// What the kernel puts into `seccomp_data.arch`.
    pub(super) token: u32,
    /// Arguments are compared in all 64 bits, else in the lower 32 only.
    pub(super) wide: bool,
    /// Column of the table.
    column: usize,
    /// Added to the numbers of the table.
    base: u32,
}

const fn arch(name: &'static str, token: u32, column: usize, base: u32) -> Arch {
    let wide = token & BITS_64 != 0 && token & N32 == 0 && base != X32_BASE;
    Arch { name, token, wide, column, base }
}

/// Every architecture of the specification. The tokens are ELF machine numbers with the bits above.
static ARCHES: [Arch; 23] = [
    Arch::X86_64,
    Arch::X86,
    Arch::X32,
    Arch::ARM,
    Arch::AARCH64,
    Arch::LOONGARCH64,
    Arch::M68K,
    Arch::MIPS,
    Arch::MIPSEL,
    Arch::MIPS64,
    Arch::MIPSEL64,
    Arch::MIPS64N32,
    Arch::MIPSEL64N32,
    Arch::PPC,
    Arch::PPC64,
    Arch::PPC64LE,
    Arch::RISCV64,
    Arch::S390,
    Arch::S390X,
    Arch::SH,
    Arch::SHEB,
    Arch::PARISC,
    Arch::PARISC64,
];

#[allow(missing_docs, reason = "the names of the specification, without SCMP_ARCH_")]
impl Arch {
    pub const X86_64: Arch = arch("SCMP_ARCH_X86_64", 62 | BITS_64 | LITTLE, 0, 0);
    pub const X86: Arch = arch("SCMP_ARCH_X86", 3 | LITTLE, 1, 0);
    pub const X32: Arch = arch("SCMP_ARCH_X32", 62 | BITS_64 | LITTLE, 2, X32_BASE);
    pub const ARM: Arch = arch("SCMP_ARCH_ARM", 40 | LITTLE, 3, 0);
    pub const AARCH64: Arch = arch("SCMP_ARCH_AARCH64", 183 | BITS_64 | LITTLE, 4, 0);
    pub const LOONGARCH64: Arch = arch("SCMP_ARCH_LOONGARCH64", 258 | BITS_64 | LITTLE, 5, 0);
    pub const M68K: Arch = arch("SCMP_ARCH_M68K", 4, 6, 0);
    pub const MIPS: Arch = arch("SCMP_ARCH_MIPS", 8, 7, 4000);
    pub const MIPSEL: Arch = arch("SCMP_ARCH_MIPSEL", 8 | LITTLE, 7, 4000);
    pub const MIPS64: Arch = arch("SCMP_ARCH_MIPS64", 8 | BITS_64, 8, 5000);
    pub const MIPSEL64: Arch = arch("SCMP_ARCH_MIPSEL64", 8 | BITS_64 | LITTLE, 8, 5000);
    pub const MIPS64N32: Arch = arch("SCMP_ARCH_MIPS64N32", 8 | BITS_64 | N32, 9, 6000);
    pub const MIPSEL64N32: Arch = arch("SCMP_ARCH_MIPSEL64N32", 8 | BITS_64 | LITTLE | N32, 9, 6000);
    pub const PPC: Arch = arch("SCMP_ARCH_PPC", 20, 10, 0);
    pub const PPC64: Arch = arch("SCMP_ARCH_PPC64", 21 | BITS_64, 11, 0);
    pub const PPC64LE: Arch = arch("SCMP_ARCH_PPC64LE", 21 | BITS_64 | LITTLE, 11, 0);
    pub const RISCV64: Arch = arch("SCMP_ARCH_RISCV64", 243 | BITS_64 | LITTLE, 12, 0);
    pub const S390: Arch = arch("SCMP_ARCH_S390", 22, 13, 0);
    pub const S390X: Arch = arch("SCMP_ARCH_S390X", 22 | BITS_64, 14, 0);
    pub const SH: Arch = arch("SCMP_ARCH_SH", 42 | LITTLE, 15, 0);
    pub const SHEB: Arch = arch("SCMP_ARCH_SHEB", 42, 15, 0);
    pub const PARISC: Arch = arch("SCMP_ARCH_PARISC", 15, 16, 0);
    pub const PARISC64: Arch = arch("SCMP_ARCH_PARISC64", 15 | BITS_64, 17, 0);
}

impl Arch {
    /// The architecture that this library was built for, if the specification has it.
    pub const NATIVE: Option<Arch> = if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) {
        Some(Arch::X86_64)
    } else if cfg!(target_arch = "x86") {
        Some(Arch::X86)
    } else if cfg!(target_arch = "aarch64") {
        Some(Arch::AARCH64)
    } else if cfg!(target_arch = "arm") {
        Some(Arch::ARM)
    } else if cfg!(target_arch = "riscv64") {
        Some(Arch::RISCV64)
    } else if cfg!(all(target_arch = "powerpc64", target_endian = "little")) {
        Some(Arch::PPC64LE)
    } else if cfg!(target_arch = "s390x") {
        Some(Arch::S390X)
    } else if cfg!(target_arch = "loongarch64") {
        Some(Arch::LOONGARCH64)
    } else {
        None
    };

    /// Every architecture of the specification.
    pub fn all() -> &'static [Arch] {
        &ARCHES
    }

    /// The architecture of that name.
    pub fn from_name(name: &str) -> Option<Arch> {
        ARCHES.iter().copied().find(|arch| arch.name == name)
    }

    /// Its name in a profile.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Number of the system call of that name, as the kernel shows it to a filter.
    pub fn syscall(&self, name: &str) -> Option<u32> {
        Search::<Syscall>::new().find(name).and_then(|call| self.number(call))
    }

    pub(super) fn number(&self, call: &Syscall) -> Option<u32> {
        let entry = *call.numbers.get(self.column)?;
        match u32::from(entry) {
            _ if entry == NONE => None,
            private if private >= ARM_TABLE => Some(private - ARM_TABLE + ARM_PRIVATE),
            number => Some(number + self.base),
        }
    }

    /// Offsets in `seccomp_data` of the lower and of the upper half of an argument.
    pub(super) fn halves(&self, argument: u32) -> (u32, u32) {
        let at = 16 + 8 * argument;
        if self.is_big_endian() { (at + 4, at) } else { (at, at + 4) }
    }

    pub(super) fn is_big_endian(&self) -> bool {
        self.token & LITTLE == 0
    }
}
