//! What is not the time of a command: throughput, memory, sizes, and the parts of the floor.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::command::Call;
use crate::config::Shape;
use crate::container::Container;
use crate::crowd::{Crowd, in_parallel};
use crate::error::{At, Error, Result};
use crate::lab::Lab;
use crate::results::{Cell, Pace, Row, Unit};
use crate::stats::{Cost, Times, median};
use crate::subject::{Kind, Subject, own_program};

/// A case: its name on the command line, and what measures it.
pub(crate) struct Quantity {
    pub(crate) name: &'static str,
    pub(crate) measure: fn(&Lab, &[&Subject]) -> Vec<Row>,
}

/// All of them.
pub(crate) const QUANTITIES: [Quantity; 6] = [
    Quantity { name: "throughput", measure: throughput },
    Quantity { name: "peak", measure: peak },
    Quantity { name: "memory", measure: memory },
    Quantity { name: "limit", measure: lowest_limit },
    Quantity { name: "size", measure: size },
    Quantity { name: "parts", measure: parts },
];

/// A row out of one result for each program.
fn row(name: &str, unit: Unit, subjects: &[&Subject], measure: impl Fn(&Subject) -> Result<f64>) -> Row {
    let cell = |subject: &Subject| match measure(subject) {
        Ok(number) => Some(Cell::Number(number)),
        Err(e) => Cell::of_error(&e),
    };
    let cells = subjects.iter().filter_map(|subject| Some((subject.name.clone(), cell(subject)?))).collect();
    Row { name: name.to_owned(), pace: None, unit, cells }
}

/// `run` of `true` by 1, 2, 4 and 8 at once, in five slices of half a second, the programs in turn.
fn throughput(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let mut subjects = subjects.to_vec();
    let at_once = |threads: usize| {
        let mut rates: BTreeMap<&str, Result<Vec<f64>>> = BTreeMap::new();
        for _ in 0..5 {
            for subject in &subjects {
                let rates = rates.entry(&subject.name).or_insert_with(|| Ok(Vec::new()));
                let Ok(list) = rates else { continue };
                match rate(lab, subject, threads) {
                    Ok(rate) => list.push(rate),
                    Err(e) => *rates = Err(e),
                }
            }
            subjects.rotate_left(1);
        }
        let cell = |rates| match rates {
            Ok(rates) => median(rates).map_or_else(|| Cell::None("no slice".into()), Cell::Number),
            Err(e) => Cell::None(Error::to_string(&e)),
        };
        let cells = rates.into_iter().map(|(name, rates)| (name.to_owned(), cell(rates))).collect();
        Row { name: format!("run, {threads} at once"), pace: None, unit: Unit::PerSecond, cells }
    };
    [1, 2, 4, 8].into_iter().map(at_once).collect()
}

/// Containers a second in one slice.
fn rate(lab: &Lab, subject: &Subject, threads: usize) -> Result<f64> {
    let slot = |number| Container::new(lab, subject, &format!("many{number}"), Shape::TRUE);
    let containers: Vec<_> = (0..threads).map(slot).collect::<Result<_>>()?;
    let start = Instant::now();
    let count = in_parallel(threads, |number| {
        let more = start.elapsed() < Duration::from_millis(500);
        if let (true, Some(container)) = (more, containers.get(number)) {
            container.run(Pace::Tight)?;
        }
        Ok(more)
    })?;
    Ok(count as f64 / start.elapsed().as_secs_f64())
}

/// The largest resident size of each command.
fn peak(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let mut rows: Vec<(String, BTreeMap<String, Cell>)> = Vec::new();
    let commands = ["create", "start", "state", "kill", "exec", "list", "delete --force", "run"];
    for command in commands {
        rows.push((format!("peak memory of {command}"), BTreeMap::new()));
    }
    for subject in subjects {
        let peaks = peaks(lab, subject);
        for (index, (_, cells)) in rows.iter_mut().enumerate() {
            let cell = match &peaks {
                Ok(peaks) => peaks.get(index).and_then(|peak| *peak).map(Cell::Number),
                Err(e) => Cell::of_error(e),
            };
            cells.extend(cell.map(|cell| (subject.name.clone(), cell)));
        }
    }
    rows.into_iter().map(|(name, cells)| Row { name, pace: None, unit: Unit::KiB, cells }).collect()
}

/// The peaks of the commands in the order of [`peak`]; none where the program has no such command.
fn peaks(lab: &Lab, subject: &Subject) -> Result<Vec<Option<f64>>> {
    let metered = |call: Call<'_>| -> Result<Option<f64>> {
        let meter = own_program("peak").ok_or_else(|| Error::Unfit("its meter is not built".into()))?;
        let text = call.under(&meter).output()?;
        let size = text.lines().next_back().and_then(|line| line.parse().ok());
        size.map(Some).ok_or_else(|| Error::Failed(format!("the meter says {text:?}")))
    };
    if subject.kind == Kind::Library {
        return Err(Error::Inapplicable);
    }
    let to_end = Container::new(lab, subject, "run", Shape::TRUE)?;
    let mut container = Container::new(lab, subject, "peak", Shape::SLEEP)?;
    if subject.kind == Kind::Floor {
        container.launch()?;
        let exit = metered(container.call_small("exit", &[]))?;
        let exec = metered(container.call_exec()?)?;
        return Ok(vec![None, None, exit, exit, exec, None, None, metered(to_end.call_run(&[]))?]);
    }
    container.set_exists(true);
    let mut peaks = vec![
        metered(container.call_create())?,
        metered(container.call_small("start", &[]))?,
        metered(container.call_small("state", &[]))?,
        metered(container.call_small("kill", &["CONT"]))?,
        metered(container.call_exec()?)?,
        metered(container.call("list"))?,
        metered(container.call_delete_forced())?,
    ];
    container.set_exists(false);
    peaks.push(metered(to_end.call_run(&[]))?);
    Ok(peaks)
}

/// What a container costs while it waits to be started, and while it runs, beyond its payload's own.
fn memory(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let names = [
        "created: PSS of its processes",
        "created: private memory of its processes",
        "created: MemAvailable lost",
        "started: MemAvailable lost, payload included",
    ];
    let all: Vec<_> = subjects.iter().map(|subject| (&subject.name, crowd_memory(lab, subject))).collect();
    let row = |(index, name): (usize, &&str)| {
        let cell = |figures: &Result<[f64; 4]>| match figures {
            Ok(figures) => figures.get(index).map(|kib| Cell::Number(*kib)),
            Err(e) => Cell::of_error(e),
        };
        let cells =
            all.iter().filter_map(|(name, figures)| Some(((*name).clone(), cell(figures)?))).collect();
        Row { name: (*name).to_owned(), pace: None, unit: Unit::KiB, cells }
    };
    names.iter().enumerate().map(row).collect()
}

/// The figures of [`memory`] in KiB for each container, over a hundred of them.
fn crowd_memory(lab: &Lab, subject: &Subject) -> Result<[f64; 4]> {
    const SIZE: usize = 100;
    let before = available()?;
    let mut crowd = Crowd::new(lab, subject, SIZE)?;
    let created = before - available()?;
    let (mut pss, mut private) = (0.0, 0.0);
    for member in &crowd.members {
        for pid in lab.processes(&member.id)? {
            let path = format!("/proc/{pid}/smaps_rollup");
            let text = fs::read_to_string(&path).at(&path)?;
            pss += kib(&text, "Pss:");
            private += kib(&text, "Private_Clean:") + kib(&text, "Private_Dirty:");
        }
    }
    crowd.each(|container| container.start(Pace::Tight))?;
    let started = before - available()?;
    Ok([pss, private, created, started].map(|sum| sum / SIZE as f64))
}

/// MemAvailable in KiB, once freed memory has had time to come back.
fn available() -> Result<f64> {
    thread::sleep(Duration::from_millis(500));
    Ok(kib(&fs::read_to_string("/proc/meminfo").at("/proc/meminfo")?, "MemAvailable:"))
}

/// The value of a line such as `Pss:   12 kB`.
fn kib(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// The lowest memory limit with which `true` runs three times out of three.
fn lowest_limit(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    vec![row("lowest memory limit that runs true", Unit::KiB, subjects, |subject| {
        if subject.kind == Kind::Library {
            return Err(Error::Inapplicable);
        }
        if !lab.limits_memory() {
            return Err(Error::Unfit("this view has no memory controller".into()));
        }
        let runs = |kib: u64| -> Result<bool> {
            let shape = Shape { memory: Some(kib * 1024), ..Shape::TRUE };
            let container = Container::new(lab, subject, "limit", shape)?;
            Ok((0..3).all(|_| container.run(Pace::Tight).is_ok()))
        };
        let (mut low, mut high) = (0, 64 * 1024);
        if !runs(high)? {
            return Err(Error::Failed("does not run with 64 MiB".into()));
        }
        // In steps of a page where it is low enough for that to be a difference.
        while high - low > if high > 512 { high / 16 } else { 4 } {
            let middle = (low + high) / 2 / 4 * 4;
            if runs(middle)? { high = middle } else { low = middle }
        }
        Ok(high as f64)
    })]
}

/// The size of the program, and of what runs in a container until it is started.
fn size(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let file = |path: &str| fs::metadata(path).at(path).map(|data| data.len() as f64 / 1024.0);
    let program = |subject: &Subject| match subject.kind {
        Kind::Library => Err(Error::Inapplicable),
        _ => file(&subject.program.to_string_lossy()),
    };
    let init = |subject: &Subject| {
        let crowd = Crowd::new(lab, subject, 1)?;
        let pids = crowd.members.first().map(|member| lab.processes(&member.id)).transpose()?;
        let pid = pids.and_then(|pids| pids.first().copied());
        file(&format!("/proc/{}/exe", pid.ok_or_else(|| Error::Failed("no init".into()))?))
    };
    vec![
        row("the program's file", Unit::KiB, subjects, program),
        row("what waits in a created container", Unit::KiB, subjects, init),
    ]
}

/// The parts of the floor's `run`, as it times them itself.
fn parts(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let floors: Vec<_> = subjects.iter().copied().filter(|subject| subject.kind == Kind::Floor).collect();
    let mut rows: Vec<Row> = Vec::new();
    for pace in Pace::ALL {
        for floor in &floors {
            let found = floor_parts(lab, floor, pace);
            let cells = found.unwrap_or_else(|e| vec![("all parts".to_owned(), Cell::None(e.to_string()))]);
            for (name, cell) in cells {
                let same = rows.iter_mut().find(|row| row.name == name && row.pace == Some(pace));
                if let Some(row) = same {
                    row.cells.insert(floor.name.clone(), cell);
                } else {
                    let cells = BTreeMap::from([(floor.name.clone(), cell)]);
                    rows.push(Row { name, pace: Some(pace), unit: Unit::Part, cells });
                }
            }
        }
    }
    rows
}

fn floor_parts(lab: &Lab, floor: &Subject, pace: Pace) -> Result<Vec<(String, Cell)>> {
    let container = Container::new(lab, floor, "parts", Shape::TRUE)?;
    let mut parts: Vec<(String, Vec<Cost>)> = Vec::new();
    for _ in 0..lab.rounds {
        lab.rest(pace);
        for line in container.call_run(&["--time"]).output()?.lines() {
            let Some((name, nanoseconds)) = line.split_once('\t') else { continue };
            let wall = Duration::from_nanos(nanoseconds.parse().unwrap_or(0));
            let cost = Cost { wall, ..Cost::default() };
            match parts.iter_mut().find(|(part, _)| part == name) {
                Some((_, costs)) => costs.push(cost),
                None => parts.push((name.to_owned(), vec![cost])),
            }
        }
    }
    Ok(parts.into_iter().filter_map(|(name, costs)| Some((name, Cell::Times(Times::of(&costs)?)))).collect())
}
