//! The devices controller of version 1: a verdict for everything, and a list of exceptions to it.

use nix::fcntl::OFlag;
use nix::unistd::write;

use super::{BLOCK, CHAR, MKNOD, READ, Rule, WRITE};
use crate::cgroup::Error;
use crate::cgroup::dir::Dir;

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

/// Devices of one kind to which the general verdict does not apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Exception {
    kind: u8,
    major: Option<u32>,
    minor: Option<u32>,
    access: u8,
}

impl Exception {
    fn of(rule: &Rule, kind: u8) -> Self {
        Self { kind, major: rule.major, minor: rule.minor, access: rule.access }
    }

    fn covers(&self, other: &Self) -> bool {
        let covers = |mine: Option<u32>, other| mine.is_none() || mine == other;
        self.kind == other.kind && covers(self.major, other.major) && covers(self.minor, other.minor)
    }

    fn overlaps(&self, other: &Self) -> bool {
        let overlaps =
            |mine: Option<u32>, other: Option<u32>| mine.is_none() || other.is_none() || mine == other;
        self.kind == other.kind
            && overlaps(self.major, other.major)
            && overlaps(self.minor, other.minor)
            && self.access & other.access != 0
    }

    /// As the kernel reads and shows it.
    fn line(&self) -> String {
        let number = |number: Option<u32>| number.map_or("*".to_owned(), |number| number.to_string());
        let mut line = format!(
            "{} {}:{} ",
            if self.kind == CHAR { 'c' } else { 'b' },
            number(self.major),
            number(self.minor)
        );
        for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
            if self.access & bit != 0 {
                line.push(letter);
            }
        }
        line
    }
}

/// The general verdict, and the exceptions to it.
#[derive(Debug, Default)]
struct List {
    allow: bool,
    exceptions: Vec<Exception>,
}

impl List {
    fn new(rules: &[Rule]) -> Result<Self, Error> {
        let mut list = Self::default();
        for rule in rules {
            if rule.is_for_everything() {
                list = Self { allow: rule.allow, exceptions: Vec::new() };
                continue;
            }
            for kind in [CHAR, BLOCK].into_iter().filter(|kind| rule.kinds & kind != 0) {
                let exception = Exception::of(rule, kind);
                if rule.allow == list.allow { list.take_back(exception)? } else { list.add(exception) }
            }
        }
        list.simplify();
        Ok(list)
    }

    fn add(&mut self, new: Exception) {
        match self.exceptions.iter_mut().find(|old| old.covers(&new) && new.covers(old)) {
            Some(old) => old.access |= new.access,
            None => self.exceptions.push(new),
        }
    }

    /// Applies the general verdict again. The kernel cannot except a device from an exception.
    fn take_back(&mut self, back: Exception) -> Result<(), Error> {
        for old in &mut self.exceptions {
            if back.covers(old) {
                old.access &= !back.access;
            } else if back.overlaps(old) {
                let reason = format!(
                    "cgroup v1 cannot apply {:?} after the wider rule {:?}; list single devices instead",
                    back.line(),
                    old.line()
                );
                return Err(Error::Value { pointer: "/linux/resources/devices".into(), reason });
            }
        }
        self.exceptions.retain(|old| old.access != 0);
        Ok(())
    }

    /// One exception has to cover all of a request, so a narrow one repeats what wider ones say of reading and writing, which are
    /// asked for together; one that says no more than a wider one is left out.
    fn simplify(&mut self) {
        let all = self.exceptions.clone();
        for exception in &mut self.exceptions {
            let wider = all.iter().filter(|other| other.covers(exception) && !exception.covers(other));
            let access = wider.fold(0, |access, other| access | other.access);
            exception.access =
                if exception.access & !access == 0 { 0 } else { exception.access | access & (READ | WRITE) };
        }
        self.exceptions.retain(|exception| exception.access != 0);
    }

    /// The exceptions, one line each.
    fn lines(&self) -> impl Iterator<Item = String> {
        self.exceptions.iter().map(Exception::line)
    }
}

/// Applies the rules to a cgroup of the devices hierarchy.
pub(in crate::cgroup) fn apply(dir: &Dir, rules: &[Rule]) -> Result<(), Error> {
    let list = List::new(rules)?;
    let (general, exceptions) = if list.allow { (ALLOW, DENY) } else { (DENY, ALLOW) };
    let refused = |file: &str, value: &str, errno| Error::Limit {
        pointer: "/linux/resources/devices".into(),
        path: dir.path().join(file),
        value: value.into(),
        errno,
    };
    let file = dir.open(general, OFlag::O_WRONLY)?;
    write(&file, b"a").map_err(|errno| refused(general, "a", errno))?;
    let file = dir.open(exceptions, OFlag::O_WRONLY)?;
    for line in list.lines() {
        write(&file, line.as_bytes()).map_err(|errno| refused(exceptions, &line, errno))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Random, requests, verdict};
    use super::super::{ANY_ACCESS, ANY_KIND, DEFAULTS};
    use super::*;

    /// The kernel's decision by such a list.
    fn kernel(list: &List, kind: u8, major: u32, minor: u32, access: u8) -> bool {
        let asked = Exception { kind, major: Some(major), minor: Some(minor), access };
        if list.allow {
            !list.exceptions.iter().any(|old| old.covers(&asked) && old.access & access != 0)
        } else {
            list.exceptions.iter().any(|old| old.covers(&asked) && access & !old.access == 0)
        }
    }

    #[test]
    fn defaults() {
        let list = List::new(&DEFAULTS).unwrap();
        let lines: Vec<_> = list.lines().collect();
        assert!(!list.allow);
        assert_eq!(lines[..3], ["c *:* m", "b *:* m", "c 1:3 rwm"]);
        assert_eq!(lines.len(), 10);
    }

    /// Nobody asks for mknod(2) and reading at once.
    #[test]
    fn a_narrow_rule_does_not_repeat_the_right_to_make_nodes() {
        let narrow = Rule::allow(BLOCK, Some(8), Some(20), READ | WRITE);
        let list = List::new(&[[narrow].as_slice(), &DEFAULTS].concat()).unwrap();
        assert_eq!(list.lines().next().unwrap(), "b 8:20 rw");
    }

    #[test]
    fn the_kernel_decides_as_the_rules_say() {
        let mut random = Random(7);
        let mut compared = 0;
        for _ in 0..2_000 {
            let rules = random.rules();
            let Ok(list) = List::new(&rules) else { continue };
            compared += 1;
            for (kind, major, minor, access) in requests() {
                let decision = kernel(&list, kind, major, minor, access);
                let said = verdict(&rules, kind, major, minor, access);
                // Two exceptions that overlap by halves do not add up: then the kernel is stricter.
                assert!(
                    decision == said || (said && access.count_ones() > 1),
                    "{rules:?} {list:?} {kind} {major}:{minor} {access}"
                );
            }
        }
        assert!(compared > 500, "{compared}");
    }

    #[test]
    fn narrow_denials_after_wide_permissions_are_refused() {
        let wide = Rule::allow(CHAR, None, None, ANY_ACCESS);
        let narrow = Rule { allow: false, ..Rule::allow(CHAR, Some(1), Some(3), WRITE) };
        let error = List::new(&[wide, narrow]).unwrap_err().to_string();
        assert!(error.contains("\"c 1:3 w\"") && error.contains("\"c *:* rwm\""), "{error}");
        let everything = Rule::allow(ANY_KIND, None, None, ANY_ACCESS);
        let list = List::new(&[everything, narrow]).unwrap();
        assert!(list.allow);
        assert_eq!(list.lines().collect::<Vec<_>>(), ["c 1:3 w"]);
    }
}
