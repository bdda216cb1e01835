//! What corten is to reach, beside what was measured.

use std::fmt::{self, Display, Formatter};

use crate::report::{GAP, short, shortened};
use crate::results::{Cell, Pace, Row, Section, Unit};
use crate::subject::{BARE_FLOOR, FLOOR, OURS};

/// One of them: a figure of corten's in a row, and what it is held against.
struct Target {
    row: &'static str,
    pace: Option<Pace>,
    bound: Bound,
}

enum Bound {
    /// At most this share of the least figure of these programs.
    Share(f64, &'static [&'static str]),
    /// At least so many times the greatest figure of these programs.
    Multiple(f64, &'static [&'static str]),
    /// At most this.
    Most(f64, Unit),
    /// At most this, or what the better floor needs, since nobody can do with less.
    MostOrFloor(f64, Unit),
}

use Bound::{Most, MostOrFloor, Multiple, Share};

/// The builds of crun: the best of them counts.
const CRUN: &[&str] = &["crun", "crun-static"];

/// The builds of the floor: the best of them is what the kernel asks.
const FLOORS: &[&str] = &[FLOOR, BARE_FLOOR];

const TIGHT: Option<Pace> = Some(Pace::Tight);
const RESTED: Option<Pace> = Some(Pace::Rested);

const TARGETS: [Target; 17] = [
    target("run", TIGHT, Share(1.15, &[FLOOR])),
    target("run", RESTED, Share(1.15, &[FLOOR])),
    // Without the 10 ms that crun sleeps in `delete --force`; runc's 100 ms are in the figures that its target was made of.
    target("create + start + end + delete", RESTED, Share(0.4, CRUN)),
    target("create + start + delete", RESTED, Share(0.02, &["runc"])),
    target("run, seccomp", TIGHT, Share(0.55, CRUN)),
    target("run, seccomp", RESTED, Share(0.55, CRUN)),
    target("exec", TIGHT, Share(0.6, CRUN)),
    target("exec", RESTED, Share(0.6, CRUN)),
    target("state", TIGHT, Share(0.3, CRUN)),
    target("state", RESTED, Share(0.3, CRUN)),
    target("kill", TIGHT, Share(0.3, CRUN)),
    target("kill", RESTED, Share(0.3, CRUN)),
    target("list, each container", TIGHT, Share(0.65, CRUN)),
    target("each further bind mount", TIGHT, Most(12.0, Unit::Micros)),
    target("run, 8 at once", None, Multiple(1.8, CRUN)),
    target("created: private memory of its processes", None, Most(40.0, Unit::KiB)),
    target("lowest memory limit that runs true", None, MostOrFloor(128.0, Unit::KiB)),
];

const fn target(row: &'static str, pace: Option<Pace>, bound: Bound) -> Target {
    Target { row, pace, bound }
}

/// The table of all targets. A section is asked only for what those before it do not have, and one of another machine
/// only for memory: that one may be emulated, and its times mean nothing here.
pub(crate) fn table(sections: &[&Section]) -> String {
    let Some(first) = sections.first() else { return String::new() };
    let line = |target: &Target| {
        let mut held = sections.iter().filter_map(|section| {
            let row = target.row(section)?;
            let fit = section.place == first.place || row.unit == Unit::KiB;
            Some((section, target.hold(row).filter(|_| fit)?))
        });
        let (elsewhere, line) = match held.next() {
            Some((section, line)) if section.title() != first.title() => {
                (format!(" ({})", section.title()), line)
            }
            Some((_, line)) => (String::new(), line),
            None => (String::new(), target.not_measured(first)),
        };
        let pace = match target.pace {
            Some(Pace::Tight) => ", back to back",
            Some(Pace::Rested) => ", with rest",
            None => "",
        };
        format!("| {}{pace}{elsewhere} | {} | {line} |\n", target.row, target.bound)
    };
    let lines: String = TARGETS.iter().map(line).collect();
    format!(
        "\n## Targets\n\nOf {OURS}, out of the tables of {}; of several builds of a peer the best one counts. *the floor's* is what \
         stands in the place of {OURS}'s ratio, or figure, for the better of {FLOOR} and {BARE_FLOOR}: a target that these miss too asks for \
         less than the kernel's own work takes, done one step after the other.\n\n\
         | | target | {OURS} | beside | ratio | the floor's | met |\n|---|---|--:|--:|--:|--:|---|\n{lines}",
        first.title()
    )
}

impl Target {
    fn row<'a>(&self, section: &'a Section) -> Option<&'a Row> {
        section.rows.iter().find(|row| row.name == self.row && row.pace == self.pace)
    }

    /// What the line says behind the target: the figures, and whether it is met. None where they are lacking.
    fn hold(&self, row: &Row) -> Option<String> {
        let ours = row.cells.get(OURS)?.number()?;
        let beside = match self.bound {
            Most(..) => None,
            MostOrFloor(..) => self.bound.best(row, FLOORS),
            Share(_, peers) | Multiple(_, peers) => Some(self.bound.best(row, peers)?),
        };
        let peer = beside.map(|(_, figure)| figure);
        let floor = self.bound.best(row, FLOORS);
        let met = match floor {
            _ if self.bound.is_met(ours, peer) => "yes",
            Some((_, floor)) if !self.bound.is_met(floor, peer) => self.bound.denied(),
            _ => "**no**",
        };
        let (beside, ratio) = match beside {
            Some((name, figure)) => (format!("{name} {}", short(figure)), short(ours / figure)),
            None => (String::new(), String::new()),
        };
        let floor = floor.map_or_else(
            || GAP.to_owned(),
            |(name, floor)| match (&self.bound, peer) {
                (Share(..) | Multiple(..), Some(peer)) => format!("{} ({name})", short(floor / peer)),
                _ => format!("{} {} ({name})", short(floor), unit(row.unit)),
            },
        );
        Some(format!("{} {} | {beside} | {ratio} | {floor} | {met}", short(ours), unit(row.unit)))
    }

    /// What it says in the place of that: our figure where there is one, and why there is nothing to hold it against.
    fn not_measured(&self, section: &Section) -> String {
        let row = self.row(section);
        let ours = row.and_then(|row| Some((row, row.cells.get(OURS)?.number()?)));
        let ours =
            ours.map_or_else(|| GAP.to_owned(), |(row, ours)| format!("{} {}", short(ours), unit(row.unit)));
        let names = [&[OURS], self.bound.beside()].concat();
        let reasons =
            names.iter().filter_map(|name| Some(format!("{name}: {}", lacking(section, row, name)?)));
        let why: Vec<String> = std::iter::once(format!("{GAP}, not measured")).chain(reasons).collect();
        format!("{ours} | {GAP} | {GAP} | {GAP} | {}", why.join("; "))
    }
}

/// Why a program has no figure, where that is known.
fn lacking(section: &Section, row: Option<&Row>, name: &str) -> Option<String> {
    let refusal = || section.subjects.iter().find(|subject| subject.name == name)?.refusal.as_deref();
    let reason = match row.and_then(|row| row.cells.get(name)) {
        Some(Cell::None(reason)) => reason,
        Some(_) => return None,
        None => refusal()?,
    };
    Some(shortened(reason).replace('|', "\\|"))
}

impl Bound {
    /// The programs whose figures it names.
    fn beside(&self) -> &'static [&'static str] {
        match self {
            Share(_, peers) | Multiple(_, peers) => peers,
            Most(..) => &[],
            MostOrFloor(..) => &[FLOOR],
        }
    }

    /// The best of these programs in a row.
    fn best(&self, row: &Row, names: &'static [&'static str]) -> Option<(&'static str, f64)> {
        let figures = names.iter().filter_map(|name| Some((*name, row.cells.get(*name)?.number()?)));
        match self {
            Multiple(..) => figures.max_by(|(_, a), (_, b)| a.total_cmp(b)),
            _ => figures.min_by(|(_, a), (_, b)| a.total_cmp(b)),
        }
    }

    /// Whether a figure reaches it, beside that of the best peer.
    fn is_met(&self, figure: f64, peer: Option<f64>) -> bool {
        match (self, peer) {
            (Share(share, _), Some(peer)) => figure <= share * peer,
            (Multiple(times, _), Some(peer)) => figure >= times * peer,
            (Share(..) | Multiple(..), None) => false,
            (Most(most, _), _) => figure <= *most,
            (MostOrFloor(most, _), floor) => figure <= floor.map_or(*most, |floor| floor.max(*most)),
        }
    }

    /// What is said of one that no program can reach.
    fn denied(&self) -> &'static str {
        match self {
            Multiple(..) => "no: above the floor itself",
            _ => "no: below the floor itself",
        }
    }
}

impl Display for Bound {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let peer = self.beside().first().copied().unwrap_or_default();
        match self {
            Share(share, _) => write!(f, "≤ {share} × {peer}"),
            Multiple(times, _) => write!(f, "≥ {times} × {peer}"),
            Most(most, of) => write!(f, "≤ {most} {}", unit(*of)),
            MostOrFloor(most, of) => write!(f, "≤ {most} {}, or the {peer}'s", unit(*of)),
        }
    }
}

fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Command | Unit::Part => "ms",
        Unit::KiB => "KiB",
        Unit::PerSecond => "/s",
        Unit::Micros => "µs",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::results::SubjectInfo;

    fn section(place: Option<&str>, rows: Value) -> Section {
        let machine = json!({"kernel": "6", "processors": 2, "memory_mib": 1, "load": [0.0, 0.0]});
        let section = json!({"place": place, "date": "", "machine": machine, "view": "v2", "rounds": 1, "rest_ms": 30.0,
            "subjects": [], "rows": rows});
        serde_json::from_value(section).unwrap()
    }

    fn row(name: &str, pace: Option<&str>, unit: &str, cells: &[(&str, f64)]) -> Value {
        let cells: serde_json::Map<String, Value> =
            cells.iter().map(|(name, number)| ((*name).to_owned(), json!({"number": number}))).collect();
        json!({"name": name, "pace": pace, "unit": unit, "cells": cells})
    }

    /// The lines of the targets that name this row.
    fn lines(sections: &[&Section], row: &str) -> Vec<String> {
        table(sections)
            .lines()
            .filter(|line| line.starts_with(&format!("| {row}")))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_best_build_of_a_peer_counts() {
        let exec =
            |ours| row("exec", Some("tight"), "ms", &[("corten", ours), ("crun", 4.0), ("crun-static", 2.0)]);
        let many =
            row("run, 8 at once", None, "1/s", &[("corten", 400.0), ("crun", 150.0), ("crun-static", 200.0)]);
        let fast = section(None, json!([exec(1.2), many]));
        assert_eq!(
            lines(&[&fast], "exec, back"),
            ["| exec, back to back | ≤ 0.6 × crun | 1.20 ms | crun-static 2.00 | 0.60 | – | yes |"]
        );
        assert_eq!(
            lines(&[&fast], "run, 8"),
            ["| run, 8 at once | ≥ 1.8 × crun | 400 /s | crun-static 200 | 2.00 | – | yes |"]
        );
        assert_eq!(
            lines(&[&section(None, json!([exec(1.3)]))], "exec, back"),
            ["| exec, back to back | ≤ 0.6 × crun | 1.30 ms | crun-static 2.00 | 0.65 | – | **no** |"]
        );
    }

    #[test]
    fn another_machine_may_have_the_memory_and_not_the_times() {
        let limit = |ours, floor| {
            row("lowest memory limit that runs true", None, "KiB", &[("corten", ours), ("floor", floor)])
        };
        let state = row("state", Some("rested"), "ms", &[("corten", 1.0), ("crun", 9.0)]);
        let first = section(None, json!([]));
        let second = section(Some("there"), json!([limit(176.0, 176.0), state]));
        assert_eq!(
            lines(&[&first, &second], "lowest"),
            [
                "| lowest memory limit that runs true (cgroup version 2, there) | ≤ 128 KiB, or the floor's | 176 KiB | floor 176 | 1.00 | 176 KiB (floor) | yes |"
            ]
        );
        assert_eq!(
            lines(&[&first, &second], "state, with"),
            ["| state, with rest | ≤ 0.3 × crun | – | – | – | – | –, not measured |"]
        );
        let missed = lines(&[&section(None, json!([limit(192.0, 176.0)]))], "lowest");
        assert!(missed.iter().all(|line| line.ends_with("**no** |")), "{missed:?}");
    }

    #[test]
    fn what_the_floor_misses_too_is_told_apart() {
        let judged = |row: Value, name: &str| {
            let line = lines(&[&section(None, json!([row]))], name).pop().unwrap();
            line.split_once("| crun 2.00 | ").map_or(line.clone(), |(_, end)| end.to_owned())
        };
        let exec = |ours, floor, bare| {
            let cells = [("corten", ours), ("crun", 2.0), ("floor", floor), ("floor-bare", bare)];
            judged(row("exec", Some("tight"), "ms", &cells), "exec, back")
        };
        assert_eq!(exec(1.6, 1.5, 1.3), "0.80 | 0.65 (floor-bare) | no: below the floor itself |");
        assert_eq!(exec(1.6, 1.5, 1.1), "0.80 | 0.55 (floor-bare) | **no** |");
        assert_eq!(exec(1.1, 1.2, 1.3), "0.55 | 0.60 (floor) | yes |");
        assert_eq!(exec(1.1, 1.3, 1.4), "0.55 | 0.65 (floor) | yes |");
        let many = |floor, bare| {
            let cells = [("corten", 3.0), ("crun", 2.0), ("floor", floor), ("floor-bare", bare)];
            judged(row("run, 8 at once", None, "1/s", &cells), "run, 8")
        };
        assert_eq!(many(3.5, 3.4), "1.50 | 1.75 (floor) | no: above the floor itself |");
        assert_eq!(many(3.5, 3.6), "1.50 | 1.80 (floor-bare) | **no** |");
        let bind = |floor| {
            let cells = [("corten", 13.0), ("crun", 18.0), ("floor", floor)];
            judged(row("each further bind mount", Some("tight"), "us", &cells), "each further")
        };
        let line =
            |end| format!("| each further bind mount, back to back | ≤ 12 µs | 13.0 µs |  |  | {end} |");
        assert_eq!(bind(5.0), line("5.00 µs (floor) | **no**"));
        assert_eq!(bind(12.5), line("12.5 µs (floor) | no: below the floor itself"));
    }

    #[test]
    fn the_lowest_limit_is_held_against_the_better_floor() {
        let limit = |ours, floor, bare| {
            let cells = [("corten", ours), ("floor", floor), ("floor-bare", bare)];
            let row = row("lowest memory limit that runs true", None, "KiB", &cells);
            lines(&[&section(None, json!([row]))], "lowest").pop().unwrap()
        };
        assert!(
            limit(176.0, 180.0, 172.0).ends_with("| floor-bare 172 | 1.02 | 172 KiB (floor-bare) | **no** |")
        );
        assert!(limit(172.0, 180.0, 172.0).ends_with("| yes |"));
        assert!(limit(128.0, 120.0, 120.0).ends_with("| yes |"));
    }

    #[test]
    fn what_was_not_measured_is_told_with_its_reason() {
        let state = row("state", Some("rested"), "ms", &[("corten", 1.0)]);
        let mut section = section(None, json!([state]));
        let refusal = Some("no hybrid|here".to_owned());
        section.subjects.push(SubjectInfo { name: "crun".into(), version: String::new(), refusal });
        assert_eq!(
            lines(&[&section], "state, with"),
            [
                r"| state, with rest | ≤ 0.3 × crun | 1.00 ms | – | – | – | –, not measured; crun: no hybrid\|here |"
            ]
        );
        let all = table(&[&section]);
        assert_eq!(all.lines().filter(|line| line.contains(['≤', '≥'])).count(), TARGETS.len());
    }
}
