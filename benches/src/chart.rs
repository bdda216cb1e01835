//! The chart: what the common commands cost, each program a bar, on a logarithmic scale.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::short;
use crate::results::{Cell, Pace, Row, Section};

/// The rows shown.
const SHOWN: [&str; 6] =
    ["run", "create + start + end + delete", "exec", "state", "kill", "list, 100 containers"];

/// The colours of the programs in the order of the results.
const COLOURS: [RGBColor; 7] = [
    RGBColor(120, 120, 120),
    RGBColor(176, 176, 176),
    RGBColor(183, 65, 14),
    RGBColor(66, 133, 180),
    RGBColor(110, 170, 210),
    RGBColor(120, 160, 100),
    RGBColor(150, 120, 180),
];

const WIDTH: u32 = 900;
const LEFT: i32 = 200;
const RIGHT: i32 = 820;
const TOP: i32 = 60;
const BAR: i32 = 16;
const GAP: i32 = 16;
/// The times at both ends of the scale, as powers of ten of a millisecond.
const SCALE: (f64, f64) = (-1.0, 2.5);

/// The chart as SVG; nothing where none of its rows was measured.
pub(crate) fn draw(section: &Section) -> Option<String> {
    let shown =
        |name: &&str| section.rows.iter().find(|row| row.name == **name && row.pace == Some(Pace::Rested));
    let rows: Vec<&Row> = SHOWN.iter().filter_map(shown).collect();
    let bars = |row: &&Row| row.cells.values().filter(|cell| matches!(cell, Cell::Times(_))).count();
    let height =
        rows.iter().map(|row| i32::try_from(bars(row)).unwrap_or(0) * BAR + GAP).sum::<i32>() + TOP + 10;
    let mut svg = String::new();
    // Drawing into memory fails for no reason but a defect here, and the tables say the same.
    (!rows.is_empty() && render(section, &rows, height, &mut svg).is_ok()).then_some(svg)
}

type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

fn render(section: &Section, rows: &[&Row], height: i32, svg: &mut String) -> Drawn {
    let area = SVGBackend::with_string(svg, (WIDTH, height.unsigned_abs())).into_drawing_area();
    let label = |text: String, x: i32, y: i32, side: HPos, size: i32| {
        let style = ("sans-serif", size).into_text_style(&area).pos(Pos::new(side, VPos::Center));
        area.draw(&Text::new(text, (x, y), style))
    };
    area.fill(&WHITE)?;
    let title = format!(
        "milliseconds on a logarithmic scale, median, {} ms of rest before each command; {}, Linux {}",
        section.rest_ms,
        section.title(),
        section.machine.kernel
    );
    label(title, 12, 18, HPos::Left, 17)?;
    for power in [0.1, 1.0, 10.0, 100.0] {
        let x = place(power);
        area.draw(&PathElement::new([(x, TOP - 8), (x, height - 10)], RGBColor(225, 225, 225)))?;
        label(power.to_string(), x, TOP - 18, HPos::Center, 14)?;
    }
    let mut y = TOP;
    for row in rows {
        let start = y;
        let colours = COLOURS.iter().cycle();
        for (subject, colour) in section.subjects.iter().zip(colours) {
            let Some(Cell::Times(times)) = row.cells.get(&subject.name) else { continue };
            let end = place(times.median).max(LEFT + 1);
            area.draw(&Rectangle::new([(LEFT, y + 1), (end, y + BAR - 1)], colour.filled()))?;
            label(format!("{} {}", short(times.median), subject.name), end + 6, y + BAR / 2, HPos::Left, 14)?;
            y += BAR;
        }
        label(row.name.clone(), LEFT - 10, (start + y) / 2, HPos::Right, 16)?;
        y += GAP;
    }
    area.present()
}

/// Where a time stands on the scale.
fn place(milliseconds: f64) -> i32 {
    let share = (milliseconds.max(1e-6).log10() - SCALE.0) / (SCALE.1 - SCALE.0);
    LEFT + (share * f64::from(RIGHT - LEFT)) as i32
}
