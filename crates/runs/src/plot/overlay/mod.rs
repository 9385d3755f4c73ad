//! A plot of several runs.
//!
//! ```text
//! ── run-1  ── run-2                   one color per run; after seven runs, lines are dashed
//!  loss            perplexity          thin lines: training; points: validation
//!  learning rate   gradient norm
//! ```

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use plotters::prelude::{IntoDrawingArea, PathElement, RGBColor, SVGBackend, ShapeStyle, Text, WHITE};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{
    Point, averaged, can_be_drawn, log_range, loss_range, norm_range, perplexities, perplexity_range, thinned,
};
use super::marks::Marks;
use super::panel::{Band, Kind, Line, Look, Panel};
use super::{Canvas, failed, group, label_style};
use crate::metrics::{self, Record, RecordKind};
use crate::{Result, RunFolder, RunsError};

/// Okabe and Ito's palette, which is safe for color-blind readers, without its yellow, which is faint on white.
const COLORS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(86, 180, 233),
    RGBColor(230, 159, 0),
    RGBColor(0, 0, 0),
];

const WIDTH: u32 = 1080;
const PANEL_HEIGHT: u32 = 310;
const MARGIN: u32 = 14;
const LEGEND_ROW: u32 = 22;
const LONGEST_NAME: usize = 60;

/// A run to plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its name in the legend.
    pub name: String,
    /// Its records, in order.
    pub records: Vec<Record>,
}

/// The horizontal axis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Axis {
    /// Optimizer steps.
    #[default]
    Steps,
    /// Epochs, as fractions: for runs with different batch sizes.
    Epochs,
    /// Seconds since the start of the run.
    Seconds,
}

impl Run {
    /// Reads runs from their folders or from their metrics files. The name of a run is that of its folder, or its
    /// path if several folders have the same name.
    ///
    /// # Errors
    /// [`RunsError::Io`] if a file cannot be read, [`RunsError::Metrics`] for a line that is not a valid record,
    /// [`RunsError::NoRecords`] for a file without records.
    pub fn read_all(paths: &[PathBuf]) -> Result<Vec<Run>> {
        let mut runs = paths.iter().map(|path| Run::read(path)).collect::<Result<Vec<Run>>>()?;
        let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
        for (run, path) in runs.iter_mut().zip(paths) {
            if names.iter().filter(|name| **name == run.name).count() > 1 {
                run.name = path.display().to_string();
            }
        }
        Ok(runs)
    }

    fn read(path: &Path) -> Result<Run> {
        let file = if path.is_dir() { path.join(RunFolder::METRICS) } else { path.to_owned() };
        let records = metrics::read(&file)?;
        if records.is_empty() {
            return Err(RunsError::NoRecords { path: file });
        }
        // `.` and `..` are not names, but the folders that they refer to have names.
        let whole = file.canonicalize().unwrap_or_else(|_| file.clone());
        let name = whole.parent().and_then(Path::file_name).unwrap_or(path.as_os_str());
        Ok(Run { name: name.to_string_lossy().into_owned(), records })
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Axis::Steps => "steps",
            Axis::Epochs => "epochs",
            Axis::Seconds => "seconds",
        })
    }
}

/// Draws several runs as SVG: loss, perplexity, learning rate and gradient norm.
///
/// # Errors
/// [`RunsError::Axis`] if a run cannot be placed on the axis, [`RunsError::Curve`] if the drawing library fails.
pub fn compare(runs: &[Run], axis: Axis) -> Result<String> {
    draw(runs, None, axis, "thin lines: training, mean of each interval; lines with points: validation")
}

/// Draws runs as lines and, if there are any, the areas between other runs as bands: those of the lower and of the upper
/// ends of intervals around each of the runs. `note` explains them.
pub(super) fn draw(runs: &[Run], ends: Option<[&[Run]; 2]>, axis: Axis, note: &str) -> Result<String> {
    let ends = match ends {
        Some([lower, upper]) => Some([all_placed(lower, axis)?, all_placed(upper, axis)?]),
        None => None,
    };
    let drawn = Drawn { runs: all_placed(runs, axis)?, ends, axis };
    let legend = Legend::of(runs);
    let mut svg = String::new();
    let size = (WIDTH, legend.height() + 2 * PANEL_HEIGHT + MARGIN);
    let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    canvas.fill(&WHITE).map_err(failed)?;
    let (top, below) = canvas.split_vertically(legend.height());
    let areas = below.margin(0, MARGIN, MARGIN, MARGIN).split_evenly((2, 2));
    let mut marks = Marks::default();
    for (area, draw) in areas.iter().zip([loss, perplexity, learning_rate, gradient_norm]) {
        marks = marks.and(draw(area, &drawn)?);
    }
    legend.draw(&top, note, marks)?;
    canvas.present().map_err(failed)?;
    drop((areas, below, top));
    // Dropping the canvas completes the SVG.
    drop(canvas);
    Ok(svg)
}

/// A record and its position on the axis.
type Placed<'a> = (f64, &'a Record);

/// What is drawn.
struct Drawn<'a> {
    runs: Vec<Vec<Placed<'a>>>,
    /// The lower and the upper ends of intervals around the runs.
    ends: Option<[Vec<Vec<Placed<'a>>>; 2]>,
    axis: Axis,
}

impl Drawn<'_> {
    /// The lines that `of` makes of the runs, and the bands around them.
    fn lines(&self, of: impl Fn(&[Vec<Placed<'_>>]) -> Vec<Line>) -> (Vec<Line>, Vec<Band>) {
        let bands = match &self.ends {
            Some([lower, upper]) => group::bands(&of(lower), &of(upper)),
            None => vec![],
        };
        (of(&self.runs), bands)
    }
}

fn all_placed(runs: &[Run], axis: Axis) -> Result<Vec<Vec<Placed<'_>>>> {
    runs.iter().map(|run| placed(run, axis)).collect()
}

fn placed(run: &Run, axis: Axis) -> Result<Vec<Placed<'_>>> {
    let missing = |reason| RunsError::Axis { run: run.name.clone(), axis, reason };
    let records = run.records.iter();
    match axis {
        Axis::Steps => Ok(records.map(|record| (record.step as f64, record)).collect()),
        Axis::Epochs => {
            let steps = steps_per_epoch(&run.records).ok_or_else(|| missing("no epoch has finished yet"))?;
            Ok(records.map(|record| (record.step as f64 / steps, record)).collect())
        }
        Axis::Seconds => {
            let elapsed = |record: &Record| record.elapsed_s.filter(|&time| can_be_drawn(time));
            let placed: Vec<_> = records.filter_map(|record| Some((elapsed(record)?, record))).collect();
            if placed.is_empty() { Err(missing("its records have no elapsed time")) } else { Ok(placed) }
        }
    }
}

/// Steps per epoch, from the last finished epoch: one with a record of its own or followed by another epoch.
fn steps_per_epoch(records: &[Record]) -> Option<f64> {
    let finished = records.iter().rfind(|record| record.kind == RecordKind::Epoch);
    let followed = || records.windows(2).rfind(|pair| pair[0].epoch < pair[1].epoch).map(|pair| &pair[0]);
    let last = finished.or_else(followed).filter(|record| record.epoch > 0 && record.step > 0)?;
    Some(last.step as f64 / last.epoch as f64)
}

fn look(run: usize) -> Look {
    Look { color: COLORS[run % COLORS.len()], gap: 4 * (run / COLORS.len()) as u32 }
}

/// The finite values of one measurement of each run.
fn lines(runs: &[Vec<Placed<'_>>], kind: Kind, value: impl Fn(&Record) -> Option<f64>) -> Vec<Line> {
    let line = |(run, records): (usize, &Vec<Placed<'_>>)| {
        let all: Vec<Point> = records.iter().filter_map(|&(x, record)| Some((x, value(record)?))).collect();
        let is_lost = all.last().is_some_and(|last| !can_be_drawn(last.1));
        let points = all.into_iter().filter(|point| can_be_drawn(point.1)).collect();
        Line { look: look(run), kind, points, is_lost }
    };
    runs.iter().enumerate().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// Training losses, as means over intervals or, of a run that recorded less than two, over epochs; and validation
/// losses.
fn losses(runs: &[Vec<Placed<'_>>]) -> Vec<Line> {
    let mut intervals = lines(runs, Kind::Training, |record| record.interval_loss);
    let mut epochs = lines(runs, Kind::Training, |record| record.epoch_loss);
    let has = |lines: &[Line], look: Look, least: usize| {
        lines.iter().any(|line| line.look == look && line.points.len() >= least)
    };
    epochs.retain(|line| !has(&intervals, line.look, 2));
    intervals.retain(|line| !has(&epochs, line.look, 1));
    for line in &mut intervals {
        line.points = averaged(std::mem::take(&mut line.points));
    }
    let validation = lines(runs, Kind::Validation, |record| record.valid_loss);
    intervals.into_iter().chain(epochs).chain(validation).collect()
}

/// The lines of one measurement that is drawn at single points, not averaged.
fn thin_lines(runs: &[Vec<Placed<'_>>], value: impl Fn(&Record) -> Option<f64>) -> Vec<Line> {
    let mut lines = lines(runs, Kind::Training, value);
    for line in &mut lines {
        line.points = thinned(std::mem::take(&mut line.points));
    }
    lines
}

/// The points of each line.
fn points(lines: &[Line]) -> Vec<&[Point]> {
    lines.iter().map(|line| line.points.as_slice()).collect()
}

fn values(lines: &[Line]) -> impl Iterator<Item = f64> {
    lines.iter().flat_map(|line| &line.points).map(|point| point.1)
}

fn panel<'a>(
    what: &'static str,
    axis: Axis,
    (lines, bands): (&'a [Line], &'a [Band]),
    span: Option<Range<f64>>,
    logarithmic: bool,
) -> Panel<'a> {
    let x_label = match axis {
        Axis::Steps => "step",
        Axis::Epochs => "epoch",
        Axis::Seconds => "seconds",
    };
    Panel { what, x_label, lines, bands, span, logarithmic }
}

fn loss(area: &Canvas<'_>, drawn: &Drawn<'_>) -> Result<Marks> {
    let (lines, bands) = drawn.lines(losses);
    let range = loss_range(&points(&lines));
    panel("loss (nats per token)", drawn.axis, (&lines, &bands), range, false).draw(area)
}

/// The perplexity is the exponential of the loss, also of its mean over runs and of the ends of its interval.
fn perplexity(area: &Canvas<'_>, drawn: &Drawn<'_>) -> Result<Marks> {
    let of_losses = |runs: &[Vec<Placed<'_>>]| {
        let mut lines = losses(runs);
        for line in &mut lines {
            line.points = perplexities(&line.points);
        }
        lines.retain(|line| !line.points.is_empty());
        lines
    };
    let (lines, bands) = drawn.lines(of_losses);
    let range = perplexity_range(&points(&lines));
    panel("perplexity", drawn.axis, (&lines, &bands), range, true).draw(area)
}

fn learning_rate(area: &Canvas<'_>, drawn: &Drawn<'_>) -> Result<Marks> {
    let rate = |record: &Record| record.learning_rate.filter(|&rate| rate > 0.0);
    let lines = thin_lines(&drawn.runs, rate);
    panel("learning rate", drawn.axis, (&lines, &[]), log_range(values(&lines)), true).draw(area)
}

fn gradient_norm(area: &Canvas<'_>, drawn: &Drawn<'_>) -> Result<Marks> {
    let norm = |record: &Record| {
        let norm = record.unclipped_gradient_norm_mean.or(record.unclipped_gradient_norm_last);
        norm.filter(|&norm| norm > 0.0 || norm.is_nan())
    };
    let lines = thin_lines(&drawn.runs, norm);
    let range = norm_range(&points(&lines));
    panel("gradient norm before clipping", drawn.axis, (&lines, &[]), range, true).draw(area)
}

/// The legend, in as many columns as fit.
struct Legend {
    names: Vec<String>,
    columns: usize,
}

impl Legend {
    fn of(runs: &[Run]) -> Legend {
        let short = |run: &Run| match run.name.char_indices().nth(LONGEST_NAME) {
            Some((end, _)) => format!("{}…", &run.name[..end]),
            None => run.name.clone(),
        };
        let names: Vec<String> = runs.iter().map(short).collect();
        // A character of this size is about 8 pixels wide.
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as u32;
        let columns = ((WIDTH - 2 * MARGIN) / (50 + 8 * longest)).max(1) as usize;
        Legend { names, columns }
    }

    fn height(&self) -> u32 {
        MARGIN + LEGEND_ROW * (self.names.len().div_ceil(self.columns) as u32 + 1)
    }

    fn draw(&self, area: &Canvas<'_>, note: &str, marks: Marks) -> Result<()> {
        let width = (WIDTH - 2 * MARGIN) as usize / self.columns;
        let middle = Pos::new(HPos::Left, VPos::Center);
        for (run, name) in self.names.iter().enumerate() {
            let x = MARGIN as usize + run % self.columns * width;
            let y = MARGIN + LEGEND_ROW * (run / self.columns) as u32 + LEGEND_ROW / 2;
            let (x, y) = (x as i32, y as i32);
            let Look { color, gap } = look(run);
            let style = ShapeStyle::from(&color).stroke_width(2);
            let (dash, gap) = if gap == 0 { (28, 28) } else { (6, gap as i32) };
            for from in (0..28).step_by((dash + gap) as usize) {
                let to = (from + dash).min(28);
                area.draw(&PathElement::new([(x + from, y), (x + to, y)], style)).map_err(failed)?;
            }
            let text = Text::new(name.as_str(), (x + 36, y), label_style(17).pos(middle));
            area.draw(&text).map_err(failed)?;
        }
        let y = self.height() as i32 - LEGEND_ROW as i32 / 2;
        let mut note = note.to_owned();
        if let Some(marks) = marks.note() {
            note += &format!("; {marks}");
        }
        area.draw(&Text::new(note, (MARGIN as i32, y), label_style(14).pos(middle))).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
