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

use super::axes::{Point, can_be_drawn, log_range, range, range_of_most, thinned};
use super::group::bands;
use super::panel::{Band, Kind, Line, Look, Panel};
use super::{Canvas, failed, label_style};
use crate::metrics::{self, Record};
use crate::{Perplexity, Result, RunFolder, RunsError};

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

/// The perplexity axis ends at this multiple of the lowest, or just above the lowest of the worst run if that is
/// higher.
const PERPLEXITY_SPAN: f64 = 5.0;
/// A run whose lowest perplexity is more than this multiple of the overall lowest does not count as the worst.
const LOST: f64 = 20.0;

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
    draw(runs, None, axis, "thin lines: training; lines with points: validation")
}

/// Draws runs, and bands between the runs of lower and of upper ends. The note is below the legend.
pub(super) fn draw(runs: &[Run], ends: Option<[&[Run]; 2]>, axis: Axis, note: &str) -> Result<String> {
    let runs_placed = all_placed(runs, runs, axis)?;
    let [lows, highs] = ends.unwrap_or_default();
    let (lows, highs) = (all_placed(lows, runs, axis)?, all_placed(highs, runs, axis)?);
    let legend = Legend::of(runs);
    let mut svg = String::new();
    let size = (WIDTH, legend.height() + 2 * PANEL_HEIGHT + MARGIN);
    let canvas = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    canvas.fill(&WHITE).map_err(failed)?;
    let (top, below) = canvas.split_vertically(legend.height());
    legend.draw(&top, note)?;
    let areas = below.margin(0, MARGIN, MARGIN, MARGIN).split_evenly((2, 2));
    let panels: [(LinesOf, DrawPanel); 4] = [
        (losses, loss),
        (perplexities, perplexity),
        (learning_rates, learning_rate),
        (gradient_norms, gradient_norm),
    ];
    for (area, (lines, draw)) in areas.iter().zip(panels) {
        draw(area, &lines(&runs_placed), &bands(&lines(&lows), &lines(&highs)), axis)?;
    }
    canvas.present().map_err(failed)?;
    drop((areas, below, top));
    // Dropping the canvas completes the SVG.
    drop(canvas);
    Ok(svg)
}

/// A record and its position on the axis.
type Placed<'a> = (f64, &'a Record);

/// The lines of a panel.
type LinesOf = fn(&[Vec<Placed<'_>>]) -> Vec<Line>;

/// Draws a panel with its lines and bands.
type DrawPanel = fn(&Canvas<'_>, &[Line], &[Band], Axis) -> Result<()>;

/// The records of runs on the axis, each with as many steps per epoch as its counterpart in `alike`.
fn all_placed<'a>(runs: &'a [Run], alike: &[Run], axis: Axis) -> Result<Vec<Vec<Placed<'a>>>> {
    runs.iter().zip(alike).map(|(run, alike)| placed(run, alike, axis)).collect()
}

fn placed<'a>(run: &'a Run, alike: &Run, axis: Axis) -> Result<Vec<Placed<'a>>> {
    let missing = |reason| RunsError::Axis { run: run.name.clone(), axis, reason };
    let records = run.records.iter();
    match axis {
        Axis::Steps => Ok(records.map(|record| (record.step as f64, record)).collect()),
        Axis::Epochs => {
            let steps =
                steps_per_epoch(&alike.records).ok_or_else(|| missing("no epoch has finished yet"))?;
            Ok(records.map(|record| (record.step as f64 / steps, record)).collect())
        }
        Axis::Seconds => {
            let elapsed = |record: &Record| record.elapsed_s.filter(|&time| can_be_drawn(time));
            let placed: Vec<_> = records.filter_map(|record| Some((elapsed(record)?, record))).collect();
            if placed.is_empty() { Err(missing("its records have no elapsed time")) } else { Ok(placed) }
        }
    }
}

/// Steps per epoch, from the last finished epoch: one with a validation loss or followed by another epoch.
fn steps_per_epoch(records: &[Record]) -> Option<f64> {
    let validated = records.iter().rfind(|record| record.valid_loss.is_some());
    let followed = || records.windows(2).rfind(|pair| pair[0].epoch < pair[1].epoch).map(|pair| &pair[0]);
    let last = validated.or_else(followed).filter(|record| record.epoch > 0 && record.step > 0)?;
    Some(last.step as f64 / last.epoch as f64)
}

fn look(run: usize) -> Look {
    Look { color: COLORS[run % COLORS.len()], gap: 4 * (run / COLORS.len()) as u32 }
}

/// The finite values of one measurement of each run.
fn lines(runs: &[Vec<Placed<'_>>], kind: Kind, value: impl Fn(&Record) -> Option<f64>) -> Vec<Line> {
    let line = |(run, records): (usize, &Vec<Placed<'_>>)| {
        let points = records.iter().filter_map(|&(x, record)| Some((x, value(record)?)));
        let points: Vec<Point> = points.filter(|point| can_be_drawn(point.1)).collect();
        let points = if kind == Kind::Training { thinned(points) } else { points };
        Line { look: look(run), kind, points }
    };
    runs.iter().enumerate().map(line).filter(|line| !line.points.is_empty()).collect()
}

/// Training losses, smoothed if the run recorded that, and validation losses.
fn losses(runs: &[Vec<Placed<'_>>]) -> Vec<Line> {
    let smooth = lines(runs, Kind::Training, |record| record.moving_loss);
    let rough = lines(runs, Kind::Training, |record| record.train_loss);
    let without_smooth =
        |line: &Line| !smooth.iter().any(|smooth| smooth.look == line.look && smooth.points.len() > 1);
    let rough: Vec<Line> = rough.into_iter().filter(without_smooth).collect();
    let smooth = smooth.into_iter().filter(|line| line.points.len() > 1);
    let validation = lines(runs, Kind::Validation, |record| record.valid_loss);
    smooth.chain(rough).chain(validation).collect()
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

fn loss(area: &Canvas<'_>, lines: &[Line], bands: &[Band], axis: Axis) -> Result<()> {
    let span = range_of_most(values(lines));
    panel("loss (nats per token)", axis, (lines, bands), span, false).draw(area)
}

/// The perplexities of the losses.
fn perplexities(runs: &[Vec<Placed<'_>>]) -> Vec<Line> {
    let mut lines = losses(runs);
    for line in &mut lines {
        for point in &mut line.points {
            point.1 = Perplexity::from_nll_mean(point.1).value();
        }
        line.points.retain(|point| can_be_drawn(point.1));
    }
    lines.retain(|line| !line.points.is_empty());
    lines
}

fn perplexity(area: &Canvas<'_>, lines: &[Line], bands: &[Band], axis: Axis) -> Result<()> {
    panel("perplexity", axis, (lines, bands), perplexity_span(lines), false).draw(area)
}

/// The range of the perplexity axis. It is linear, since the loss is already its logarithm.
fn perplexity_span(lines: &[Line]) -> Option<Range<f64>> {
    let lowest_of = |line: &Line| line.points.iter().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let lowest = lines.iter().map(lowest_of).fold(f64::INFINITY, f64::min);
    let worst = lines.iter().map(lowest_of).filter(|&low| low <= LOST * lowest).fold(0.0, f64::max);
    let top = (PERPLEXITY_SPAN * lowest).max(1.1 * worst);
    range(values(lines).filter(|&value| value <= top))
}

fn learning_rates(runs: &[Vec<Placed<'_>>]) -> Vec<Line> {
    lines(runs, Kind::Training, |record| record.learning_rate.filter(|&rate| rate > 0.0))
}

fn learning_rate(area: &Canvas<'_>, lines: &[Line], bands: &[Band], axis: Axis) -> Result<()> {
    panel("learning rate", axis, (lines, bands), log_range(values(lines)), true).draw(area)
}

fn gradient_norms(runs: &[Vec<Placed<'_>>]) -> Vec<Line> {
    lines(runs, Kind::Training, |record| record.gradient_norm)
}

fn gradient_norm(area: &Canvas<'_>, lines: &[Line], bands: &[Band], axis: Axis) -> Result<()> {
    panel("gradient norm", axis, (lines, bands), range_of_most(values(lines)), false).draw(area)
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

    fn draw(&self, area: &Canvas<'_>, note: &str) -> Result<()> {
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
        area.draw(&Text::new(note, (MARGIN as i32, y), label_style(14).pos(middle))).map_err(failed)
    }
}

#[cfg(test)]
mod tests;
