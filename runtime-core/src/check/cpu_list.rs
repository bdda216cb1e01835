//! Lists of CPUs or memory nodes, such as `0-3,7`, as the kernel reads them.

use std::fmt::Display;

use super::report::{Report, quote};

/// The largest number: more processors or nodes than any kernel has.
const LARGEST: usize = 65_535;

pub(super) fn check(pointer: impl Display, list: &str, report: &mut Report) {
    if ranges(list).is_none() {
        report
            .error(pointer, format!("{} is not a list of numbers and ranges", quote(list)))
            .hint("a list looks like 0-3,7");
    }
}

/// The list as the kernel takes sets: one bit for each number, in words of eight bytes.
pub(crate) fn bits(list: &str) -> Vec<u8> {
    let mut bits = Vec::new();
    for number in ranges(list).unwrap_or_default().iter().flat_map(Range::numbers) {
        if bits.len() <= number / 8 {
            bits.resize((number / 64 + 1) * 8, 0);
        }
        if let Some(byte) = bits.get_mut(number / 8) {
            *byte |= 1_u8 << (number % 8);
        }
    }
    bits
}

/// `N`, `N-M`, or `N-M:used/group`: the first `used` of each `group` in the range.
struct Range {
    first: usize,
    last: usize,
    used: usize,
    group: usize,
}

impl Range {
    fn numbers(&self) -> impl Iterator<Item = usize> + '_ {
        (self.first..=self.last).filter(|number| (number - self.first) % self.group < self.used)
    }
}

fn ranges(list: &str) -> Option<Vec<Range>> {
    list.split(',').map(str::trim).filter(|range| !range.is_empty()).map(range).collect()
}

fn range(text: &str) -> Option<Range> {
    let (range, stride) = text.split_once(':').map_or((text, None), |(range, stride)| (range, Some(stride)));
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let (first, last) = (number(first)?, number(last)?);
    let (used, group) = match stride {
        Some(stride) => {
            stride.split_once('/').and_then(|(used, group)| Some((number(used)?, number(group)?)))?
        }
        None => (1, 1),
    };
    (first <= last && used <= group && group > 0).then_some(Range { first, last, used, group })
}

fn number(text: &str) -> Option<usize> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| digits && *number <= LARGEST)
}

#[cfg(test)]
mod tests {
    use super::{Report, bits, check};

    #[test]
    fn lists() {
        for (list, good) in [
            ("0", true),
            ("0-3,7", true),
            ("0-1, 2", true),
            ("0-10:1/2", true),
            ("0,", true),
            ("3-0", false),
            ("a", false),
            ("1-", false),
            ("-1", false),
            ("+1", false),
            ("0-3:2", false),
            ("0-3:0/0", false),
            ("65536", false),
            ("99999999999", false),
        ] {
            let mut report = Report::default();
            check("", list, &mut report);
            assert_eq!(report.findings.is_empty(), good, "{list:?}");
        }
    }

    #[test]
    fn sets() {
        assert_eq!(bits("0-2,7"), [0x87, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bits("0-10:1/4"), [0x11, 0x1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(bits("64").len(), 16);
        assert!(bits("").is_empty());
    }
}
