//! The program: the architecture by comparison, the number by binary search, the arguments word by word.

use super::action;
use super::arch::Arch;
use super::bpf::{
    AND, Assembler, IF_ANY_BIT, IF_EQUAL, IF_GREATER, IF_GREATER_EQUAL, Instruction, LOAD, Target,
};
use super::profile::{Condition, Op, Profile};
use super::verdicts::{self, Alternative, Range, Verdict};

/// Offset of the system call number in `seccomp_data`.
const NUMBER: u32 = 0;
/// Offset of the architecture.
const ARCHITECTURE: u32 = 4;

pub(super) fn write(profile: &Profile) -> Vec<Instruction> {
    let mut tokens = Vec::new();
    for arch in &profile.arches {
        if !tokens.contains(&arch.token) {
            tokens.push(arch.token);
        }
    }
    let mut writer = Writer { code: Assembler::default(), default: profile.default };
    let mut next = Target::Return(action::KILL_THREAD);
    for token in tokens.into_iter().rev() {
        let search = writer.search(&verdicts::ranges(profile, token));
        let numbers = writer.code.then(LOAD, NUMBER, search);
        next = writer.code.branch(IF_EQUAL, token, numbers, next);
    }
    writer.code.then(LOAD, ARCHITECTURE, next);
    writer.code.finish()
}

struct Writer {
    code: Assembler,
    default: u32,
}

impl Writer {
    /// Finds the range of the number in the accumulator.
    fn search(&mut self, ranges: &[Range]) -> Target {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let Some(first) = high.first() else { return Target::Return(self.default) };
        if low.is_empty() {
            return self.verdict(&first.verdict);
        }
        let above = self.search(high);
        let below = self.search(low);
        self.code.branch(IF_GREATER_EQUAL, first.start, above, below)
    }

    fn verdict(&mut self, verdict: &Verdict) -> Target {
        match verdict {
            Verdict::Return(action) => Target::Return(*action),
            Verdict::Check(arch, alternatives) => {
                let default = Target::Return(self.default);
                let groups: Vec<&[Alternative]> = alternatives.chunk_by(same_words).collect();
                groups.into_iter().rev().fold(default, |otherwise, group| match group {
                    [one] => self.alternative(*arch, one, otherwise),
                    _ => self.values(*arch, group, otherwise),
                })
            }
        }
    }

    /// Looks for an argument in a list of values that share their upper word.
    fn values(&mut self, arch: Arch, values: &[Alternative], otherwise: Target) -> Target {
        let Some(first) = values.first().and_then(|one| one.conditions.first()) else { return otherwise };
        let (low_word, high_word) = arch.halves(first.argument);
        let results =
            values.iter().filter_map(|one| Some((words(one.conditions.first()?.value).0, one.action)));
        let found = results.rev().fold(otherwise, |next, (low, action)| {
            self.code.branch(IF_EQUAL, low, Target::Return(action), next)
        });
        let lower = self.code.then(LOAD, low_word, found);
        if words(first.mask).1 == 0 {
            return lower;
        }
        let (_, high) = words(first.value);
        self.word(high_word, u32::MAX, IF_EQUAL, high, lower, otherwise)
    }

    fn alternative(&mut self, arch: Arch, alternative: &Alternative, otherwise: Target) -> Target {
        let holds = Target::Return(alternative.action);
        alternative
            .conditions
            .iter()
            .rev()
            .fold(holds, |holds, condition| self.condition(arch, condition, holds, otherwise))
    }

    /// Compares an argument: its upper word, if that is compared at all, then its lower one.
    fn condition(&mut self, arch: Arch, condition: &Condition, holds: Target, otherwise: Target) -> Target {
        let (low_word, high_word) = arch.halves(condition.argument);
        let (mask_low, mask_high) = words(condition.mask);
        let (low, high) = words(condition.value);
        let (code, yes, no) = match condition.op {
            Op::Equal => (IF_EQUAL, holds, otherwise),
            Op::NotEqual => (IF_EQUAL, otherwise, holds),
            Op::Greater => (IF_GREATER, holds, otherwise),
            Op::LessEqual => (IF_GREATER, otherwise, holds),
            Op::GreaterEqual => (IF_GREATER_EQUAL, holds, otherwise),
            Op::Less => (IF_GREATER_EQUAL, otherwise, holds),
        };
        if mask_high == 0 {
            return self.word(low_word, mask_low, code, low, yes, no);
        }
        let lower = if mask_low == 0 { yes } else { self.word(low_word, mask_low, code, low, yes, no) };
        if code == IF_EQUAL {
            return self.word(high_word, mask_high, IF_EQUAL, high, lower, no);
        }
        let equal = self.code.branch(IF_EQUAL, high, lower, no);
        self.word(high_word, mask_high, IF_GREATER, high, yes, equal)
    }

    fn word(&mut self, offset: u32, mask: u32, code: u16, value: u32, yes: Target, no: Target) -> Target {
        let test = match (mask, value) {
            (u32::MAX, _) => self.code.branch(code, value, yes, no),
            // Only equality has a mask.
            (_, 0) => self.code.branch(IF_ANY_BIT, mask, no, yes),
            _ => {
                let compare = self.code.branch(code, value, yes, no);
                self.code.then(AND, mask, compare)
            }
        };
        self.code.then(LOAD, offset, test)
    }
}

/// Both compare one argument with one value, and its upper word with the same one.
fn same_words(a: &Alternative, b: &Alternative) -> bool {
    let ([a], [b]) = (a.conditions.as_slice(), b.conditions.as_slice()) else { return false };
    let whole_words = a.mask == b.mask && [u64::MAX, u64::from(u32::MAX)].contains(&a.mask);
    let equality = a.op == Op::Equal && b.op == Op::Equal;
    whole_words && equality && a.argument == b.argument && words(a.value).1 == words(b.value).1
}

fn words(value: u64) -> (u32, u32) {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}
