//! What corten is to reach, beside what was measured.

use std::fmt::Write;

use crate::report::short;
use crate::results::{Pace, Row, Section, Unit};
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
    /// At most this, in the unit of the row.
    Most(f64),
    /// At most this, or what the floor needs, since nobody can do with less.
    MostOrFloor(f64),
}

use Bound::{Most, MostOrFloor, Multiple, Share};

/// The builds of crun: the best of them counts.
const CRUN: &[&str] = &["crun", "crun-static"];

const TIGHT: Option<Pace> = Some(Pace::Tight);
const RESTED: Option<Pace> = Some(Pace::Rested);

const TARGETS: [Target; 17] = [
    target("run", TIGHT, Share(1.15, &[FLOOR])),
    target("run", RESTED, Share(1.15, &[FLOOR])),
    target("create + start + delete", RESTED, Share(0.4, CRUN)),
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
    target("each further bind mount", TIGHT, Most(12.0)),
    target("run, 8 at once", None, Multiple(1.8, CRUN)),
    target("created: private memory of its processes", None, Most(40.0)),
    target("lowest memory limit that runs true", None, MostOrFloor(128.0)),
];

const fn target(row: &'static str, pace: Option<Pace>, bound: Bound) -> Target {
    Target { row, pace, bound }
}

/// The table of all that were measured. A section is asked only for what those before it do not have.
pub(crate) fn table(sections: &[&Section]) -> String {
    let line = |target: &Target| {
        let mut held = sections
            .iter()
            .enumerate()
            .filter_map(|(place, section)| Some((place, section, target.hold(section)?)));
        let (place, section, line) = held.next()?;
        let pace = match target.pace {
            Some(Pace::Tight) => ", back to back",
            Some(Pace::Rested) => ", with rest",
            None => "",
        };
        let elsewhere = if place == 0 { String::new() } else { format!(" ({})", section.title()) };
        Some(format!("| {}{pace}{elsewhere} | {line} |\n", target.row))
    };
    let lines: String = TARGETS.iter().filter_map(line).collect();
    let mut text = String::new();
    if let (false, Some(first)) = (lines.is_empty(), sections.first()) {
        let _ = write!(
            text,
            "\n## Targets\n\nOf {OURS}, out of the tables of {}; of several builds of a peer the best one counts.\n\n\
             | | target | {OURS} | beside | ratio | met |\n|---|---|--:|--:|--:|---|\n{lines}",
            first.title()
        );
    }
    text
}

impl Target {
    /// What the line says behind its name: the target, the figures, and whether it is met. None where they are lacking.
    fn hold(&self, section: &Section) -> Option<String> {
        let row = section.rows.iter().find(|row| row.name == self.row && row.pace == self.pace)?;
        let ours = row.cells.get(OURS)?.number()?;
        let unit = unit(row.unit);
        let (text, beside, met) = match self.bound {
            Share(share, peers) => {
                let peer = figures(row, peers).min_by(|(_, a), (_, b)| a.total_cmp(b))?;
                (format!("≤ {share} × {}", peers.first()?), Some(peer), ours <= share * peer.1)
            }
            Multiple(times, peers) => {
                let peer = figures(row, peers).max_by(|(_, a), (_, b)| a.total_cmp(b))?;
                (format!("≥ {times} × {}", peers.first()?), Some(peer), ours >= times * peer.1)
            }
            Most(most) => (format!("≤ {most} {unit}"), None, ours <= most),
            MostOrFloor(most) => {
                let floor = figures(row, &[FLOOR]).next();
                let met = ours <= floor.map_or(most, |(_, floor)| floor.max(most));
                (format!("≤ {most} {unit}, or the {FLOOR}'s"), floor, met)
            }
        };
        let (beside, ratio) = match beside {
            Some((name, figure)) => (format!("{name} {}", short(figure)), short(ours / figure)),
            None => (String::new(), String::new()),
        };
        let met = if met { "yes" } else { "**no**" };
        Some(format!("{text} | {} {unit} | {beside} | {ratio} | {met}", short(ours)))
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

    fn lines(sections: &[&Section]) -> Vec<String> {
        table(sections)
            .lines()
            .filter(|line| line.contains('≤') || line.contains('≥'))
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn the_best_build_of_a_peer_counts() {
        let exec =
            |ours| row("exec", Some("tight"), "ms", &[("corten", ours), ("crun", 4.0), ("crun-static", 2.0)]);
        let many =
            row("run, 8 at once", None, "1/s", &[("corten", 400.0), ("crun", 150.0), ("crun-static", 200.0)]);
        assert_eq!(
            lines(&[&section(None, json!([exec(1.2), many]))]),
            [
                "| exec, back to back | ≤ 0.6 × crun | 1.20 ms | crun-static 2.00 | 0.60 | yes |",
                "| run, 8 at once | ≥ 1.8 × crun | 400 /s | crun-static 200 | 2.00 | yes |"
            ]
        );
        let missed = lines(&[&section(None, json!([exec(1.3)]))]);
        assert_eq!(
            missed,
            ["| exec, back to back | ≤ 0.6 × crun | 1.30 ms | crun-static 2.00 | 0.65 | **no** |"]
        );
    }

    #[test]
    fn what_one_section_lacks_another_may_have() {
        let limit = |ours, floor| {
            row("lowest memory limit that runs true", None, "KiB", &[("corten", ours), ("floor", floor)])
        };
        let state = row("state", Some("rested"), "ms", &[("corten", 1.0)]);
        let (first, second) =
            (section(None, json!([state])), section(Some("there"), json!([limit(176.0, 176.0)])));
        assert_eq!(
            lines(&[&first, &second]),
            [
                "| lowest memory limit that runs true (cgroup version 2, there) | ≤ 128 KiB, or the floor's | 176 KiB | floor 176 | 1.00 | yes |"
            ]
        );
        assert!(
            lines(&[&section(None, json!([limit(192.0, 176.0)]))]).iter().all(|line| line.contains("**no**"))
        );
        assert_eq!(table(&[&first]), "");
    }
}
