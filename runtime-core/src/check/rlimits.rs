//! `/process/rlimits`, and the names of resource limits.

use std::collections::BTreeSet;

use super::report::{Report, quote};
use crate::config::Rlimit;

/// Names in the order of their numbers.
const NAMES: [&str; 16] = [
    "RLIMIT_CPU",
    "RLIMIT_FSIZE",
    "RLIMIT_DATA",
    "RLIMIT_STACK",
    "RLIMIT_CORE",
    "RLIMIT_RSS",
    "RLIMIT_NPROC",
    "RLIMIT_NOFILE",
    "RLIMIT_MEMLOCK",
    "RLIMIT_AS",
    "RLIMIT_LOCKS",
    "RLIMIT_SIGPENDING",
    "RLIMIT_MSGQUEUE",
    "RLIMIT_NICE",
    "RLIMIT_RTPRIO",
    "RLIMIT_RTTIME",
];

/// The number of a resource limit, for setrlimit(2).
pub fn parse_rlimit(name: &str) -> Option<u8> {
    NAMES.iter().position(|known| *known == name).and_then(|number| u8::try_from(number).ok())
}

/// The name of a resource limit.
pub fn rlimit_name(number: u32) -> Option<&'static str> {
    NAMES.get(number as usize).copied()
}

pub(super) fn check(rlimits: &[Rlimit], at: &str, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, limit) in rlimits.iter().enumerate() {
        if parse_rlimit(&limit.typ).is_none() {
            report
                .error(
                    format_args!("{at}/{index}/type"),
                    format!("{} is not a resource limit", quote(&limit.typ)),
                )
                .hint(format!("one of {}", NAMES.join(", ")));
        }
        if !seen.insert(&limit.typ) {
            report.error(format_args!("{at}/{index}/type"), format!("{} is set twice", quote(&limit.typ)));
        }
        if limit.soft > limit.hard {
            report.error(
                format_args!("{at}/{index}/soft"),
                format!("the soft limit {} is above the hard limit {}", limit.soft, limit.hard),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_rlimit;

    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(parse_rlimit("RLIMIT_NOFILE"), u8::try_from(libc::RLIMIT_NOFILE).ok());
        assert_eq!(parse_rlimit("RLIMIT_RTTIME"), u8::try_from(libc::RLIMIT_RTTIME).ok());
        assert_eq!(parse_rlimit("RLIMIT_MEMLOCK"), u8::try_from(libc::RLIMIT_MEMLOCK).ok());
        assert_eq!(parse_rlimit("NOFILE"), None);
    }
}
