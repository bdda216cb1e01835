//! Writes `src/seccomp/tables.rs` from the kernel's own lists of system calls.
//!
//! ```text
//! cargo run --example syscall-tables -- linux-7.2 linux-6.12 > runtime-core/src/seccomp/tables.rs
//! ```
//!
//! The arguments are kernel source trees, newest first. An older tree serves for an ABI that the newest
//! one has dropped, as 31-bit s390: from there on that ABI has only what is common to all of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One column of the table: an ABI, the kernel's list, and the rows of that list which belong to it.
struct Column {
    title: &'static str,
    list: &'static str,
    /// The last one is the ABI's own: a list without it no longer describes this ABI.
    abis: &'static [&'static str],
}

const fn column(title: &'static str, list: &'static str, abis: &'static [&'static str]) -> Column {
    Column { title, list, abis }
}

/// Generic list, used by the architectures younger than it.
const GENERIC: &str = "scripts/syscall.tbl";
const POWERPC: &str = "arch/powerpc/kernel/syscalls/syscall.tbl";
const S390: &str = "arch/s390/kernel/syscalls/syscall.tbl";
const PARISC: &str = "arch/parisc/kernel/syscalls/syscall.tbl";
const X86_64: &str = "arch/x86/entry/syscalls/syscall_64.tbl";

/// In the order of the constants in `seccomp/arch.rs`. Which rows an ABI takes is said in the Makefile
/// beside each list.
const COLUMNS: [Column; 18] = [
    column("x86_64", X86_64, &["common", "64"]),
    column("x86", "arch/x86/entry/syscalls/syscall_32.tbl", &["i386"]),
    column("x32", X86_64, &["common", "x32"]),
    column("arm", "arch/arm/tools/syscall.tbl", &["eabi", "common"]),
    column(
        "arm64",
        "arch/arm64/tools/syscall_64.tbl",
        &["renameat", "rlimit", "memfd_secret", "common", "64"],
    ),
    column("loong", GENERIC, &["memfd_secret", "common", "64"]),
    column("m68k", "arch/m68k/kernel/syscalls/syscall.tbl", &["common"]),
    column("o32", "arch/mips/kernel/syscalls/syscall_o32.tbl", &["o32"]),
    column("n64", "arch/mips/kernel/syscalls/syscall_n64.tbl", &["n64"]),
    column("n32", "arch/mips/kernel/syscalls/syscall_n32.tbl", &["n32"]),
    column("ppc", POWERPC, &["common", "nospu", "32"]),
    column("ppc64", POWERPC, &["common", "nospu", "64"]),
    column("riscv", GENERIC, &["riscv", "rlimit", "memfd_secret", "common", "64"]),
    column("s390", S390, &["common", "32"]),
    column("s390x", S390, &["common", "64"]),
    column("sh", "arch/sh/kernel/syscalls/syscall.tbl", &["common"]),
    column("hppa", PARISC, &["common", "32"]),
    column("hppa64", PARISC, &["common", "64"]),
];

/// A line of the kernel's list: number, ABI, name.
type Row = (u32, String, String);

/// The calls of one ABI.
type Calls = BTreeMap<String, u32>;

fn main() -> Result<(), Box<dyn Error>> {
    let trees: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    if trees.is_empty() {
        return Err("usage: syscall-tables NEWEST_KERNEL_TREE [OLDER_KERNEL_TREE]...".into());
    }
    let mut columns = Vec::new();
    for column in &COLUMNS {
        let mut calls = calls_of(&trees, column)?;
        if column.title == "arm" {
            calls.extend(arm_private(trees.first().ok_or("no tree")?)?);
        }
        columns.push(calls);
    }
    print(&columns)?;
    Ok(())
}

fn calls_of(trees: &[PathBuf], column: &Column) -> Result<Calls, Box<dyn Error>> {
    let own = column.abis.last().ok_or("a column without ABI")?;
    let mut newer = Vec::new();
    for tree in trees {
        let rows = read_list(&tree.join(column.list))?;
        if !rows.iter().any(|(_, abi, _)| abi == own) {
            newer = rows;
            continue;
        }
        let mut calls: Calls = rows
            .into_iter()
            .filter(|(_, abi, _)| column.abis.contains(&abi.as_str()))
            .map(|(number, _, name)| (name, number))
            .collect();
        let last = calls.values().copied().max().unwrap_or(0);
        calls.extend(newer.into_iter().filter(|row| row.0 > last).map(|(number, _, name)| (name, number)));
        return Ok(calls);
    }
    Err(format!("no tree describes the ABI {}: add an older kernel tree", column.title).into())
}

fn read_list(path: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut rows = Vec::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split_whitespace();
        if let (Some(number), Some(abi), Some(name)) = (fields.next(), fields.next(), fields.next()) {
            let placeholder = name.starts_with("unused") || name.starts_with("reserved");
            if !placeholder {
                rows.push((number.parse()?, abi.to_owned(), name.to_owned()));
            }
        }
    }
    Ok(rows)
}

/// ARM's private calls and one alias stand in a header only. They start at 0xf0000, in the table at 0xf000.
fn arm_private(tree: &Path) -> Result<Calls, Box<dyn Error>> {
    let header = fs::read_to_string(tree.join("arch/arm/include/uapi/asm/unistd.h"))?;
    let list = read_list(&tree.join("arch/arm/tools/syscall.tbl"))?;
    let mut calls = Calls::new();
    for line in header.lines() {
        let mut words = line.split_whitespace().skip(1);
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let private = value.strip_prefix("(__ARM_NR_BASE+").and_then(|v| v.strip_suffix(')'));
        if let (Some(name), Some(number)) = (name.strip_prefix("__ARM_NR_"), private) {
            calls.insert(name.to_owned(), 0xf000 + number.parse::<u32>()?);
        } else if let (Some(name), Some(other)) = (name.strip_prefix("__NR_"), value.strip_prefix("__NR_")) {
            if let Some((number, ..)) = list.iter().find(|row| row.2 == other) {
                calls.insert(name.to_owned(), *number);
            }
        }
    }
    Ok(calls)
}

fn print(columns: &[Calls]) -> io::Result<()> {
    let mut names: Vec<&String> = columns.iter().flat_map(Calls::keys).collect();
    names.sort();
    names.dedup();
    let mut out = io::stdout().lock();
    write!(
        out,
        "//! Numbers of the system calls, per ABI. Generated by `examples/syscall-tables.rs`: do not edit.\n\n\
         use super::arch::Syscall;\n\n\
         /// The ABI has no such call.\n\
         pub(super) const NONE: u16 = u16::MAX;\n\
         const ___: u16 = NONE;\n\n\
         const fn row(name: &'static str, numbers: [u16; {}]) -> Syscall {{\n    Syscall {{ name, numbers }}\n}}\n\n\
         /// Sorted by name. Numbers count from the base of their ABI.\n\
         #[rustfmt::skip]\n\
         pub(super) static SYSCALLS: [Syscall; {}] = [\n",
        columns.len(),
        names.len(),
    )?;
    write!(out, "    //{:35}", "")?;
    for column in &COLUMNS {
        write!(out, "{:>7}", column.title)?;
    }
    writeln!(out)?;
    for name in names {
        write!(out, "    row({:31} [", format!("\"{name}\","))?;
        for (at, calls) in columns.iter().enumerate() {
            let number = calls.get(name).map_or("___".to_owned(), u32::to_string);
            let comma = if at + 1 < columns.len() { "," } else { "" };
            write!(out, "{number:>6}{comma}")?;
        }
        writeln!(out, "]),")?;
    }
    writeln!(out, "];")
}
