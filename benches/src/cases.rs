//! The cases whose commands are timed one by one.

use std::collections::BTreeMap;

use nix::pty::openpty;

use crate::config::{MAX_BINDS, Shape};
use crate::container::Container;
use crate::crowd::Crowd;
use crate::error::{At, Error, Result};
use crate::lab::Lab;
use crate::results::{Cell, Pace, Row, Unit};
use crate::stats::{Cost, Times};
use crate::subject::{Kind, Subject};
use crate::turns::order;

/// What one round measures: the names of the rows, and what each cost.
type Samples = Vec<(String, Cost)>;

/// One round of a case, ready to be repeated; it owns the containers that the case needs.
type Round<'a> = Box<dyn FnMut(Pace) -> Result<Samples> + 'a>;

/// A case: its name on the command line, and what prepares it for one program.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// It is measured in one of so many rounds.
    every: usize,
    /// It is left out unless asked for.
    pub(crate) long: bool,
    /// Targets rest on it: it has all the rounds of `--long`, of which others have a quarter.
    judged: bool,
    stage: for<'a> fn(&'a Lab, &'a Subject) -> Result<Round<'a>>,
}

/// All of them.
pub(crate) const CASES: [Case; 14] = [
    judged("lifecycle", lifecycle),
    judged("delete-stopped", delete_stopped),
    judged("run", |lab, subject| run(lab, subject, "run", Shape::TRUE)),
    judged("run-seccomp", run_seccomp),
    judged("exec", exec),
    case("exec-tty", exec_tty),
    judged("look", look),
    judged("list", list),
    case("run-107", |lab, subject| run(lab, subject, "run, 107 mounts", with_binds(100))),
    Case {
        every: 2,
        ..judged("run-1007", |lab, subject| run(lab, subject, "run, 1007 mounts", with_binds(MAX_BINDS)))
    },
    Case { every: 2, ..case("run-1m", |lab, subject| run(lab, subject, "run, config of 1 MB", BIG_CONFIG)) },
    Case { every: 3, ..judged("crowd-100", |lab, subject| crowd(lab, subject, 100)) },
    Case { every: 5, long: true, ..case("crowd-500", |lab, subject| crowd(lab, subject, 500)) },
    Case { every: 5, long: true, ..case("crowd-1000", |lab, subject| crowd(lab, subject, 1000)) },
];

const fn case(name: &'static str, stage: for<'a> fn(&'a Lab, &'a Subject) -> Result<Round<'a>>) -> Case {
    Case { name, every: 1, long: false, judged: false, stage }
}

const fn judged(name: &'static str, stage: for<'a> fn(&'a Lab, &'a Subject) -> Result<Round<'a>>) -> Case {
    Case { judged: true, ..case(name, stage) }
}

impl Case {
    fn rounds(&self, lab: &Lab) -> usize {
        let share = if lab.long && !self.judged { 4 } else { 1 };
        lab.rounds.div_ceil(share * self.every)
    }
}

const BIG_CONFIG: Shape = Shape { padding: 1 << 20, ..Shape::TRUE };

fn with_binds(binds: usize) -> Shape {
    Shape { binds, ..Shape::TRUE }
}

fn one(name: &str, cost: Cost) -> Samples {
    vec![(name.to_owned(), cost)]
}

fn lifecycle<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    let mut container = Container::new(lab, subject, "life", Shape::SLEEP)?;
    Ok(Box::new(move |pace| {
        let create = container.create(pace)?;
        let start = container.start(pace)?;
        let delete = container.delete(pace, true)?;
        let named = |name: &str, cost| (name.to_owned(), cost);
        Ok(vec![
            named("create", create),
            named("start", start),
            named("delete --force", delete),
            named("create + start + delete", create + start + delete),
        ])
    }))
}

/// The same without the sleep that some programs have in their `delete --force`: the payload ends by itself, outside the time.
fn delete_stopped<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    let mut container = Container::new(lab, subject, "stopped", Shape::TRUE)?;
    Ok(Box::new(move |pace| {
        let create = container.create(pace)?;
        let start = container.start(pace)?;
        container.wait_stopped()?;
        let delete = container.delete(pace, false)?;
        Ok(vec![
            ("delete, stopped".to_owned(), delete),
            ("create + start + end + delete".to_owned(), create + start + delete),
        ])
    }))
}

fn run<'a>(lab: &'a Lab, subject: &'a Subject, row: &'static str, shape: Shape) -> Result<Round<'a>> {
    let container = Container::new(lab, subject, "run", shape)?;
    Ok(Box::new(move |pace| Ok(one(row, container.run(pace)?))))
}

fn run_seccomp<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    if lab.seccomp.is_none() {
        return Err(Error::Unfit("skipped: no profile given with --seccomp".into()));
    }
    run(lab, subject, "run, seccomp", Shape { seccomp: true, ..Shape::TRUE })
}

fn running<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Container<'a>> {
    let mut container = Container::new(lab, subject, "stay", Shape::SLEEP)?;
    container.launch()?;
    Ok(container)
}

fn exec<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    let container = running(lab, subject)?;
    Ok(Box::new(move |pace| Ok(one("exec", container.exec(pace, None)?))))
}

fn exec_tty<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    let container = running(lab, subject)?;
    let terminal = openpty(None, None).at("a terminal")?;
    Ok(Box::new(move |pace| {
        use std::os::fd::AsFd;
        // The other end stays open as long as this closure, or the terminal would be hung up.
        let _master = &terminal.master;
        Ok(one("exec, terminal", container.exec(pace, Some(terminal.slave.as_fd()))?))
    }))
}

fn look<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    let container = running(lab, subject)?;
    Ok(Box::new(move |pace| {
        let state = container.small(pace, "state", &[])?;
        // SIGCONT changes nothing for a process that runs.
        let kill = container.small(pace, "kill", &["CONT"])?;
        Ok(vec![("state".to_owned(), state), ("kill".to_owned(), kill)])
    }))
}

/// `list` where there is no container.
fn list<'a>(lab: &'a Lab, subject: &'a Subject) -> Result<Round<'a>> {
    if subject.kind == Kind::Library {
        return Err(Error::Inapplicable);
    }
    let none = Container::new(lab, subject, "none", Shape::SLEEP)?;
    Ok(Box::new(move |pace| {
        lab.rest(pace);
        Ok(one("list, 0 containers", none.call_list().time()?))
    }))
}

fn crowd<'a>(lab: &'a Lab, subject: &'a Subject, size: usize) -> Result<Round<'a>> {
    let crowd = Crowd::new(lab, subject, size)?;
    let mut life = lifecycle(lab, subject)?;
    Ok(Box::new(move |pace| {
        lab.rest(pace);
        let list = crowd.list()?;
        let sum = life(pace)?.into_iter().map(|(_, cost)| cost).next_back().unwrap_or_default();
        Ok(vec![
            (format!("list, {size} containers"), list),
            (format!("create + start + delete beside {size}"), sum),
        ])
    }))
}

/// Measures a case: all programs in turn, round after round.
pub(crate) fn measure(lab: &Lab, subjects: &[&Subject], case: &Case) -> Vec<Row> {
    let mut stages: Vec<_> = subjects.iter().map(|subject| (*subject, (case.stage)(lab, subject))).collect();
    let mut rows = Vec::new();
    for pace in Pace::ALL {
        let mut table = Table::default();
        for number in 0..case.rounds(lab) {
            for index in order(stages.len(), number) {
                let Some((subject, stage)) = stages.get_mut(index) else { continue };
                let Ok(round) = stage else { continue };
                match turn(round, pace) {
                    Ok(samples) => table.add(&subject.name, samples),
                    Err(e) => *stage = Err(e),
                }
            }
        }
        let reasons =
            stages.iter().filter_map(|(subject, stage)| Some((&subject.name, stage.as_ref().err()?)));
        rows.extend(table.rows(case.name, pace, &reasons.collect::<Vec<_>>()));
    }
    rows
}

fn turn(round: &mut Round<'_>, pace: Pace) -> Result<Samples> {
    if pace == Pace::Tight {
        // What the program before left behind, or slept through, is not this one's.
        round(pace)?;
    }
    round(pace)
}

/// The samples of a case in the making: by row, in the order of their appearance, and by program.
#[derive(Default)]
struct Table(Vec<(String, BTreeMap<String, Vec<Cost>>)>);

impl Table {
    fn add(&mut self, subject: &str, samples: Samples) {
        for (name, cost) in samples {
            if !self.0.iter().any(|(row, _)| *row == name) {
                self.0.push((name.clone(), BTreeMap::new()));
            }
            if let Some((_, row)) = self.0.iter_mut().find(|(row, _)| *row == name) {
                row.entry(subject.to_owned()).or_default().push(cost);
            }
        }
    }

    /// The rows; a program that failed shows its reason in each. Where all failed the case itself is the row.
    fn rows(mut self, case: &str, pace: Pace, reasons: &[(&String, &Error)]) -> Vec<Row> {
        if self.0.is_empty() {
            self.0.push((case.to_owned(), BTreeMap::new()));
        }
        let row = |(name, costs): (String, BTreeMap<String, Vec<Cost>>)| {
            let times = costs.into_iter().filter_map(|(subject, costs)| Some((subject, Times::of(&costs)?)));
            let mut cells: BTreeMap<_, _> =
                times.map(|(subject, times)| (subject, Cell::Times(times))).collect();
            cells.extend(
                reasons.iter().filter_map(|(subject, e)| Some(((*subject).clone(), Cell::of_error(e)?))),
            );
            Row { name, pace: Some(pace), unit: Unit::Command, cells }
        };
        self.0.into_iter().map(row).collect()
    }
}
