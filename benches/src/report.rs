//! `results.json`, `RESULTS.md` and `results.svg`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::chart;
use crate::error::{At, Result};
use crate::results::{Cell, Pace, Row, Section, Unit};
use crate::stats::Times;
use crate::subject::{BARE_FLOOR, FLOOR, LIBRARY, OURS};
use crate::targets;
use crate::view::View;

const INTRODUCTION: &str = "\
# Results

Written by `make bench` (`benches/run`). *floor* is a C program that does the least kernel work for the same container, with
neither config nor state, *floor-bare* the same without a C library. Its `create` is a `run` that waits at a FIFO before its last
step, its `start` writes to that; `delete` kills the process, waits for its end, and removes the cgroup; for `state` and `kill` it only
starts and ends; of each container its `list` reads a file with a process, and looks whether that is there. The filter of the seccomp
profile it finds compiled.

`create`, `start` and `delete --force` are of a container that sleeps; `run` and `exec` run `true` to its end. In `delete --force` crun
sleeps 10 ms and runc 100 ms, to let the payload end; `create + start + end + delete` has no such sleep: the payload is `true`, its end is
waited for outside the time, `delete` is plain. A sum is that of its commands' own times; with rest, each of them has had its own.

Times are milliseconds of whole commands as their caller sees them: median (minimum, 95th percentile). The programs take turns in
one run, so that ratios can be trusted more than the absolute figures of a machine that has other work.
";

/// Writes all three into a directory: what was measured, and in the report `also` what other machines have.
pub(crate) fn write(dir: &Path, measured: &[Section], also: &[Section]) -> Result<()> {
    fs::create_dir_all(dir).at(dir)?;
    let mut text = INTRODUCTION.to_owned();
    let json = dir.join("results.json");
    fs::write(&json, serde_json::to_vec_pretty(measured).at(&json)?).at(&json)?;
    // Version 2 first, which is what most hosts have.
    let mut ranked: Vec<&Section> = measured.iter().collect();
    ranked.sort_by_key(|section| section.view == View::V1);
    ranked.extend(also);
    if let Some(svg) = ranked.first().and_then(|section| chart::draw(section)) {
        fs::write(dir.join("results.svg"), svg).at(dir)?;
        text.push_str("\n![the same as a chart](results.svg)\n");
    }
    text.push_str(&targets::table(&ranked));
    for section in measured.iter().chain(also) {
        text.push_str(&markdown(section));
    }
    let path = dir.join("RESULTS.md");
    fs::write(&path, text).at(&path)?;
    eprintln!("written: {}, {}", path.display(), json.display());
    Ok(())
}

fn markdown(section: &Section) -> String {
    let mut text = String::new();
    let machine = &section.machine;
    let line = format!(
        "\n## {}\n\n{} UTC; Linux {}, {} processors, {} MiB; load {} before, {} at the end, the benchmark's own included; {} rounds.\n\n",
        section.title(),
        section.date,
        machine.kernel,
        machine.processors,
        machine.memory_mib,
        machine.load[0],
        machine.load[1],
        section.rounds
    );
    text.push_str(&line);
    for subject in &section.subjects {
        let refusal = subject.refusal.as_ref().map(|reason| format!("; **does not run here**: {reason}"));
        let line = format!("* {}: {}{}\n", subject.name, subject.version, refusal.unwrap_or_default());
        text.push_str(&line);
    }
    let (tight, rested) = (Some(Pace::Tight), Some(Pace::Rested));
    let with_rest = format!("With {} ms of rest before each command", section.rest_ms);
    let tables = [
        ("Back to back", tight, Unit::Command, Figure::Wall),
        (&with_rest, rested, Unit::Command, Figure::Wall),
        ("Processor time, back to back, ms", tight, Unit::Command, Figure::Cpu),
        ("Microseconds for each, back to back", tight, Unit::Micros, Figure::Wall),
        ("Containers a second", None, Unit::PerSecond, Figure::Wall),
        ("Memory and size, KiB", None, Unit::KiB, Figure::Wall),
        ("The parts of the floor, back to back, ms", tight, Unit::Part, Figure::Wall),
        ("The parts of the floor, with rest, ms", rested, Unit::Part, Figure::Wall),
    ];
    for (title, pace, unit, figure) in tables {
        let rows: Vec<&Row> =
            section.rows.iter().filter(|row| row.pace == pace && row.unit == unit).collect();
        text.push_str(&table(section, title, &rows, figure));
    }
    text
}

/// Which of the figures of a cell a table shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Figure {
    /// The time from start to end, or the only number.
    Wall,
    /// The processor time.
    Cpu,
}

impl Figure {
    /// The number that stands for a cell.
    fn number(self, cell: &Cell) -> Option<f64> {
        match (self, cell) {
            (Self::Cpu, Cell::Times(times)) => Some(times.cpu),
            _ => cell.number(),
        }
    }

    fn show(self, cell: &Cell) -> String {
        match (self, cell) {
            (Self::Wall, Cell::Times(Times { median, min, p95, .. })) => {
                format!("{} ({}, {})", short(*median), short(*min), short(*p95))
            }
            _ => self.number(cell).map_or_else(|| GAP.to_owned(), short),
        }
    }

    fn ratio(self, row: &Row, (over, under): (&str, &str)) -> String {
        let value =
            |name: &str| row.cells.get(name).and_then(|cell| self.number(cell)).filter(|value| *value > 0.0);
        let ratio = value(over).zip(value(under)).map(|(over, under)| short(over / under));
        ratio.unwrap_or_else(|| GAP.to_owned())
    }
}

/// A cell without a figure.
pub(crate) const GAP: &str = "–";

/// A table of programs by rows, with the ratios that say something, and the reasons for its gaps.
fn table(section: &Section, title: &str, rows: &[&Row], figure: Figure) -> String {
    let filled =
        |row: &Row, name: &str| row.cells.get(name).is_some_and(|cell| figure.number(cell).is_some());
    let names = section.subjects.iter().map(|subject| subject.name.as_str());
    let subjects: Vec<&str> = names.filter(|name| rows.iter().any(|row| filled(row, name))).collect();
    let pairs = ratio_pairs(&subjects);
    let mut text = String::new();
    if rows.is_empty() {
        return text;
    }
    let _ = write!(text, "\n### {title}\n\n");
    if !subjects.is_empty() {
        let ratio_titles = pairs.iter().map(|(over, under)| format!("{over} : {under}"));
        let titles: Vec<String> =
            subjects.iter().map(|name| (*name).to_owned()).chain(ratio_titles).collect();
        let _ = writeln!(text, "| | {} |\n|---{}|", titles.join(" | "), "|--:".repeat(titles.len()));
    }
    let mut fewer = false;
    for row in rows.iter().filter(|row| subjects.iter().any(|name| filled(row, name))) {
        let samples = other_samples(row, section.rounds);
        fewer |= !samples.is_empty();
        let show =
            |name: &&str| row.cells.get(*name).map_or_else(|| GAP.to_owned(), |cell| figure.show(cell));
        let ratios = pairs.iter().map(|pair| figure.ratio(row, *pair));
        let cells: Vec<String> = subjects.iter().map(show).chain(ratios).collect();
        let _ = writeln!(text, "| {}{samples} | {} |", row.name, cells.join(" | "));
    }
    if fewer {
        let _ = writeln!(
            text,
            "\nn: samples of each program, where these are not the {} rounds.",
            section.rounds
        );
    }
    let reasons: Vec<String> = rows.iter().filter_map(|row| gaps(row)).collect();
    if figure == Figure::Wall && !reasons.is_empty() {
        let _ = writeln!(text, "\nNot measured:\n{}", reasons.join("\n"));
    }
    text
}

/// How many samples a row has for each program, where these are not one for each round.
fn other_samples(row: &Row, rounds: usize) -> String {
    let counts = row.cells.values().filter_map(|cell| match cell {
        Cell::Times(times) => Some(times.n),
        _ => None,
    });
    let counts: BTreeSet<usize> = counts.collect();
    match (counts.first(), counts.last()) {
        (Some(least), Some(most)) if least < most => format!(" (n={least} to {most})"),
        (Some(n), _) if *n != rounds => format!(" (n={n})"),
        _ => String::new(),
    }
}

/// What is missing in a row, and why.
fn gaps(row: &Row) -> Option<String> {
    let mut by_reason: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, cell) in &row.cells {
        if let Cell::None(reason) = cell {
            by_reason.entry(reason).or_default().push(name);
        }
    }
    let part = |(reason, names): (&&str, &Vec<&str>)| format!("{}: {}", names.join(", "), shortened(reason));
    let parts: Vec<String> = by_reason.iter().map(part).collect();
    (!parts.is_empty()).then(|| format!("* *{}*: {}", row.name, parts.join("; ")))
}

/// The beginning of a message that may be long.
pub(crate) fn shortened(message: &str) -> String {
    let line = message.replace('\n', " ");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

/// Ours to the floor and to each peer; without ours, all to the floor.
fn ratio_pairs<'a>(subjects: &[&'a str]) -> Vec<(&'a str, &'a str)> {
    let runtimes: Vec<&str> =
        subjects.iter().copied().filter(|name| ![FLOOR, BARE_FLOOR, LIBRARY].contains(name)).collect();
    let floor = subjects.iter().copied().find(|name| *name == FLOOR);
    let ours = runtimes.iter().copied().find(|name| *name == OURS);
    let to_floor = runtimes.iter().filter(|name| ours.is_none_or(|ours| ours == **name));
    let mut pairs: Vec<_> = to_floor.filter_map(|name| Some((*name, floor?))).collect();
    pairs.extend(runtimes.iter().filter(|name| **name != OURS).filter_map(|name| Some((ours?, *name))));
    pairs
}

/// A number with three significant digits.
pub(crate) fn short(value: f64) -> String {
    match value.abs() {
        0.0 => "0".into(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_refer_to_ours_or_to_the_floor() {
        assert_eq!(ratio_pairs(&["floor", "corten", "runc"]), [("corten", "floor"), ("corten", "runc")]);
        assert_eq!(ratio_pairs(&["floor", "crun", "runc"]), [("crun", "floor"), ("runc", "floor")]);
        assert_eq!(ratio_pairs(&["runc"]), []);
    }

    #[test]
    fn samples_that_are_not_the_rounds_are_told() {
        let row = |counts: &[usize]| -> Row {
            let times = |n: &usize| Cell::Times(Times { n: *n, median: 1.0, min: 1.0, p95: 1.0, cpu: 1.0 });
            let cells = counts.iter().enumerate().map(|(name, n)| (name.to_string(), times(n))).collect();
            Row { name: "run".into(), pace: None, unit: Unit::Command, cells }
        };
        let told = |counts: &[usize]| other_samples(&row(counts), 25);
        assert_eq!(
            [told(&[25, 25]), told(&[13, 13]), told(&[4, 25]), told(&[])],
            ["", " (n=13)", " (n=4 to 25)", ""]
        );
    }

    #[test]
    fn three_digits() {
        assert_eq!(
            [-123.45, 12.345, 1.2345, 0.01234, 0.0].map(short),
            ["-123", "12.3", "1.23", "0.012", "0"]
        );
    }
}
