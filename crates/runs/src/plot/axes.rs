//! Axes: how they are drawn, ranges, labels, thinning of points, and clipping of lines at the top edge.

use std::ops::Range;

use plotters::chart::ChartContext;
use plotters::coord::ranged1d::{Ranged, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{Cartesian2d, Color, SVGBackend, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Canvas, GRID, INK, failed, label_style};
use crate::Result;

/// A point in a chart.
pub(super) type Point = (f64, f64);

/// A chart over a linear horizontal axis.
pub(super) type Chart<'a, 'b, Y> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, Y>>;

/// Draws the axes and the grid of a chart of `what`, with its unit.
pub(super) fn draw_axes<Y>(
    chart: &mut Chart<'_, '_, Y>,
    (x_label, what): (&str, &str),
    x_tick: &dyn Fn(&f64) -> String,
    y_tick: &dyn Fn(&f64) -> String,
) -> Result<()>
where
    Y: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    chart
        .configure_mesh()
        .x_desc(x_label)
        .y_desc(what)
        .x_labels(6)
        .y_labels(8)
        .x_label_formatter(&x_tick)
        .y_label_formatter(&y_tick)
        .label_style(label_style(13))
        .axis_desc_style(label_style(14))
        .axis_style(INK.mix(0.6))
        .bold_line_style(GRID)
        .max_light_lines(0)
        .draw()
        .map_err(failed)
}

/// Says in place of a chart that there are no values.
pub(super) fn draw_no_values(area: &Canvas<'_>, what: &str) -> Result<()> {
    let (width, height) = area.dim_in_pixel();
    let style = label_style(14).pos(Pos::new(HPos::Center, VPos::Center));
    let place = (width as i32 / 2, height as i32 / 2);
    area.draw(&Text::new(format!("no {what} recorded"), place, style)).map_err(failed)
}

/// Whether a value can be drawn. The span between two of the largest floating-point numbers would be infinite,
/// and the ticks of an infinite axis would never end.
pub(super) fn can_be_drawn(value: f64) -> bool {
    value.abs() <= 1e100
}

/// More points than this are indistinguishable in a plot and only make the file larger.
const MOST_POINTS: usize = 1000;

/// At most [`MOST_POINTS`] of the points, including the last.
pub(super) fn thinned(points: Vec<Point>) -> Vec<Point> {
    let stride = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    points
        .into_iter()
        .enumerate()
        .filter(|(i, _)| (last - i).is_multiple_of(stride))
        .map(|(_, point)| point)
        .collect()
}

/// From the lowest to the highest value, with a margin; never empty.
pub(super) fn range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let (low, high) = values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    let air = (0.05 * (high - low)).max(1e-3 * high.abs()).max(1e-6);
    (low <= high).then_some(low - air..high + air)
}

/// The range of most values: it ends at a multiple of their ninth decile, so that a single spike does not flatten the
/// rest.
pub(super) fn range_of_most(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    const SPAN: f64 = 4.0;
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let most = *values.get((values.len() * 9 / 10).min(values.len().saturating_sub(1)))?;
    range(values.into_iter().filter(|&value| value <= SPAN * most.abs()))
}

/// The range of positive values on a logarithmic axis, with a margin, and wide enough for two labels.
pub(super) fn log_range(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    let span = range(values.filter(|&value| value > 0.0).map(f64::log10))?;
    let missing = (1.2 - (span.end - span.start)).max(0.0) / 2.0;
    Some(10f64.powf(span.start - missing)..10f64.powf(span.end + missing))
}

/// The parts of a line below `top`, each clipped exactly where the line crosses it.
pub(super) fn visible(points: &[Point], top: f64) -> Vec<Vec<Point>> {
    let mut lines: Vec<Vec<Point>> = vec![];
    let mut line = vec![];
    for (i, &(x, y)) in points.iter().enumerate() {
        let before = i.checked_sub(1).and_then(|before| points.get(before)).copied();
        let crossing = |(x0, y0): Point| (x0 + (x - x0) * (y0 - top) / (y0 - y), top);
        match before {
            Some(before) if before.1 > top && y <= top => line.push(crossing(before)),
            Some(before) if before.1 <= top && y > top => {
                line.push(crossing(before));
                lines.push(std::mem::take(&mut line));
            }
            _ => {}
        }
        if y <= top {
            line.push((x, y));
        }
    }
    lines.push(line);
    lines.retain(|line| !line.is_empty());
    lines
}

/// An integer with thousands separators: `12 000`.
pub(super) fn grouped(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push('\u{2009}');
        }
        text.push(digit);
    }
    text
}

/// A label of an axis that spans `span`, with enough decimals to distinguish neighbors.
pub(super) fn tick(value: f64, span: f64) -> String {
    let decimals = (1.0 - span.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// A label of a logarithmic axis with two digits; in scientific notation if it would be long.
pub(super) fn log_tick(value: f64) -> String {
    let short = format!("{value:.1e}").parse().unwrap_or(value);
    if (1e-4..1e5).contains(&short) { format!("{short}") } else { format!("{short:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_are_thinned_to_their_end() {
        let points: Vec<Point> = (0..12_345).map(|step| (f64::from(step), 1.0)).collect();
        let thinned = thinned(points);
        assert!(thinned.len() <= MOST_POINTS && thinned.len() > MOST_POINTS / 2);
        assert_eq!(thinned.last(), Some(&(12_344.0, 1.0)));
    }

    #[test]
    fn what_has_no_place_on_an_axis_is_told() {
        assert!([0.0, -5.0, 1e-320, 1e100].into_iter().all(can_be_drawn));
        assert!(![f64::NAN, f64::INFINITY, -1e308, f64::MAX].into_iter().any(can_be_drawn));
    }

    #[test]
    fn a_line_enters_and_leaves_through_the_top() {
        let points = [(0.0, 30.0), (1.0, 20.0), (2.0, 10.0), (3.0, 9.0)];
        assert_eq!(visible(&points, 15.0), [vec![(1.5, 15.0), (2.0, 10.0), (3.0, 9.0)]]);
        assert_eq!(visible(&points, 40.0), [points.to_vec()]);
        assert!(visible(&points, 5.0).is_empty());
        let spike = [(0.0, 1.0), (1.0, 3.0), (2.0, 1.0)];
        let parts = [vec![(0.0, 1.0), (0.5, 2.0)], vec![(1.5, 2.0), (2.0, 1.0)]];
        assert_eq!(visible(&spike, 2.0), parts);
    }

    #[test]
    fn a_spike_does_not_set_the_range() {
        let values = (0..100).map(|n| if n == 50 { 1e9 } else { f64::from(n) });
        let span = range_of_most(values).unwrap();
        assert!(span.start < 0.0 && (99.0..120.0).contains(&span.end), "{span:?}");
        assert_eq!(range_of_most(std::iter::empty()), None);
        assert!(range_of_most([2.0].into_iter()).is_some_and(|span| span.contains(&2.0)));
    }

    #[test]
    fn a_logarithmic_range_has_room_for_labels_and_none_for_zero() {
        let span = log_range([0.0, 20.0, 20.0].into_iter()).unwrap();
        assert!(span.start > 1.0 && span.end / span.start > 10.0, "{span:?}");
        let span = log_range([1e-6, 1.0].into_iter()).unwrap();
        assert!(span.start > 1e-7 && span.end < 10.0, "{span:?}");
        assert_eq!(log_range([0.0].into_iter()), None);
    }

    #[test]
    fn labels_are_as_long_as_needed() {
        assert_eq!(grouped(1_234_567.0), "1\u{2009}234\u{2009}567");
        assert_eq!(grouped(200.0), "200");
        assert_eq!(
            (tick(5.25, 3.0), tick(150.0, 400.0), tick(0.125, 0.05)),
            ("5.2".into(), "150".into(), "0.125".into())
        );
        let labels = [0.1 + 0.2, 20.0, 1e-6, 0.001].map(log_tick);
        assert_eq!(labels, ["0.3", "20", "1e-6", "0.001"]);
    }
}
