//! What a profile means, said again in the plainest way, as the measure of the compiler.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::super::verdicts::MULTIPLEXED;
use super::super::{Arch, action};
use super::emulator::Call;
use crate::config::{Seccomp, SyscallArg};

pub(super) const ENOSYS: u32 = action::ERRNO | 38;
const X32: u32 = 0x4000_0000;

pub(super) struct Model {
    pub(super) default: u32,
    /// A call unknown to the profile is left to the kernel.
    forgiving: bool,
    listed: Vec<Arch>,
    /// What the rules say on each call of each architecture.
    rules: HashMap<(&'static str, u32), Vec<Rule>>,
    /// The numbers that rules name.
    named: HashMap<&'static str, Vec<u32>>,
}

struct Rule {
    action: u32,
    conditions: Vec<SyscallArg>,
    /// The multiplexer's first argument, and its bits that count.
    through: Option<(u64, u64)>,
}

impl Model {
    pub(super) fn new(profile: &Seccomp, native: Arch) -> Model {
        let listed =
            |arch: &Arch| *arch == native || profile.architectures.iter().any(|name| name == arch.name());
        let forgiving = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"];
        let mut model = Model {
            default: action_of(&profile.default_action, profile.default_errno_ret),
            forgiving: forgiving.contains(&profile.default_action.as_str()),
            listed: Arch::all().iter().copied().filter(listed).collect(),
            rules: HashMap::new(),
            named: HashMap::new(),
        };
        for rule in &profile.syscalls {
            let action = action_of(&rule.action, rule.errno_ret);
            let repeated =
                rule.args.iter().any(|a| rule.args.iter().filter(|b| a.index == b.index).count() > 1);
            let each: Vec<_> = rule.args.iter().map(|arg| vec![arg.clone()]).collect();
            for conditions in if repeated { each } else { vec![rule.args.clone()] } {
                rule.names.iter().for_each(|name| model.add(name, action, &conditions));
            }
        }
        model
    }

    fn add(&mut self, name: &str, action: u32, conditions: &[SyscallArg]) {
        for arch in self.listed.clone() {
            let multiplexed = MULTIPLEXED.iter().find(|(known, ..)| *known == name);
            let through = multiplexed.and_then(|(_, socket, value)| {
                let (name, bits) = if *socket { ("socketcall", 0xffff_ffff) } else { ("ipc", 0xffff) };
                Some((arch.syscall(name)?, Some((*value, bits))))
            });
            let direct = arch.syscall(name).map(|number| (number, None));
            for (number, through) in through.into_iter().chain(direct) {
                self.named.entry(arch.name()).or_default().push(number);
                if action != self.default {
                    let rule = Rule { action, conditions: conditions.to_vec(), through };
                    self.rules.entry((arch.name(), number)).or_default().push(rule);
                }
            }
        }
    }

    /// The verdict on a call.
    pub(super) fn verdict(&self, call: &Call) -> u32 {
        let Some(arch) = self.arch_of(call) else {
            return if call.number == u32::MAX { self.default } else { action::KILL_THREAD };
        };
        match self.holding(call).first() {
            Some(action) => *action,
            None if !self.forgiving && self.newer(arch, call.number) => ENOSYS,
            None => self.default,
        }
    }

    /// The actions of all rules that hold for a call, by rank; of equals, the first in the profile comes first.
    pub(super) fn holding(&self, call: &Call) -> Vec<u32> {
        let Some(arch) = self.arch_of(call) else { return Vec::new() };
        let rules = self.rules_for(arch, call.number).iter();
        let mut holding: Vec<_> =
            rules.filter_map(|rule| Some((holds(arch, rule, call)?, rule.action))).collect();
        holding.sort_by_key(|(rank, _)| rank.clone());
        holding.into_iter().map(|(_, action)| action).collect()
    }

    /// What the rules say on a number, without those of the default action.
    fn rules_for(&self, arch: Arch, number: u32) -> &[Rule] {
        self.rules.get(&(arch.name(), number)).map_or(&[], Vec::as_slice)
    }

    /// The listed architecture to which a call belongs.
    pub(super) fn arch_of(&self, call: &Call) -> Option<Arch> {
        let belongs = |arch: &&Arch| {
            let x32 = call.number >= X32;
            arch.token == call.token && (arch.token != Arch::X86_64.token || (**arch == Arch::X32) == x32)
        };
        self.listed.iter().find(belongs).copied()
    }

    /// How many conditions the rules for a call have, without those of the default action.
    pub(super) fn conditions_for(&self, call: &Call) -> usize {
        let rules = self.arch_of(call).map_or(&[][..], |arch| self.rules_for(arch, call.number));
        rules.iter().map(|rule| rule.conditions.len().max(1)).sum()
    }

    /// The call is newer than all that the profile names, or the way by which s390 says so.
    fn newer(&self, arch: Arch, number: u32) -> bool {
        let named = || self.named.get(arch.name()).into_iter().flatten();
        // ARM's private calls are numbered for themselves, if the profile knows any.
        let privately = arch == Arch::ARM && named().any(|known| *known >= 0xf0000);
        let private = |number: u32| privately && number >= 0xf0000;
        let newest = named().filter(|known| private(**known) == private(number)).max();
        let s390 = [Arch::S390, Arch::S390X].contains(&arch) && number == 0;
        newest.is_some_and(|newest| number > *newest || s390)
    }
}

/// With conditions; then for each the later argument, the kind of comparison, the value.
type Rank = (bool, Vec<(Reverse<u32>, u8, i128)>);

/// If the rule holds for the call: where it ranks among such rules, least first.
fn holds(arch: Arch, rule: &Rule, call: &Call) -> Option<Rank> {
    const NARROW: [Arch; 13] = [
        Arch::X86,
        Arch::X32,
        Arch::ARM,
        Arch::M68K,
        Arch::MIPS,
        Arch::MIPSEL,
        Arch::MIPS64N32,
        Arch::MIPSEL64N32,
        Arch::PPC,
        Arch::S390,
        Arch::SH,
        Arch::SHEB,
        Arch::PARISC,
    ];
    let cut = |value: u64| if NARROW.contains(&arch) { value & 0xffff_ffff } else { value };
    let mut rank = Vec::new();
    if let Some((value, bits)) = rule.through {
        if call.args[0] & bits != value {
            return None;
        }
        rank.push((Reverse(0), 0, -i128::from(value)));
    }
    for arg in rule.conditions.iter().filter(|arg| rule.through.is_none() || arg.index != 0) {
        let (actual, value) = (cut(call.args[arg.index as usize]), cut(arg.value));
        let (holds, class, order) = match arg.op.as_str() {
            "SCMP_CMP_EQ" => (actual == value, 0, -i128::from(value)),
            "SCMP_CMP_NE" => (actual != value, 0, -i128::from(value)),
            "SCMP_CMP_LT" => (actual < value, 1, i128::from(value)),
            "SCMP_CMP_LE" => (actual <= value, 1, i128::from(value)),
            "SCMP_CMP_GT" => (actual > value, 2, -i128::from(value)),
            "SCMP_CMP_GE" => (actual >= value, 2, -i128::from(value)),
            "SCMP_CMP_MASKED_EQ" if value == 0 => continue,
            "SCMP_CMP_MASKED_EQ" => {
                let two = cut(arg.value_two) & value;
                (actual & value == two, 0, -i128::from(two))
            }
            op => panic!("{op}"),
        };
        if !holds {
            return None;
        }
        rank.push((Reverse(arg.index), class, order));
    }
    rank.sort_by_key(|(index, ..)| Reverse(*index));
    Some((!rank.is_empty(), rank))
}

pub(super) fn action_of(name: &str, errno: Option<u32>) -> u32 {
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x3_0000,
        "SCMP_ACT_ERRNO" => 0x5_0000 | errno.unwrap_or(1),
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno.unwrap_or(1),
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        _ => panic!("{name}"),
    }
}
