//! The measuring process: one view, all cases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;

use nix::sys::utsname::uname;

use crate::args::Args;
use crate::cases::{CASES, measure};
use crate::error::{At, Error, Result};
use crate::lab::Lab;
use crate::profile::Profile;
use crate::quantities::QUANTITIES;
use crate::results::{Cell, Machine, Row, Section, Unit};
use crate::subject::Subject;
use crate::view::View;

/// The names of all cases.
pub(crate) fn names() -> Vec<&'static str> {
    CASES.iter().map(|case| case.name).chain(QUANTITIES.iter().map(|quantity| quantity.name)).collect()
}

/// Refuses cases that do not exist.
pub(crate) fn check_names(wanted: &[String]) -> Result<()> {
    match wanted.iter().find(|name| !names().contains(&name.as_str())) {
        Some(name) => Err(Error::Usage(format!("no case {name:?}; --cases help lists them"))),
        None => Ok(()),
    }
}

/// Measures the view of the arguments, and writes `section.json` into `dir`.
pub(crate) fn section(args: &Args, dir: &Path) -> Result<()> {
    let view = args.view.unwrap_or(View::V1);
    view.enter()?;
    let mut lab = Lab::new(dir.to_owned(), view, args.rest, args.rounds)?;
    lab.long = args.long;
    if let Some(path) = &args.seccomp {
        lab.seccomp = Some(Profile::read(path, dir)?);
    }
    let before = load()?;
    let subjects = Subject::all(&lab, &args.subjects)?;
    let infos: Vec<_> = subjects.iter().map(|subject| subject.info(&lab)).collect();
    let able: Vec<&Subject> = subjects
        .iter()
        .zip(&infos)
        .filter(|(_, info)| info.refusal.is_none())
        .map(|(subject, _)| subject)
        .collect();
    for (name, reason) in infos.iter().filter_map(|info| Some((&info.name, info.refusal.as_ref()?))) {
        eprintln!("{name} does not run here: {reason}");
    }
    let named = |name: &str| args.cases.iter().any(|case| case == name);
    let wanted = |name: &str, long: bool| named(name) || (args.cases.is_empty() && (args.long || !long));
    let mut rows = Vec::new();
    for case in CASES.iter().filter(|case| wanted(case.name, case.long)) {
        eprintln!("{}: {}", view.name(), case.name);
        rows.extend(measure(&lab, &able, case));
    }
    for quantity in QUANTITIES.iter().filter(|quantity| wanted(quantity.name, false)) {
        eprintln!("{}: {}", view.name(), quantity.name);
        rows.extend((quantity.measure)(&lab, &able));
    }
    rows.extend(each(&rows, "each further bind mount", ["run", "run, 1007 mounts"], 1000));
    rows.extend(each(&rows, "list, each container", ["list, 0 containers", "list, 100 containers"], 100));
    let section = Section {
        place: args.place.clone(),
        date: date()?,
        machine: machine(before)?,
        view,
        rounds: args.rounds,
        rest_ms: args.rest.as_secs_f64() * 1e3,
        subjects: infos,
        rows,
    };
    let path = dir.join("section.json");
    fs::write(&path, serde_json::to_vec(&section).at(&path)?).at(&path)
}

/// What one of so many things costs in microseconds, by the medians of the rows without and with them.
fn each(rows: &[Row], name: &str, [few, many]: [&str; 2], count: usize) -> Vec<Row> {
    let pairs = rows
        .iter()
        .filter(|row| row.name == few)
        .filter_map(|few| Some((few, rows.iter().find(|row| row.name == many && row.pace == few.pace)?)));
    let difference = |few: &Row, many: &Row| -> BTreeMap<String, Cell> {
        let one = |(name, cell): (&String, &Cell)| {
            let milliseconds = many.cells.get(name)?.number()? - cell.number()?;
            Some((name.clone(), Cell::Number(milliseconds * 1e3 / count as f64)))
        };
        few.cells.iter().filter_map(one).collect()
    };
    pairs
        .map(|(few, many)| Row {
            name: name.to_owned(),
            pace: few.pace,
            unit: Unit::Micros,
            cells: difference(few, many),
        })
        .collect()
}

fn machine(load_before: f64) -> Result<Machine> {
    let name = uname().at("uname")?;
    let memory = fs::read_to_string("/proc/meminfo").at("/proc/meminfo")?;
    let total = memory.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0);
    Ok(Machine {
        kernel: format!("{} {}", name.release().to_string_lossy(), name.machine().to_string_lossy()),
        processors: thread::available_parallelism().map_or(1, usize::from),
        memory_mib: total / 1024,
        load: [load_before, load()?],
    })
}

fn load() -> Result<f64> {
    let text = fs::read_to_string("/proc/loadavg").at("/proc/loadavg")?;
    Ok(text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0))
}

fn date() -> Result<String> {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M"]).output().at("date")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_of_many() {
        let times =
            |median: f64| json!({"times": {"n": 1, "median": median, "min": 0.0, "p95": 0.0, "cpu": 0.0}});
        let row = |name: &str, cells| -> Row {
            serde_json::from_value(json!({"name": name, "pace": "tight", "unit": "ms", "cells": cells}))
                .unwrap()
        };
        let rows =
            [row("none", json!({"a": times(1.0), "b": times(1.0)})), row("many", json!({"a": times(3.0)}))];
        let each = each(&rows, "each", ["none", "many"], 100);
        assert_eq!(each.first().unwrap().cells, BTreeMap::from([("a".to_owned(), Cell::Number(20.0))]));
    }
}
