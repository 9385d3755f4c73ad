//! One chart of an overlay: the same measurement of all runs.

use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::{Circle, Color, DashedLineSeries, IntoLogRange, LineSeries, RGBColor, ShapeStyle};

use super::axes::{Chart, Point, draw_axes, draw_no_values, grouped, log_tick, tick, visible};
use super::{Canvas, failed};
use crate::Result;

/// The style of a run's lines, different for each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) color: RGBColor,
    /// Pixels between dashes; 0 is a solid line.
    pub(super) gap: u32,
}

/// What a line shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Many points: a thin line.
    Training,
    /// Few points, with markers.
    Validation,
}

/// A line of a panel.
pub(super) struct Line {
    pub(super) look: Look,
    pub(super) kind: Kind,
    pub(super) points: Vec<Point>,
}

/// A chart to draw.
pub(super) struct Panel<'a> {
    /// The measurement, with its unit.
    pub(super) what: &'static str,
    pub(super) x_label: &'static str,
    pub(super) lines: &'a [Line],
    /// The range of the vertical axis; `None` if there are no values.
    pub(super) span: Option<Range<f64>>,
    pub(super) logarithmic: bool,
}

impl Panel<'_> {
    pub(super) fn draw(&self, area: &Canvas<'_>) -> Result<()> {
        match &self.span {
            None => draw_no_values(area, self.what),
            Some(span) if self.logarithmic => {
                self.draw_over(area, span.clone().log_scale(), span, &|value| log_tick(*value))
            }
            Some(span) => {
                let label = |value: &f64| tick(*value, span.end - span.start);
                self.draw_over(area, span.clone(), span, &label)
            }
        }
    }

    fn draw_over<Y>(
        &self,
        area: &Canvas<'_>,
        y: Y,
        span: &Range<f64>,
        label: &dyn Fn(&f64) -> String,
    ) -> Result<()>
    where
        Y: AsRangedCoord<Value = f64>,
        Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
    {
        let last = self.lines.iter().flat_map(|line| &line.points).map(|point| point.0).reduce(f64::max);
        let last = last.filter(|&last| last > 0.0).unwrap_or(1.0);
        let mut chart = ChartBuilder::on(area)
            .margin_left(6)
            .margin_right(18)
            .margin_top(10)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(0.0..1.02 * last, y)
            .map_err(failed)?;
        let x_tick = |x: &f64| if last < 10.0 { tick(*x, last) } else { grouped(*x) };
        draw_axes(&mut chart, (self.x_label, self.what), &x_tick, label)?;
        self.lines.iter().try_for_each(|line| draw_line(&mut chart, line, span))
    }
}

fn draw_line<Y: Ranged<ValueType = f64>>(
    chart: &mut Chart<'_, '_, Y>,
    line: &Line,
    span: &Range<f64>,
) -> Result<()> {
    let Line { look, kind, ref points } = *line;
    let (opacity, stroke_width) = match kind {
        Kind::Training => (0.6, 1),
        Kind::Validation => (1.0, 2),
    };
    let style = ShapeStyle { color: look.color.mix(opacity), filled: true, stroke_width };
    for part in visible(points, span.end) {
        if look.gap == 0 {
            chart.draw_series(LineSeries::new(part, style)).map_err(failed)?;
        } else {
            chart.draw_series(DashedLineSeries::new(part, 6, look.gap, style)).map_err(failed)?;
        }
    }
    // A line through a single point would be invisible.
    if kind == Kind::Validation || points.len() == 1 {
        let shown = points.iter().filter(|point| span.contains(&point.1));
        chart.draw_series(shown.map(|&point| Circle::new(point, 3, style))).map_err(failed)?;
    }
    Ok(())
}
