//! A profile, checked: its names turned into the kernel's numbers and the library's tables.

use super::arch::{Arch, Syscall, find_syscall};
use super::error::{Error, Fault};
use super::{Options, action, flag};
use crate::config;

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
    pub(super) notify: bool,
    pub(super) warnings: Vec<Error>,
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
    pub(super) fn read(config: &config::Seccomp, options: &Options) -> Result<Profile, Error> {
        let default = match read_action(&config.default_action) {
            Ok(action::NOTIFY) => Err(Fault::NotifyDefault),
            read => read,
        };
        let default = default.map_err(at("/defaultAction"))?;
        let mut profile = Profile {
            default: with_errno(default, &config.default_action, config.default_errno_ret)
                .map_err(at("/defaultErrnoRet"))?,
            arches: read_arches(&config.architectures, options.native)?,
            rules: Vec::with_capacity(config.syscalls.len()),
            flags: 0,
            notify: false,
            warnings: Vec::new(),
        };
        for (index, rule) in config.syscalls.iter().enumerate() {
            profile.read_rule(rule, index, options.strict)?;
        }
        if profile.notify && config.listener_path.is_none() {
            return Err(at("/listenerPath")(Fault::NoListener));
        }
        profile.flags = read_flags(config.flags.as_deref(), profile.notify)?;
        Ok(profile)
    }

    fn read_rule(&mut self, rule: &config::Syscall, index: usize, strict: bool) -> Result<(), Error> {
        let kind = read_action(&rule.action).map_err(|f| at(&format!("/syscalls/{index}/action"))(f))?;
        let action = with_errno(kind, &rule.action, rule.errno_ret)
            .map_err(|f| at(&format!("/syscalls/{index}/errnoRet"))(f))?;
        self.notify |= kind == action::NOTIFY;
        let mut calls = Vec::with_capacity(rule.names.len());
        for (position, name) in rule.names.iter().enumerate() {
            let wrong = match find_syscall(name) {
                _ if kind == action::NOTIFY && name == "write" => Fault::NotifyWrite,
                Some(call) => {
                    calls.push(call);
                    continue;
                }
                None => Fault::UnknownSyscall(name.clone()),
            };
            let warn = !strict && matches!(wrong, Fault::UnknownSyscall(_));
            let error = at(&format!("/syscalls/{index}/names/{position}"))(wrong);
            if !warn {
                return Err(error);
            }
            self.warnings.push(error);
        }
        let alternatives = read_conditions(&rule.args, index)?;
        self.rules.push(Rule { calls, action, alternatives });
        Ok(())
    }
}

/// Places a fault in the config.
fn at(path: &str) -> impl FnOnce(Fault) -> Error {
    move |fault| Error { pointer: format!("/linux/seccomp{path}"), fault }
}

fn read_action(name: &str) -> Result<u32, Fault> {
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => action::KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => action::KILL_PROCESS,
        "SCMP_ACT_TRAP" => action::TRAP,
        "SCMP_ACT_ERRNO" => action::ERRNO,
        "SCMP_ACT_NOTIFY" => action::NOTIFY,
        "SCMP_ACT_TRACE" => action::TRACE,
        "SCMP_ACT_LOG" => action::LOG,
        "SCMP_ACT_ALLOW" => action::ALLOW,
        _ => return Err(Fault::UnknownAction(name.to_owned())),
    })
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

fn read_arches(names: &[String], native: Arch) -> Result<Vec<Arch>, Error> {
    let mut arches = vec![native];
    for (index, name) in names.iter().enumerate() {
        let Some(arch) = Arch::from_name(name) else {
            let unknown = Fault::UnknownArchitecture(name.clone());
            return Err(at(&format!("/architectures/{index}"))(unknown));
        };
        if !arches.contains(&arch) {
            arches.push(arch);
        }
    }
    Ok(arches)
}

fn read_flags(names: Option<&[String]>, notify: bool) -> Result<u32, Error> {
    let mut flags = if notify { flag::NEW_LISTENER } else { 0 };
    // A filter without this one turns speculation off: slow, and of no use against a container's own code.
    let Some(names) = names else { return Ok(flags | flag::SPEC_ALLOW) };
    for (index, name) in names.iter().enumerate() {
        flags |= match name.as_str() {
            // With a listener the kernel wants to report a failure to synchronise as ESRCH.
            "SECCOMP_FILTER_FLAG_TSYNC" if notify => flag::TSYNC | flag::TSYNC_ESRCH,
            "SECCOMP_FILTER_FLAG_TSYNC" => flag::TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
            // The kernel refuses it without a listener, for which it would have no meaning.
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" if notify => flag::WAIT_KILLABLE_RECV,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => 0,
            _ => return Err(at(&format!("/flags/{index}"))(Fault::UnknownFlag(name.clone()))),
        };
    }
    Ok(flags)
}

/// All conditions must hold; but where two are on the same argument, any one of all.
fn read_conditions(args: &[config::SyscallArg], rule: usize) -> Result<Vec<Vec<Condition>>, Error> {
    let mut conditions = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        if arg.index >= ARGUMENTS {
            let path = format!("/syscalls/{rule}/args/{index}/index");
            return Err(at(&path)(Fault::ArgumentIndex(arg.index)));
        }
        let (op, mask, value) = match arg.op.as_str() {
            "SCMP_CMP_EQ" => (Op::Equal, u64::MAX, arg.value),
            "SCMP_CMP_NE" => (Op::NotEqual, u64::MAX, arg.value),
            "SCMP_CMP_LT" => (Op::Less, u64::MAX, arg.value),
            "SCMP_CMP_LE" => (Op::LessEqual, u64::MAX, arg.value),
            "SCMP_CMP_GT" => (Op::Greater, u64::MAX, arg.value),
            "SCMP_CMP_GE" => (Op::GreaterEqual, u64::MAX, arg.value),
            "SCMP_CMP_MASKED_EQ" => (Op::Equal, arg.value, arg.value_two & arg.value),
            _ => {
                let path = format!("/syscalls/{rule}/args/{index}/op");
                return Err(at(&path)(Fault::UnknownOperator(arg.op.clone())));
            }
        };
        conditions.push(Condition { argument: arg.index, op, mask, value });
    }
    conditions.sort_by_key(|condition| condition.argument);
    let repeated = conditions.windows(2).any(|two| matches!(two, [a, b] if a.argument == b.argument));
    Ok(if repeated { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] })
}
