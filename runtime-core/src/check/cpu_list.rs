//! Lists of CPUs or memory nodes, such as `0-3,7`, as the kernel reads them.

use std::fmt::Display;

use super::report::{Report, quote};

pub(super) fn check(pointer: impl Display, list: &str, report: &mut Report) {
    if !list.split(',').all(|range| range.trim().is_empty() || is_range(range.trim())) {
        report
            .error(pointer, format!("{} is not a list of numbers and ranges", quote(list)))
            .hint("a list looks like 0-3,7");
    }
}

/// `N`, `N-M`, or `N-M:used/group`.
fn is_range(range: &str) -> bool {
    let (range, stride) = match range.split_once(':') {
        Some((range, stride)) => (range, Some(stride)),
        None => (range, None),
    };
    let strides = stride.is_none_or(|stride| {
        stride
            .split_once('/')
            .and_then(|(used, group)| Some(number(used)? <= number(group)?))
            .unwrap_or(false)
    });
    let ordered = match range.split_once('-') {
        Some((first, last)) => number(first).and_then(|first| Some(first <= number(last)?)).unwrap_or(false),
        None => number(range).is_some(),
    };
    strides && ordered
}

fn number(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::{Report, check};

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
            ("99999999999", false),
        ] {
            let mut report = Report::default();
            check("", list, &mut report);
            assert_eq!(report.findings.is_empty(), good, "{list:?}");
        }
    }
}
