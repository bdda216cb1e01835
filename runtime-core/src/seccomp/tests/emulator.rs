//! The kernel's side: its check of a program, and the machine that runs it.

use super::super::{Arch, Instruction, MAX_INSTRUCTIONS, bpf};

/// A system call as a filter sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) token: u32,
    pub(super) big_endian: bool,
    pub(super) number: u32,
    pub(super) args: [u64; 6],
}

impl Call {
    pub(super) fn new(arch: Arch, number: u32, args: [u64; 6]) -> Call {
        Call { token: arch.token, big_endian: arch.is_big_endian(), number, args }
    }

    fn word(&self, offset: u32) -> u32 {
        let wide = |value: u64, upper: bool| {
            let [low, high] = [value as u32, (value >> 32) as u32];
            if upper != self.big_endian { high } else { low }
        };
        match offset {
            0 => self.number,
            4 => self.token,
            16..=63 => wide(self.args[(offset as usize - 16) / 8], offset % 8 == 4),
            _ => panic!("load of word {offset}"),
        }
    }
}

/// Runs a program; gives its result and how many instructions that took.
pub(super) fn run(program: &[Instruction], call: &Call) -> (u32, usize) {
    let (mut at, mut accumulator, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        steps += 1;
        at += 1;
        let holds = match code {
            bpf::LOAD => {
                accumulator = call.word(k);
                continue;
            }
            bpf::AND => {
                accumulator &= k;
                continue;
            }
            bpf::JUMP => {
                at += k as usize;
                continue;
            }
            bpf::RETURN => return (k, steps),
            bpf::IF_EQUAL => accumulator == k,
            bpf::IF_GREATER => accumulator > k,
            bpf::IF_GREATER_EQUAL => accumulator >= k,
            bpf::IF_ANY_BIT => accumulator & k != 0,
            _ => panic!("instruction {code:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}

/// Checks a program as the kernel does before it takes it.
pub(super) fn check(program: &[Instruction]) {
    assert!(!program.is_empty() && program.len() <= MAX_INSTRUCTIONS, "{} instructions", program.len());
    assert_eq!(program.last().unwrap().code, bpf::RETURN);
    for (at, instruction) in program.iter().enumerate() {
        let furthest = match instruction.code {
            bpf::LOAD => {
                assert!(instruction.k % 4 == 0 && instruction.k < 64, "load of word {}", instruction.k);
                0
            }
            bpf::JUMP => instruction.k as usize,
            bpf::AND | bpf::RETURN => 0,
            bpf::IF_EQUAL | bpf::IF_GREATER | bpf::IF_GREATER_EQUAL | bpf::IF_ANY_BIT => {
                usize::from(instruction.jt.max(instruction.jf))
            }
            code => panic!("instruction {code:#x}"),
        };
        assert!(
            instruction.code == bpf::RETURN || at + 1 + furthest < program.len(),
            "jump out of the program"
        );
    }
}
