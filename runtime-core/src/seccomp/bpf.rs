//! Classic BPF: its instructions, and an assembler that writes a program from its end.
//!
//! Jumps go forward only, so whoever starts at the end knows every target.

/// Load a word of `seccomp_data`: BPF_LD | BPF_W | BPF_ABS.
pub(super) const LOAD: u16 = 0x20;
/// BPF_ALU | BPF_AND | BPF_K.
pub(super) const AND: u16 = 0x54;
/// BPF_JMP | BPF_JA.
pub(super) const JUMP: u16 = 0x05;
/// BPF_JMP | BPF_JEQ | BPF_K.
pub(super) const IF_EQUAL: u16 = 0x15;
/// BPF_JMP | BPF_JGT | BPF_K.
pub(super) const IF_GREATER: u16 = 0x25;
/// BPF_JMP | BPF_JGE | BPF_K.
pub(super) const IF_GREATER_EQUAL: u16 = 0x35;
/// BPF_JMP | BPF_JSET | BPF_K.
pub(super) const IF_ANY_BIT: u16 = 0x45;
/// BPF_RET | BPF_K.
pub(super) const RETURN: u16 = 0x06;

/// An instruction, as `struct sock_filter` of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u16,
    /// How many instructions to skip if the condition holds.
    pub jt: u8,
    /// How many instructions to skip if it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

impl Instruction {
    /// The bytes that seccomp(2) reads.
    pub fn to_bytes(self) -> [u8; 8] {
        let [c0, c1] = self.code.to_ne_bytes();
        let [k0, k1, k2, k3] = self.k.to_ne_bytes();
        [c0, c1, self.jt, self.jf, k0, k1, k2, k3]
    }
}

/// Where a jump goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// To a `RETURN` of this value, wherever there is one.
    Return(u32),
    /// To the instruction with that many others behind it.
    At(usize),
}

/// A program, written from its end.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    /// Last instruction first.
    reversed: Vec<Instruction>,
    /// The latest `RETURN` of each value, and where it stands.
    returns: Vec<(u32, usize)>,
}

impl Assembler {
    /// The finished program; it starts at what was written last.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// An instruction without condition that is followed by `next`.
    pub(super) fn then(&mut self, code: u16, k: u32, next: Target) -> Target {
        let at = self.near(next, 0);
        if at + 1 != self.reversed.len() {
            self.jump_to(at);
        }
        self.put(Instruction { code, jt: 0, jf: 0, k })
    }

    /// A condition, and where it leads.
    pub(super) fn branch(&mut self, code: u16, k: u32, yes: Target, no: Target) -> Target {
        // What brings the first target near may push one more instruction for the second.
        let no = self.near(no, 1);
        let yes = self.near(yes, 0);
        let (jt, jf) = (self.skip(yes), self.skip(no));
        self.put(Instruction { code, jt, jf, k })
    }

    fn put(&mut self, instruction: Instruction) -> Target {
        self.reversed.push(instruction);
        Target::At(self.reversed.len() - 1)
    }

    fn jump_to(&mut self, at: usize) {
        let k = u32::try_from(self.reversed.len() - 1 - at).unwrap_or(u32::MAX);
        self.put(Instruction { code: JUMP, jt: 0, jf: 0, k });
    }

    /// A place for `target` that a condition can reach after `room` more instructions.
    fn near(&mut self, target: Target, room: usize) -> usize {
        let reach = usize::from(u8::MAX) - room;
        let reached = |at: usize, len: usize| len - 1 - at <= reach;
        let len = self.reversed.len();
        match target {
            Target::At(at) if reached(at, len) => at,
            Target::At(at) => {
                self.jump_to(at);
                len
            }
            Target::Return(value) => match self.returns.iter_mut().find(|(known, _)| *known == value) {
                Some((_, at)) if reached(*at, len) => *at,
                known => {
                    match known {
                        Some((_, at)) => *at = len,
                        None => self.returns.push((value, len)),
                    }
                    self.put(Instruction { code: RETURN, jt: 0, jf: 0, k: value });
                    len
                }
            },
        }
    }

    fn skip(&self, at: usize) -> u8 {
        u8::try_from(self.reversed.len() - 1 - at).unwrap_or(u8::MAX)
    }
}
