//! What a filter costs: its length, and how much of it runs.

use super::super::{Arch, bpf, compile};
use super::emulator::{Call, run};
use super::profiles;

#[test]
fn docker_profile_is_short() {
    let filter = compile(&profiles::docker(), Arch::X86_64).unwrap();
    assert!(filter.program.len() <= 350, "{} instructions", filter.program.len());
    for arch in [Arch::X86_64, Arch::X86, Arch::X32] {
        for number in 0..600 {
            let call =
                Call::new(arch, arch.syscall("restart_syscall").unwrap() & 0x4000_0000 | number, [2; 6]);
            let steps = run(&filter.program, &call).1;
            // Beside the comparisons: architecture, number, two words of an argument, the result.
            assert!(steps <= 16 + 5, "{steps} instructions for {number} on {}", arch.name());
        }
    }
    assert!(filter.program.iter().all(|one| one.code != bpf::JUMP), "jumps over more than 255 instructions");
}
