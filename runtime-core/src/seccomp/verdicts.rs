//! What a profile says about each number of an architecture.

use std::cmp::Ordering;

use super::action;
use super::arch::{ARM_PRIVATE, Arch, X32_BASE};
use super::profile::{Condition, Op, Profile};
use super::search::{Named, Search};

/// ENOSYS, for calls newer than the profile.
const UNKNOWN_CALL: u32 = action::ERRNO | 38;
/// For calls of an architecture that the profile does not list; libseccomp's choice.
const FOREIGN_CALL: u32 = action::KILL_THREAD;
/// What a tracer sets to have a call skipped.
const SKIPPED_CALL: u32 = u32::MAX;

/// Calls from `start` up to the next range have the same result.
#[derive(Debug)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Return(u32),
    /// The first alternative whose conditions hold, else the default action.
    Check(Arch, Vec<Alternative>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) conditions: Vec<Condition>,
    pub(super) action: u32,
}

/// Every number of the architectures with that audit token, in ranges.
pub(super) fn ranges(profile: &Profile, token: u32) -> Vec<Range> {
    let find = |wanted: Arch| profile.arches.iter().copied().find(|arch| *arch == wanted);
    let mut ranges = Ranges { profile, list: Vec::new() };
    if token == Arch::X86_64.token {
        let (x86_64, x32) = (find(Arch::X86_64), find(Arch::X32));
        ranges.section(0, X32_BASE - 1, x86_64, &calls(profile, x86_64));
        ranges.section(X32_BASE, u32::MAX, x32, &calls(profile, x32));
        return ranges.list;
    }
    let arch = profile.arches.iter().copied().find(|arch| arch.token == token);
    let calls = calls(profile, arch);
    let private = |call: &Call<'_>| call.number >= ARM_PRIVATE;
    if arch == Some(Arch::ARM) && calls.last().is_some_and(private) {
        // Else this call would make all numbers below it known ones.
        ranges.section(0, ARM_PRIVATE - 1, arch, &calls);
        ranges.section(ARM_PRIVATE, u32::MAX, arch, &calls);
    } else {
        ranges.section(0, u32::MAX, arch, &calls);
    }
    ranges.list
}

/// A call that a rule names, as one architecture sees it.
struct Call<'a> {
    number: u32,
    action: u32,
    conditions: &'a [Condition],
    /// The call is made through another one.
    through: Option<&'static Multiplexed>,
}

/// All calls that the rules name, sorted by number, else in the order of the rules.
fn calls(profile: &Profile, arch: Option<Arch>) -> Vec<Call<'_>> {
    let Some(arch) = arch else { return Vec::new() };
    let multiplexers = arch.syscall("socketcall").zip(arch.syscall("ipc"));
    let mut multiplexed = Search::<Multiplexed>::new();
    let mut calls = Vec::with_capacity(512);
    for rule in &profile.rules {
        for conditions in &rule.alternatives {
            for call in &rule.calls {
                if let Some((socketcall, ipc)) = multiplexers
                    && let Some(through @ &(_, by_socketcall, _)) = multiplexed.find(call.name)
                {
                    let number = if by_socketcall { socketcall } else { ipc };
                    calls.push(Call { number, action: rule.action, conditions, through: Some(through) });
                }
                if let Some(number) = arch.number(call) {
                    calls.push(Call { number, action: rule.action, conditions, through: None });
                }
            }
        }
    }
    calls.sort_by_cached_key(|call| call.number);
    calls
}

/// A call that 32-bit ABIs make through `socketcall`, else `ipc`, and its number there.
pub(super) type Multiplexed = (&'static str, bool, u64);

/// Sorted by name.
pub(super) static MULTIPLEXED: [Multiplexed; 32] = [
    ("accept", true, 5),
    ("accept4", true, 18),
    ("bind", true, 2),
    ("connect", true, 3),
    ("getpeername", true, 7),
    ("getsockname", true, 6),
    ("getsockopt", true, 15),
    ("listen", true, 4),
    ("msgctl", false, 14),
    ("msgget", false, 13),
    ("msgrcv", false, 12),
    ("msgsnd", false, 11),
    ("recv", true, 10),
    ("recvfrom", true, 12),
    ("recvmmsg", true, 19),
    ("recvmsg", true, 17),
    ("semctl", false, 3),
    ("semget", false, 2),
    ("semop", false, 1),
    ("semtimedop", false, 4),
    ("send", true, 9),
    ("sendmmsg", true, 20),
    ("sendmsg", true, 16),
    ("sendto", true, 11),
    ("setsockopt", true, 14),
    ("shmat", false, 21),
    ("shmctl", false, 24),
    ("shmdt", false, 22),
    ("shmget", false, 23),
    ("shutdown", true, 13),
    ("socket", true, 1),
    ("socketpair", true, 8),
];

impl Named for Multiplexed {
    const TABLE: &'static [Self] = &MULTIPLEXED;

    fn name(&self) -> &'static str {
        self.0
    }
}

struct Ranges<'a> {
    profile: &'a Profile,
    list: Vec<Range>,
}

impl Ranges<'_> {
    /// Adds the numbers from `first` to `last`, which belong to `arch`.
    fn section(&mut self, first: u32, last: u32, arch: Option<Arch>, calls: &[Call<'_>]) {
        let default = Verdict::Return(self.profile.default);
        let Some(arch) = arch else {
            self.push(first, Verdict::Return(FOREIGN_CALL));
            if last == SKIPPED_CALL {
                self.push(SKIPPED_CALL, default);
            }
            return;
        };
        let begin = calls.partition_point(|call| call.number < first);
        let end = calls.partition_point(|call| call.number <= last);
        let calls = calls.get(begin..end).unwrap_or_default();
        // A default that allows leaves it to the kernel to know the call.
        let refuse = !matches!(self.profile.default, action::ALLOW | action::LOG)
            && self.profile.default & !0xffff != action::TRACE;
        // From here on nothing is said yet.
        let mut next = first;
        if refuse && [Arch::S390, Arch::S390X].contains(&arch) && !calls.is_empty() {
            // Where a number too large for the instruction ends up if the kernel does not know it.
            self.push(0, Verdict::Return(UNKNOWN_CALL));
            next = 1;
        }
        for same in calls.chunk_by(|a, b| a.number == b.number) {
            let Some(number) = same.first().map(|call| call.number) else { continue };
            if number != next {
                self.push(next, default.clone());
            }
            self.push(number, verdict(self.profile.default, arch, same));
            next = number + 1;
        }
        self.push(next, if refuse && !calls.is_empty() { Verdict::Return(UNKNOWN_CALL) } else { default });
    }

    fn push(&mut self, start: u32, verdict: Verdict) {
        if self.list.last().is_none_or(|range| range.verdict != verdict) {
            self.list.push(Range { start, verdict });
        }
    }
}

/// The result of all rules for one number.
fn verdict(default: u32, arch: Arch, calls: &[Call<'_>]) -> Verdict {
    let mut alternatives = Vec::new();
    // A rule with the default action says nothing new, even where another rule says otherwise.
    for call in calls.iter().filter(|call| call.action != default) {
        let conditions = conditions(arch, call);
        if conditions.is_empty() {
            return Verdict::Return(call.action);
        }
        alternatives.push(Alternative { conditions, action: call.action });
    }
    if alternatives.is_empty() {
        return Verdict::Return(default);
    }
    alternatives.sort_by(|a, b| rank(&a.conditions, &b.conditions));
    Verdict::Check(arch, alternatives)
}

/// The condition by which a multiplexer picks the call. Bits that the kernel ignores there (the version of `ipc`, the upper half) are
/// ignored here too, lest they be a way around a rule.
fn picks(&(_, socketcall, value): &Multiplexed) -> Condition {
    let mask = if socketcall { 0xffff_ffff } else { 0xffff };
    Condition { argument: 0, op: Op::Equal, mask, value }
}

/// The conditions that say something, in the bits that this architecture compares.
fn conditions(arch: Arch, call: &Call<'_>) -> Vec<Condition> {
    let bits = if arch.wide { u64::MAX } else { u64::from(u32::MAX) };
    // A multiplexer's first argument is the number of the call; the call's own arguments lie in memory, out
    // of a filter's reach.
    let own = call.conditions.iter().copied().filter(|own| own.argument != 0 || call.through.is_none());
    call.through
        .map(picks)
        .into_iter()
        .chain(own)
        .map(|all| Condition { mask: all.mask & bits, value: all.value & bits, ..all })
        .filter(|condition| condition.mask != 0)
        .collect()
}

/// Which of two rules that hold comes first: the order of libseccomp, upon which profiles depend. The later
/// argument, then (in)equality before order, then the narrower bound, then fewer conditions, then the order
/// of the profile.
fn rank(a: &[Condition], b: &[Condition]) -> Ordering {
    let class = |op| match op {
        Op::Equal | Op::NotEqual => 0,
        Op::Less | Op::LessEqual => 1,
        Op::Greater | Op::GreaterEqual => 2,
    };
    for (a, b) in a.iter().zip(b) {
        let value = if class(a.op) == 1 { a.value.cmp(&b.value) } else { b.value.cmp(&a.value) };
        let order = b.argument.cmp(&a.argument).then(class(a.op).cmp(&class(b.op))).then(value);
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}
