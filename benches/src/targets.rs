//! What corten is to reach, beside what was measured.

use std::fmt::{self, Display, Formatter};

use crate::report::{GAP, short, shortened};
use crate::results::{Cell, Pace, Row, Section, Unit};
use crate::subject::{FLOOR, OURS};

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
    /// At most this, or what the floor needs, since nobody can do with less.
    MostOrFloor(f64, Unit),
}

use Bound::{Most, MostOrFloor, Multiple, Share};

/// The builds of crun: the best of them counts.
const CRUN: &[&str] = &["crun", "crun-static"];

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
        "\n## Targets\n\nOf {OURS}, out of the tables of {}; of several builds of a peer the best one counts.\n\n\
         | | target | {OURS} | beside | ratio | met |\n|---|---|--:|--:|--:|---|\n{lines}",
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
        let mut beside = figures(row, self.bound.beside());
        let (beside, met) = match self.bound {
            Share(share, _) => {
                let peer = beside.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
                (Some(peer), ours <= share * peer.1)
            }
            Multiple(times, _) => {
                let peer = beside.max_by(|(_, a), (_, b)| a.total_cmp(b))?;
                (Some(peer), ours >= times * peer.1)
            }
            Most(most, _) => (None, ours <= most),
            MostOrFloor(most, _) => {
                let floor = beside.next();
                (floor, ours <= floor.map_or(most, |(_, floor)| floor.max(most)))
            }
        };
        let (beside, ratio) = match beside {
            Some((name, figure)) => (format!("{name} {}", short(figure)), short(ours / figure)),
            None => (String::new(), String::new()),
        };
        let met = if met { "yes" } else { "**no**" };
        Some(format!("{} {} | {beside} | {ratio} | {met}", short(ours), unit(row.unit)))
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
        format!("{ours} | {GAP} | {GAP} | {}", why.join("; "))
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
    /// The programs whose figures it needs.
    fn beside(&self) -> &'static [&'static str] {
        match self {
            Share(_, peers) | Multiple(_, peers) => peers,
            Most(..) => &[],
            MostOrFloor(..) => &[FLOOR],
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

/// The figures of those programs that have one in a row.
fn figures<'a>(row: &'a Row, names: &'a [&'static str]) -> impl Iterator<Item = (&'static str, f64)> + 'a {
    names.iter().filter_map(|name| Some((*name, row.cells.get(*name)?.number()?)))
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
            ["| exec, back to back | ≤ 0.6 × crun | 1.20 ms | crun-static 2.00 | 0.60 | yes |"]
        );
        assert_eq!(
            lines(&[&fast], "run, 8"),
            ["| run, 8 at once | ≥ 1.8 × crun | 400 /s | crun-static 200 | 2.00 | yes |"]
        );
        assert_eq!(
            lines(&[&section(None, json!([exec(1.3)]))], "exec, back"),
            ["| exec, back to back | ≤ 0.6 × crun | 1.30 ms | crun-static 2.00 | 0.65 | **no** |"]
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
                "| lowest memory limit that runs true (cgroup version 2, there) | ≤ 128 KiB, or the floor's | 176 KiB | floor 176 | 1.00 | yes |"
            ]
        );
        assert_eq!(
            lines(&[&first, &second], "state, with"),
            ["| state, with rest | ≤ 0.3 × crun | – | – | – | –, not measured |"]
        );
        let missed = lines(&[&section(None, json!([limit(192.0, 176.0)]))], "lowest");
        assert!(missed.iter().all(|line| line.ends_with("**no** |")), "{missed:?}");
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
                r"| state, with rest | ≤ 0.3 × crun | 1.00 ms | – | – | –, not measured; crun: no hybrid\|here |"
            ]
        );
        let all = table(&[&section]);
        assert_eq!(all.lines().filter(|line| line.contains(['≤', '≥'])).count(), TARGETS.len());
    }
}
