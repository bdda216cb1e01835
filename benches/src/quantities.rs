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
use crate::turns::order;

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

/// What was measured of each program.
type Measured<T> = Vec<(String, Result<Vec<T>>)>;

/// Measures so often, the programs in turn; one that fails is left alone.
fn in_turns<T>(subjects: &[&Subject], times: usize, measure: impl Fn(&Subject) -> Result<T>) -> Measured<T> {
    let mut all: Measured<T> =
        subjects.iter().map(|subject| (subject.name.clone(), Ok(Vec::new()))).collect();
    for round in 0..times {
        for index in order(subjects.len(), round) {
            let (Some(subject), Some((_, found))) = (subjects.get(index), all.get_mut(index)) else {
                continue;
            };
            let Ok(list) = found else { continue };
            match measure(subject) {
                Ok(one) => list.push(one),
                Err(e) => *found = Err(e),
            }
        }
    }
    all
}

/// A row of medians.
fn row<T>(name: &str, unit: Unit, measured: &Measured<T>, figure: impl Fn(&T) -> f64) -> Row {
    let cell = |found: &Result<Vec<T>>| match found {
        Ok(list) => median(list.iter().map(&figure).collect()).map(Cell::Number),
        Err(e) => Cell::of_error(e),
    };
    let cells = measured.iter().filter_map(|(name, found)| Some((name.clone(), cell(found)?))).collect();
    Row { name: name.to_owned(), pace: None, unit, cells }
}

/// A row for each of several figures.
fn rows<const N: usize>(names: &[String; N], unit: Unit, measured: &Measured<[f64; N]>) -> Vec<Row> {
    let figure = |index: usize| move |figures: &[f64; N]| figures.get(index).copied().unwrap_or_default();
    names.iter().enumerate().map(|(index, name)| row(name, unit, measured, figure(index))).collect()
}

/// `run` of `true` by 1, 2, 4 and 8 at once, in five slices of half a second, the programs in turn.
fn throughput(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let at_once = |threads: usize| {
        let name = format!("run, {threads} at once");
        let rates = in_turns(subjects, 5, |subject| rate(lab, subject, threads));
        row(&name, Unit::PerSecond, &rates, |rate| *rate)
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
    let peaks = in_turns(subjects, 1, |subject| peaks(lab, subject));
    let commands = ["create", "start", "state", "kill", "exec", "list", "delete --force", "run"];
    let names = commands.map(|command| format!("peak memory of {command}"));
    rows(&names, Unit::KiB, &peaks)
}

/// The peaks of the commands in the order of [`peak`].
fn peaks(lab: &Lab, subject: &Subject) -> Result<[f64; 8]> {
    let metered = |call: Call<'_>| -> Result<f64> {
        let meter = own_program("peak").ok_or_else(|| Error::Unfit("its meter is not built".into()))?;
        let text = call.under(&meter).output()?;
        let size = text.lines().next_back().and_then(|line| line.parse().ok());
        size.ok_or_else(|| Error::Failed(format!("the meter says {text:?}")))
    };
    if subject.kind == Kind::Library {
        return Err(Error::Inapplicable);
    }
    let to_end = Container::new(lab, subject, "run", Shape::TRUE)?;
    let mut container = Container::new(lab, subject, "peak", Shape::SLEEP)?;
    container.set_exists(true);
    let create = metered(container.call_create())?;
    container.find_process()?;
    let start = metered(container.call_start())?;
    let [state, kill, exec, list, delete] = [
        metered(container.call_small("state", &[]))?,
        metered(container.call_small("kill", &["CONT"]))?,
        metered(container.call_exec()?)?,
        metered(container.call_list())?,
        metered(container.call_delete(true))?,
    ];
    container.set_exists(false);
    Ok([create, start, state, kill, exec, list, delete, metered(to_end.call_run(&[]))?])
}

/// What a container costs while it waits to be started, and while it runs, beyond its payload's own. Three times, since what the
/// kernel keeps of the containers before them is memory that these do not lose.
fn memory(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let names = [
        "created: PSS of its processes",
        "created: private memory of its processes",
        "created: MemAvailable lost",
        "started: MemAvailable lost, payload included",
    ];
    rows(&names.map(str::to_owned), Unit::KiB, &in_turns(subjects, 3, |subject| crowd_memory(lab, subject)))
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

/// MemAvailable in KiB, once it stays as it is, if that is soon: namespaces and cgroups are freed some time after their end.
fn available() -> Result<f64> {
    const STILL: f64 = 512.0;
    let now = || -> Result<f64> {
        thread::sleep(Duration::from_millis(500));
        Ok(kib(&fs::read_to_string("/proc/meminfo").at("/proc/meminfo")?, "MemAvailable:"))
    };
    let mut last = now()?;
    for _ in 0..5 {
        let before = std::mem::replace(&mut last, now()?);
        if (last - before).abs() < STILL {
            break;
        }
    }
    Ok(last)
}

/// The value of a line such as `Pss:   12 kB`.
fn kib(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

/// The lowest memory limit with which `true` runs three times out of three, looked for three times: it differs by some pages.
fn lowest_limit(lab: &Lab, subjects: &[&Subject]) -> Vec<Row> {
    let lowest = in_turns(subjects, 3, |subject| {
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
    });
    vec![row("lowest memory limit that runs true", Unit::KiB, &lowest, |kib| *kib)]
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
        row("the program's file", Unit::KiB, &in_turns(subjects, 1, program), |kib| *kib),
        row("what waits in a created container", Unit::KiB, &in_turns(subjects, 1, init), |kib| *kib),
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
