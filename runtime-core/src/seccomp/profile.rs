//! A profile, checked: its names turned into the kernel's numbers and the library's tables.

use std::fmt::Display;

use super::arch::{Arch, Syscall};
use super::error::{Error, Fault};
use super::search::Search;
use super::{action, flag};
use crate::config;

/// The actions by their names in a profile.
pub(crate) const ACTIONS: [(&str, u32); 9] = [
    ("SCMP_ACT_ALLOW", action::ALLOW),
    ("SCMP_ACT_ERRNO", action::ERRNO),
    ("SCMP_ACT_KILL", action::KILL_THREAD),
    ("SCMP_ACT_KILL_PROCESS", action::KILL_PROCESS),
    ("SCMP_ACT_KILL_THREAD", action::KILL_THREAD),
    ("SCMP_ACT_LOG", action::LOG),
    ("SCMP_ACT_NOTIFY", action::NOTIFY),
    ("SCMP_ACT_TRACE", action::TRACE),
    ("SCMP_ACT_TRAP", action::TRAP),
];

/// The flags by their names in a profile.
pub(crate) const FLAGS: [(&str, u32); 4] = [
    ("SECCOMP_FILTER_FLAG_TSYNC", flag::TSYNC),
    ("SECCOMP_FILTER_FLAG_LOG", flag::LOG),
    ("SECCOMP_FILTER_FLAG_SPEC_ALLOW", flag::SPEC_ALLOW),
    ("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", flag::WAIT_KILLABLE_RECV),
];

/// The operators by their names in a profile. A masked comparison gives its mask in the place of the value.
const OPERATORS: [(&str, Op); 7] = [
    ("SCMP_CMP_EQ", Op::Equal),
    ("SCMP_CMP_GE", Op::GreaterEqual),
    ("SCMP_CMP_GT", Op::Greater),
    ("SCMP_CMP_LE", Op::LessEqual),
    ("SCMP_CMP_LT", Op::Less),
    (MASKED_EQUAL, Op::Equal),
    ("SCMP_CMP_NE", Op::NotEqual),
];

const MASKED_EQUAL: &str = "SCMP_CMP_MASKED_EQ";

/// The names of the operators.
pub(crate) fn operators() -> impl Iterator<Item = &'static str> {
    OPERATORS.iter().map(|(name, _)| *name)
}

/// Largest error number that the kernel returns to a program.
const MAX_ERRNO: u32 = 4095;
const EPERM: u32 = 1;
const ARGUMENTS: u32 = 6;

/// A profile with nothing left to look up.
#[derive(Debug)]
pub(super) struct Profile {
    pub(super) default: u32,
    /// The native one first, each once.
    pub(super) arches: Vec<Arch>,
    pub(super) rules: Vec<Rule>,
    pub(super) flags: u32,
}

/// What a rule does to some system calls.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) calls: Vec<&'static Syscall>,
    pub(super) action: u32,
    /// The rule applies if all conditions of one of these hold.
    pub(super) alternatives: Vec<Vec<Condition>>,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Condition {
    pub(super) argument: u32,
    pub(super) op: Op,
    /// Bits that are compared.
    pub(super) mask: u64,
    pub(super) value: u64,
}

/// A comparison of an argument with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
}

impl Profile {
    /// The profile, and everything that is wrong with it; with faults that are not mere warnings it is of no use.
    pub(super) fn read(config: &config::Seccomp, native: Arch) -> (Profile, Vec<Error>) {
        let mut faults = Faults(Vec::new());
        let default = faults.keep("/defaultAction", read_default(&config.default_action));
        let default = default.and_then(|kind| {
            let value = with_errno(kind, &config.default_action, config.default_errno_ret);
            faults.keep("/defaultErrnoRet", value)
        });
        let mut arches = vec![native];
        for (index, name) in config.architectures.iter().enumerate() {
            let known = Arch::from_name(name).ok_or_else(|| Fault::UnknownArchitecture(name.clone()));
            let arch = faults.keep(format_args!("/architectures/{index}"), known);
            arches.extend(arch.filter(|arch| !arches.contains(arch)));
        }
        let rules = config.syscalls.iter().enumerate();
        let rules: Vec<Rule> = rules.map(|(index, rule)| read_rule(rule, index, &mut faults)).collect();
        let notify = super::notifies(config);
        if config.listener_path.is_none() {
            if notify {
                faults.add("/listenerPath", Fault::NoListener);
            }
            if config.listener_metadata.is_some() {
                faults.add("/listenerMetadata", Fault::MetadataUnused);
            }
        }
        let flags = read_flags(config.flags.as_deref(), notify, &mut faults);
        (Profile { default: default.unwrap_or(action::KILL_PROCESS), arches, rules, flags }, faults.0)
    }
}

/// What is wrong, each with its place.
struct Faults(Vec<Error>);

impl Faults {
    fn add(&mut self, at: impl Display, fault: Fault) {
        self.0.push(Error { pointer: format!("/linux/seccomp{at}"), fault });
    }

    fn keep<T>(&mut self, at: impl Display, read: Result<T, Fault>) -> Option<T> {
        read.map_err(|fault| self.add(at, fault)).ok()
    }
}

fn read_rule(rule: &config::Syscall, index: usize, faults: &mut Faults) -> Rule {
    let at = format!("/syscalls/{index}");
    let kind = faults.keep(format_args!("{at}/action"), read_action(&rule.action));
    let action = kind.and_then(|kind| {
        let value = with_errno(kind, &rule.action, rule.errno_ret);
        faults.keep(format_args!("{at}/errnoRet"), value)
    });
    if rule.names.is_empty() {
        faults.add(format_args!("{at}/names"), Fault::NoName);
    }
    let mut calls = Vec::with_capacity(rule.names.len());
    let mut known = Search::<Syscall>::new();
    for (position, name) in rule.names.iter().enumerate() {
        let call = match known.find(name) {
            _ if kind == Some(action::NOTIFY) && name == "write" => Err(Fault::NotifyWrite),
            _ if name.is_empty() => Err(Fault::EmptyName),
            Some(call) => Ok(call),
            None => Err(Fault::UnknownSyscall(name.clone())),
        };
        calls.extend(faults.keep(format_args!("{at}/names/{position}"), call));
    }
    let alternatives = read_conditions(&rule.args, &at, faults);
    Rule { calls, action: action.unwrap_or(action::KILL_PROCESS), alternatives }
}

fn read_default(name: &str) -> Result<u32, Fault> {
    match read_action(name)? {
        action::NOTIFY => Err(Fault::NotifyDefault),
        kind => Ok(kind),
    }
}

fn read_action(name: &str) -> Result<u32, Fault> {
    if name.is_empty() {
        return Err(Fault::MissingAction);
    }
    find(&ACTIONS, name).ok_or_else(|| Fault::UnknownAction(name.to_owned()))
}

pub(super) fn find<T: Copy>(table: &[(&str, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// Adds the error number to an action that takes one.
fn with_errno(kind: u32, name: &str, errno: Option<u32>) -> Result<u32, Fault> {
    let most = match kind {
        action::ERRNO => MAX_ERRNO,
        // A tracer gets any 16 bits as its message.
        action::TRACE => u32::from(u16::MAX),
        _ if errno.is_some() => return Err(Fault::ErrnoUnused(name.to_owned())),
        _ => return Ok(kind),
    };
    match errno.unwrap_or(EPERM) {
        value if value <= most => Ok(kind | value),
        value => Err(Fault::ErrnoTooLarge { value, action: name.to_owned(), most }),
    }
}

fn read_flags(names: Option<&[String]>, notify: bool, faults: &mut Faults) -> u32 {
    let mut flags = if notify { flag::NEW_LISTENER } else { 0 };
    // A filter without this one turns speculation off: slow, and of no use against a container's own code.
    let Some(names) = names else { return flags | flag::SPEC_ALLOW };
    for (index, name) in names.iter().enumerate() {
        let known = match find(&FLAGS, name) {
            Some(flag::WAIT_KILLABLE_RECV) if !notify => Err(Fault::FlagUnused(name.clone())),
            known => known.ok_or_else(|| Fault::UnknownFlag(name.clone())),
        };
        let flag = faults.keep(format_args!("/flags/{index}"), known);
        flags |= flag.map_or(0, |flag| flag_bits(flag, notify));
    }
    flags
}

/// A flag as seccomp(2) takes it, beside a listener or without one.
pub(super) fn flag_bits(flag: u32, notify: bool) -> u32 {
    match flag {
        // With a listener the kernel wants to report a failure to synchronise as ESRCH.
        flag::TSYNC if notify => flag::TSYNC | flag::TSYNC_ESRCH,
        // The kernel refuses it without a listener, for which it would have no meaning.
        flag::WAIT_KILLABLE_RECV if !notify => 0,
        flag => flag,
    }
}

/// All conditions must hold; but where two are on the same argument, any one of all.
fn read_conditions(args: &[config::SyscallArg], at: &str, faults: &mut Faults) -> Vec<Vec<Condition>> {
    let mut conditions = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        if arg.index >= ARGUMENTS {
            faults.add(format_args!("{at}/args/{index}/index"), Fault::ArgumentIndex(arg.index));
        }
        let known = find(&OPERATORS, &arg.op).ok_or_else(|| Fault::UnknownOperator(arg.op.clone()));
        let Some(op) = faults.keep(format_args!("{at}/args/{index}/op"), known) else { continue };
        let (mask, value) = if arg.op == MASKED_EQUAL {
            (arg.value, arg.value_two & arg.value)
        } else {
            (u64::MAX, arg.value)
        };
        conditions.push(Condition { argument: arg.index, op, mask, value });
    }
    conditions.sort_by_key(|condition| condition.argument);
    let repeated = conditions.windows(2).any(|two| matches!(two, [a, b] if a.argument == b.argument));
    if repeated { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] }
}
