//! Device rules as a program for the kernel's `BPF_PROG_TYPE_CGROUP_DEVICE`.
//!
//! The rules are read from the last to the first. A register holds the kinds of access that are asked for
//! and not decided yet; a rule takes its own out (and none left means allowed) or denies. The verifier's
//! time is most of the cost, so the program is kept short: numbers are packed into one key, and a rule
//! that decides all there can be left to decide is a single comparison.

use super::{ANY_ACCESS, ANY_KIND, BLOCK, CHAR, Rule};
use crate::sys::BpfInsn;

/// Registers: the context, the kind of device, the numbers, and what is not decided.
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const MAJOR: u8 = 3;
const MINOR: u8 = 4;
const UNDECIDED: u8 = 5;
const KEY: u8 = 6;

/// Operation codes; `IMM` compares 32 bits with a constant.
const LOAD32: u8 = 0x61;
const MOVE: u8 = 0xb7;
const COPY: u8 = 0xbf;
const AND32: u8 = 0x54;
const RIGHT: u8 = 0x77;
const LEFT: u8 = 0x67;
const OR: u8 = 0x4f;
const JUMP: u8 = 0x05;
const IF_EQUAL_IMM: u8 = 0x16;
const IF_NOT_EQUAL_IMM: u8 = 0x56;
const IF_SET_IMM: u8 = 0x46;
const EXIT: u8 = 0x95;

/// Offsets in the context: kind below and access above 16 bits, then the numbers.
const ACCESS_TYPE: i16 = 0;
const CONTEXT_MAJOR: i16 = 4;
const CONTEXT_MINOR: i16 = 8;

/// The kernel's device numbers have 12 and 20 bits.
const MINOR_BITS: u32 = 20;
const MAX_MAJOR: u32 = 0xfff;
const MAX_MINOR: u32 = 0xf_ffff;

/// Where a jump goes whose distance is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Allow,
    Deny,
    Block,
}

/// The program of the rules. [`super::MAX_RULES`] keeps its length within the reach of a jump.
pub(super) fn assemble(rules: &[Rule]) -> Vec<BpfInsn> {
    let chars = relevant(rules, CHAR);
    let blocks = relevant(rules, BLOCK);
    let shared = chars.iter().zip(&blocks).take_while(|(a, b)| a == b && a.is_for_any_number()).count();
    let (common, chars) = chars.split_at(shared);
    let (_, blocks) = blocks.split_at(shared);

    let mut program = Assembler::default();
    program.load(chars, blocks);
    let mut possible = ANY_ACCESS;
    let open = program.rules(common, &mut possible);
    if open && chars == blocks {
        program.section(chars, possible);
    } else if open && blocks.is_empty() {
        program.emit_to(IF_NOT_EQUAL_IMM, KIND, CHAR.into(), Target::Deny);
        program.section(chars, possible);
    } else if open {
        program.emit_to(IF_NOT_EQUAL_IMM, KIND, CHAR.into(), Target::Block);
        program.section(chars, possible);
        program.bind(Target::Block);
        program.section(blocks, possible);
    }
    program.finish()
}

/// The rules for one kind of device, from the last to the first, as far as they can matter. Rules with
/// the same verdict that follow each other may trade places: the widest go first.
fn relevant(rules: &[Rule], kind: u8) -> Vec<Rule> {
    let mut relevant: Vec<Rule> = Vec::new();
    for rule in rules.iter().rev().filter(|rule| rule.kinds & kind != 0) {
        if rule.major.is_some_and(|major| major > MAX_MAJOR)
            || rule.minor.is_some_and(|minor| minor > MAX_MINOR)
        {
            continue;
        }
        if !relevant.iter().any(|later| later.covers(rule)) {
            relevant.push(Rule { kinds: ANY_KIND, ..*rule });
        }
    }
    for run in relevant.chunk_by_mut(|a, b| a.allow == b.allow) {
        run.sort_by_key(|rule| !rule.is_for_any_number());
    }
    // What no rule decides is denied, so denials at the end say nothing.
    while relevant.last().is_some_and(|rule| !rule.allow) {
        relevant.pop();
    }
    relevant
}

#[derive(Default)]
struct Assembler {
    code: Vec<BpfInsn>,
    jumps: Vec<(usize, Target)>,
}

impl Assembler {
    fn emit(&mut self, op: u8, to: u8, from: u8, offset: i16, value: u32) {
        self.code.push(BpfInsn { op, registers: from << 4 | to, offset, value: value as i32 });
    }

    /// A jump to a place that comes later.
    fn emit_to(&mut self, op: u8, register: u8, value: u32, target: Target) {
        self.jumps.push((self.code.len(), target));
        self.emit(op, register, 0, 0, value);
    }

    /// Lets the jumps to a target come to this place; whether there are any.
    fn bind(&mut self, target: Target) -> bool {
        let here = self.code.len();
        let mut found = false;
        for (from, _) in self.jumps.iter().filter(|(_, other)| *other == target) {
            let distance = i16::try_from(here - from - 1);
            if let (Some(jump), Ok(distance)) = (self.code.get_mut(*from), distance) {
                jump.offset = distance;
                found = true;
            }
        }
        found
    }

    /// Reads what the sections look at.
    fn load(&mut self, chars: &[Rule], blocks: &[Rule]) {
        let all = || chars.iter().chain(blocks);
        let single = all().any(|rule| rule.major.is_some() && rule.minor.is_some());
        self.emit(LOAD32, KIND, CONTEXT, ACCESS_TYPE, 0);
        self.emit(COPY, UNDECIDED, KIND, 0, 0);
        self.emit(RIGHT, UNDECIDED, 0, 0, 16);
        if chars != blocks {
            self.emit(AND32, KIND, 0, 0, 0xffff);
        }
        if single || all().any(|rule| rule.major.is_some()) {
            self.emit(LOAD32, MAJOR, CONTEXT, CONTEXT_MAJOR, 0);
        }
        if single || all().any(|rule| rule.minor.is_some()) {
            self.emit(LOAD32, MINOR, CONTEXT, CONTEXT_MINOR, 0);
        }
        if single {
            self.emit(COPY, KEY, MAJOR, 0, 0);
            self.emit(LEFT, KEY, 0, 0, MINOR_BITS);
            self.emit(OR, KEY, MINOR, 0, 0);
        }
    }

    /// All that is left for one kind of device.
    fn section(&mut self, rules: &[Rule], mut possible: u8) {
        if self.rules(rules, &mut possible) {
            self.emit_to(JUMP, 0, 0, Target::Deny);
        }
    }

    /// Rules in their order. `possible` is what may be undecided; whether anything still can be.
    fn rules(&mut self, rules: &[Rule], possible: &mut u8) -> bool {
        for rule in rules {
            let access = rule.access & *possible;
            if access == 0 {
                continue;
            }
            let decides = access == *possible;
            if !rule.is_for_any_number() {
                self.single(rule, access, decides);
            } else if decides {
                self.emit_to(JUMP, 0, 0, if rule.allow { Target::Allow } else { Target::Deny });
                return false;
            } else {
                self.part(rule.allow, access);
                *possible &= !access;
            }
        }
        true
    }

    /// A rule for certain numbers.
    fn single(&mut self, rule: &Rule, access: u8, decides: bool) {
        let (register, value) = match (rule.major, rule.minor) {
            (Some(major), Some(minor)) => (KEY, (major << MINOR_BITS) | minor),
            (Some(major), None) => (MAJOR, major),
            (None, minor) => (MINOR, minor.unwrap_or_default()),
        };
        if decides {
            let target = if rule.allow { Target::Allow } else { Target::Deny };
            self.emit_to(IF_EQUAL_IMM, register, value, target);
        } else {
            let length = if rule.allow { 2 } else { 1 };
            self.emit(IF_NOT_EQUAL_IMM, register, 0, length, value);
            self.part(rule.allow, access);
        }
    }

    /// A decision on some kinds of access.
    fn part(&mut self, allow: bool, access: u8) {
        if allow {
            self.emit(AND32, UNDECIDED, 0, 0, (ANY_ACCESS & !access).into());
            self.emit_to(IF_EQUAL_IMM, UNDECIDED, 0, Target::Allow);
        } else {
            self.emit_to(IF_SET_IMM, UNDECIDED, access.into(), Target::Deny);
        }
    }

    /// Appends the two ends. The verifier refuses code that nothing reaches.
    fn finish(mut self) -> Vec<BpfInsn> {
        if self.ends_with_jump_to(Target::Deny) {
            self.code.pop();
            self.jumps.pop();
        }
        let falls_through = !self.ends_with_jump_to(Target::Allow);
        if self.bind(Target::Deny) || falls_through {
            self.emit(MOVE, 0, 0, 0, 0);
            self.emit(EXIT, 0, 0, 0, 0);
        }
        if self.bind(Target::Allow) {
            self.emit(MOVE, 0, 0, 0, 1);
            self.emit(EXIT, 0, 0, 0, 0);
        }
        self.code
    }

    fn ends_with_jump_to(&self, target: Target) -> bool {
        let at_the_end = |(from, to): &(usize, Target)| from + 1 == self.code.len() && *to == target;
        self.code.last().is_some_and(|last| last.op == JUMP) && self.jumps.last().is_some_and(at_the_end)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Random, requests, verdict};
    use super::super::{DEFAULTS, MAX_RULES, MKNOD};
    use super::*;

    /// Runs a program as the kernel does, for the operations that it can have.
    fn run(program: &[BpfInsn], kind: u8, major: u32, minor: u32, access: u8) -> bool {
        let context = [u32::from(access) << 16 | u32::from(kind), major, minor];
        let mut registers = [0u64; 10];
        let mut at = 0;
        loop {
            let BpfInsn { op, registers: names, offset, value } = program[at];
            let (to, from) = (usize::from(names & 15), usize::from(names >> 4));
            let jump = at + 1 + usize::try_from(offset.max(0)).unwrap();
            at += 1;
            match op {
                LOAD32 => registers[to] = context[offset as usize / 4].into(),
                MOVE => registers[to] = value as u64,
                COPY => registers[to] = registers[from],
                AND32 => registers[to] = u64::from(registers[to] as u32 & value as u32),
                RIGHT => registers[to] >>= value,
                LEFT => registers[to] <<= value,
                OR => registers[to] |= registers[from],
                JUMP => at = jump,
                IF_EQUAL_IMM if registers[to] as u32 == value as u32 => at = jump,
                IF_NOT_EQUAL_IMM if registers[to] as u32 != value as u32 => at = jump,
                IF_SET_IMM if registers[to] as u32 & value as u32 != 0 => at = jump,
                IF_EQUAL_IMM | IF_NOT_EQUAL_IMM | IF_SET_IMM => {}
                EXIT => return registers[0] == 1,
                other => panic!("operation {other:#x}"),
            }
        }
    }

    /// Whether each instruction can be reached, as the verifier demands.
    fn is_reachable(program: &[BpfInsn]) -> bool {
        let mut reached = vec![false; program.len()];
        let mut todo = vec![0];
        while let Some(at) = todo.pop() {
            if std::mem::replace(&mut reached[at], true) {
                continue;
            }
            let BpfInsn { op, offset, .. } = program[at];
            if matches!(op, JUMP | IF_EQUAL_IMM | IF_NOT_EQUAL_IMM | IF_SET_IMM) {
                todo.push(at + 1 + offset as usize);
            }
            if !matches!(op, JUMP | EXIT) {
                todo.push(at + 1);
            }
        }
        reached.into_iter().all(|reached| reached)
    }

    #[test]
    fn programs_decide_as_the_rules_say() {
        let mut random = Random(42);
        for _ in 0..10_000 {
            let rules = random.rules();
            let program = assemble(&rules);
            assert!(is_reachable(&program), "{rules:?}");
            for _ in 0..200 {
                let number =
                    |random: &mut Random| [0, 1, 2, 3, 5, 136, 4095, 0xf_ffff][random.below(8) as usize];
                let kind = 1 + random.below(2) as u8;
                let (major, minor) = (number(&mut random) & MAX_MAJOR, number(&mut random));
                let access = 1 + random.below(7) as u8;
                assert_eq!(
                    run(&program, kind, major, minor, access),
                    verdict(&rules, kind, major, minor, access),
                    "{rules:?} {kind} {major}:{minor} {access}"
                );
            }
        }
    }

    #[test]
    fn the_kernel_takes_them() {
        let mut random = Random(1);
        for _ in 0..300 {
            let rules = random.rules();
            match crate::sys::bpf_load_device_program(&assemble(&rules)) {
                Err(nix::errno::Errno::EPERM) => return eprintln!("skipped: needs root"),
                answer => drop(answer.unwrap_or_else(|errno| panic!("{errno}: {rules:?}"))),
            }
        }
    }

    #[test]
    fn the_usual_rules_make_a_short_program() {
        let nothing = Rule { allow: false, ..Rule::allow(ANY_KIND, None, None, ANY_ACCESS) };
        let usual: Vec<Rule> = std::iter::once(nothing).chain(DEFAULTS).chain(DEFAULTS).collect();
        let program = assemble(&usual);
        assert!(program.len() <= 24, "{program:?}");
        for (kind, major, minor, access) in requests() {
            assert_eq!(
                run(&program, kind, major, minor, access),
                verdict(&usual, kind, major, minor, access)
            );
        }
    }

    #[test]
    fn extremes() {
        let all = |allow, access| Rule { allow, ..Rule::allow(ANY_KIND, None, None, access) };
        for (rules, expected) in [
            (vec![], false),
            (vec![all(true, ANY_ACCESS)], true),
            (vec![all(true, ANY_ACCESS), all(false, MKNOD)], false),
            (vec![all(false, ANY_ACCESS), all(true, MKNOD)], true),
        ] {
            let program = assemble(&rules);
            assert!(is_reachable(&program), "{rules:?}");
            assert_eq!(run(&program, BLOCK, 8, 1, MKNOD), expected, "{rules:?}");
        }
        let part = |minor| Rule::allow(CHAR, Some(9), Some(minor), MKNOD);
        let most: Vec<_> = (0..MAX_RULES as u32).map(part).collect();
        let program = assemble(&most);
        assert!(run(&program, CHAR, 9, 0, MKNOD) && !run(&program, CHAR, 9, MAX_RULES as u32, MKNOD));
    }
}
