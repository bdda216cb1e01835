//! What is measured, as it is kept in `results.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::stats::Times;
use crate::view::View;

/// One view of cgroups on one machine.
#[derive(Serialize, Deserialize)]
pub(crate) struct Section {
    /// The machine's name, where it is not the reader's own.
    #[serde(default)]
    pub(crate) place: Option<String>,
    /// When, in UTC.
    pub(crate) date: String,
    pub(crate) machine: Machine,
    pub(crate) view: View,
    pub(crate) rounds: usize,
    pub(crate) rest_ms: f64,
    pub(crate) subjects: Vec<SubjectInfo>,
    pub(crate) rows: Vec<Row>,
}

impl Section {
    /// What a reader knows it by.
    pub(crate) fn title(&self) -> String {
        let view = match self.view {
            View::V1 => "cgroup version 1",
            View::V2 => "cgroup version 2",
        };
        match &self.place {
            Some(place) => format!("{view}, {place}"),
            None => view.to_owned(),
        }
    }
}

/// The machine that measured.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) processors: usize,
    pub(crate) memory_mib: u64,
    /// The load average of the minute before, and of the last one: other work that may have disturbed.
    pub(crate) load: [f64; 2],
}

/// A program that was measured.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct SubjectInfo {
    pub(crate) name: String,
    pub(crate) version: String,
    /// Why it does not run here at all.
    pub(crate) refusal: Option<String>,
}

/// One thing that is measured for each program.
#[derive(Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) pace: Option<Pace>,
    pub(crate) unit: Unit,
    pub(crate) cells: BTreeMap<String, Cell>,
}

/// How quickly one command follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Pace {
    /// Back to back: the second of two in a row is timed.
    Tight,
    /// After a rest, as users start containers.
    Rested,
}

impl Pace {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Tight, Self::Rested];
}

/// What the numbers of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Unit {
    /// Times of whole commands, in milliseconds.
    #[serde(rename = "ms")]
    Command,
    /// Times of a part of a command, in milliseconds.
    #[serde(rename = "ms of a part")]
    Part,
    /// Memory or size.
    #[serde(rename = "KiB")]
    KiB,
    /// Containers a second.
    #[serde(rename = "1/s")]
    PerSecond,
    /// Microseconds for each of many.
    #[serde(rename = "us")]
    Micros,
}

/// What was measured of one program.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Cell {
    /// Many times.
    Times(Times),
    /// One number, in the unit of the row.
    Number(f64),
    /// Nothing, for this reason.
    None(String),
}

impl Cell {
    /// What stands in the place of figures; nothing where none were to be expected.
    pub(crate) fn of_error(error: &Error) -> Option<Self> {
        match error {
            Error::Inapplicable => None,
            error => Some(Self::None(error.to_string())),
        }
    }

    /// The number that stands for it.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Times(times) => Some(times.median),
            Self::Number(number) => Some(*number),
            Self::None(_) => None,
        }
    }
}
