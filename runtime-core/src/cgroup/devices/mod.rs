//! Which devices a container may use: the rules of `linux.resources.devices` and those that every
//! container gets. The last rule that fits decides, for each kind of access by itself; what no rule
//! fits is denied.

pub(super) mod filter;
pub(super) mod list;
mod program;

use super::Error;
use crate::config::{DeviceRule, Resources};

/// Kinds of devices and of access, as the kernel numbers them; they combine as bits.
const BLOCK: u8 = 1;
const CHAR: u8 = 2;
const MKNOD: u8 = 1;
const READ: u8 = 2;
const WRITE: u8 = 4;
const ANY_KIND: u8 = BLOCK | CHAR;
const ANY_ACCESS: u8 = MKNOD | READ | WRITE;

/// The most rules there may be: the length of the program stays within the reach of a jump.
const MAX_RULES: usize = 4096;

/// One rule; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    allow: bool,
    kinds: u8,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

impl Rule {
    const fn allow(kinds: u8, major: Option<u32>, minor: Option<u32>, access: u8) -> Self {
        Self { allow: true, kinds, major, minor, access }
    }

    fn is_for_everything(&self) -> bool {
        self.kinds == ANY_KIND && self.is_for_any_number() && self.access == ANY_ACCESS
    }

    /// Whether this rule fits whatever the other one fits, as far as the kind of device goes.
    fn covers(&self, other: &Self) -> bool {
        let covers = |mine: Option<u32>, other| mine.is_none() || mine == other;
        covers(self.major, other.major) && covers(self.minor, other.minor) && other.access & !self.access == 0
    }

    fn is_for_any_number(&self) -> bool {
        self.major.is_none() && self.minor.is_none()
    }
}

/// What every container may do, whatever its config says: make any node (the node is of no use without
/// the right to read or write it), use the default devices and its own terminals.
const DEFAULTS: [Rule; 9] = [
    Rule::allow(ANY_KIND, None, None, MKNOD),
    Rule::allow(CHAR, Some(1), Some(3), ANY_ACCESS), // null
    Rule::allow(CHAR, Some(1), Some(5), ANY_ACCESS), // zero
    Rule::allow(CHAR, Some(1), Some(7), ANY_ACCESS), // full
    Rule::allow(CHAR, Some(1), Some(8), ANY_ACCESS), // random
    Rule::allow(CHAR, Some(1), Some(9), ANY_ACCESS), // urandom
    Rule::allow(CHAR, Some(5), Some(0), ANY_ACCESS), // tty
    Rule::allow(CHAR, Some(5), Some(2), ANY_ACCESS), // ptmx
    Rule::allow(CHAR, Some(136), None, ANY_ACCESS),  // pts/*
];

/// All rules of a container, in order.
pub(super) fn rules(resources: &Resources) -> Result<Vec<Rule>, Error> {
    let count = resources.devices.len() + DEFAULTS.len();
    if count > MAX_RULES {
        let reason =
            format!("{count} device rules are more than {MAX_RULES}, those of every container included");
        return Err(Error::Value { pointer: "/linux/resources/devices".into(), reason });
    }
    let configured = resources.devices.iter().enumerate().map(|(index, rule)| parse(index, rule));
    configured.chain(DEFAULTS.into_iter().map(Ok)).collect()
}

fn parse(index: usize, rule: &DeviceRule) -> Result<Rule, Error> {
    let invalid = |field: &str, reason: String| Error::Value {
        pointer: format!("/linux/resources/devices/{index}/{field}"),
        reason,
    };
    let kinds = match rule.typ.as_deref() {
        None | Some("a") => ANY_KIND,
        Some("b") => BLOCK,
        Some("c") => CHAR,
        Some(other) => return Err(invalid("type", format!("{other:?} is none of a, b, c"))),
    };
    let number = |field, number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| invalid(field, format!("{number} is not a device number"))),
    };
    let mut access = 0;
    for letter in rule.access.as_deref().unwrap_or("rwm").chars() {
        access |= match letter {
            'r' => READ,
            'w' => WRITE,
            'm' => MKNOD,
            'a' => 0,
            _ => return Err(invalid("access", format!("{letter:?} is none of r, w, m"))),
        };
    }
    let (major, minor) = (number("major", rule.major)?, number("minor", rule.minor)?);
    Ok(Rule { allow: rule.allow, kinds, major, minor, access })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the rules say, looked at one bit of access at a time.
    pub(super) fn verdict(rules: &[Rule], kind: u8, major: u32, minor: u32, access: u8) -> bool {
        [MKNOD, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
            let fits = |rule: &&Rule| {
                rule.kinds & kind != 0
                    && rule.major.is_none_or(|number| number == major)
                    && rule.minor.is_none_or(|number| number == minor)
                    && rule.access & bit != 0
            };
            rules.iter().rev().find(fits).is_some_and(|rule| rule.allow)
        })
    }

    /// Small numbers in no order, the same in each run.
    pub(super) struct Random(pub(super) u64);

    impl Random {
        pub(super) fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }

        fn number(&mut self) -> Option<u32> {
            [None, Some(1), Some(2), Some(3), Some(4095), Some(0x000f_ffff)][self.below(6) as usize]
        }

        pub(super) fn rules(&mut self) -> Vec<Rule> {
            let count = self.below(9);
            let mut rules: Vec<_> = (0..count)
                .map(|_| Rule {
                    allow: self.below(2) == 0,
                    kinds: 1 + self.below(3) as u8,
                    major: self.number(),
                    minor: self.number(),
                    access: 1 + self.below(7) as u8,
                })
                .collect();
            if self.below(2) == 0 {
                rules.extend(DEFAULTS);
            }
            rules
        }
    }

    /// Every request that can make a difference to the rules of [`Random::rules`].
    pub(super) fn requests() -> impl Iterator<Item = (u8, u32, u32, u8)> {
        let numbers = [0, 1, 2, 3, 5, 136, 4095, 0x000f_ffff];
        [BLOCK, CHAR].into_iter().flat_map(move |kind| {
            numbers.into_iter().flat_map(move |major| {
                numbers.into_iter().flat_map(move |minor| {
                    (1..=ANY_ACCESS).map(move |access| (kind, major & 0xfff, minor, access))
                })
            })
        })
    }

    #[test]
    fn config_rules_come_before_the_defaults() {
        let rule = DeviceRule { allow: false, access: Some("rwm".into()), ..DeviceRule::default() };
        let resources = Resources { devices: vec![rule], ..Resources::default() };
        let rules = rules(&resources).unwrap();
        assert!(rules[0].is_for_everything() && !rules[0].allow);
        assert!(verdict(&rules, CHAR, 1, 3, READ | WRITE));
        assert!(verdict(&rules, BLOCK, 8, 0, MKNOD));
        assert!(!verdict(&rules, BLOCK, 8, 0, READ));
        assert!(!verdict(&rules, CHAR, 10, 200, READ | WRITE));
    }

    #[test]
    fn a_letter_without_effect_is_passed_over() {
        let rule = DeviceRule { access: Some("rwa".into()), ..DeviceRule::default() };
        assert_eq!(parse(0, &rule).unwrap().access, READ | WRITE);
    }

    #[test]
    fn bad_rules_are_named() {
        let bad = |typ: &str, major, access: &str| DeviceRule {
            allow: true,
            typ: Some(typ.into()),
            major: Some(major),
            minor: None,
            access: Some(access.into()),
        };
        for (rule, field) in [
            (bad("x", 1, "r"), "type"),
            (bad("c", -2, "r"), "major"),
            (bad("c", 1 << 32, "r"), "major"),
            (bad("c", 1, "rx"), "access"),
        ] {
            let error = parse(3, &rule).unwrap_err();
            assert_eq!(error.pointer(), Some(format!("/linux/resources/devices/3/{field}").as_str()));
        }
    }
}
