//! One chart of an overlay: the same measurement of all runs.

use std::ops::Range;

use plotters::chart::ChartBuilder;
use plotters::prelude::{Circle, Color, DashedLineSeries, LineSeries, Polygon, RGBColor, ShapeStyle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{Point, Visible, grouped};
use super::marks::{self, Marks};
use super::scale::{Scale, tick};
use super::{Canvas, Chart, GRID, INK, failed, label_style};
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
    /// Whether it ends because its later values cannot be drawn: they are NaN, infinite or astronomical.
    pub(super) is_lost: bool,
}

/// The area of a confidence interval around a line.
pub(super) struct Band {
    pub(super) look: Look,
    pub(super) kind: Kind,
    /// Positions, each with the lower and the upper end.
    pub(super) points: Vec<(f64, f64, f64)>,
}

/// A chart to draw.
pub(super) struct Panel<'a> {
    /// The measurement, with its unit.
    pub(super) what: &'static str,
    pub(super) x_label: &'static str,
    pub(super) lines: &'a [Line],
    pub(super) bands: &'a [Band],
    /// The range of the vertical axis; `None` if there are no values.
    pub(super) span: Option<Range<f64>>,
    pub(super) logarithmic: bool,
}

impl Panel<'_> {
    /// Draws it, and returns which marks it has.
    pub(super) fn draw(&self, area: &Canvas<'_>) -> Result<Marks> {
        match &self.span {
            None => {
                let (width, height) = area.dim_in_pixel();
                let style = label_style(14).pos(Pos::new(HPos::Center, VPos::Center));
                let place = (width as i32 / 2, height as i32 / 2);
                area.draw(&Text::new(format!("no {} recorded", self.what), place, style)).map_err(failed)?;
                Ok(Marks::default())
            }
            Some(range) => self.draw_on(area, &Scale { range: range.clone(), logarithmic: self.logarithmic }),
        }
    }

    fn draw_on(&self, area: &Canvas<'_>, scale: &Scale) -> Result<Marks> {
        let last = self.lines.iter().flat_map(|line| &line.points).map(|point| point.0).reduce(f64::max);
        let last = last.filter(|&last| last > 0.0).unwrap_or(1.0);
        let mut chart = ChartBuilder::on(area)
            .margin_left(6)
            .margin_right(18)
            .margin_top(10)
            .x_label_area_size(44)
            .y_label_area_size(62)
            .build_cartesian_2d(0.0..1.02 * last, scale.clone())
            .map_err(failed)?;
        chart
            .configure_mesh()
            .x_desc(self.x_label)
            .y_desc(self.what)
            .x_labels(6)
            .y_labels(8)
            .x_label_formatter(&|x| if last < 10.0 { tick(*x, last) } else { grouped(*x) })
            .y_label_formatter(&|value| scale.label(*value))
            .label_style(label_style(13))
            .axis_desc_style(label_style(14))
            .axis_style(INK.mix(0.6))
            .bold_line_style(GRID)
            .max_light_lines(0)
            .draw()
            .map_err(failed)?;
        self.bands.iter().try_for_each(|band| draw_band(&mut chart, band, scale))?;
        let mut marks = Marks::default();
        for line in self.lines {
            let exits = draw_line(&mut chart, line, scale)?;
            let lost = line.points.last().filter(|_| line.is_lost);
            marks = marks.and(marks::draw(area, &chart, scale, line.look.color, &exits, lost)?);
        }
        Ok(marks)
    }
}

/// Draws a band within the range of the axis; a single position as a bar.
fn draw_band(chart: &mut Chart<'_, '_>, Band { look, kind, points }: &Band, scale: &Scale) -> Result<()> {
    let within = |y: f64| y.clamp(scale.range.start, scale.range.end);
    let lower = points.iter().map(|&(x, low, _)| (x, within(low)));
    let upper = points.iter().rev().map(|&(x, _, high)| (x, within(high)));
    let outline: Vec<Point> = lower.chain(upper).collect();
    if let [low, high] = outline[..] {
        let style = ShapeStyle { color: look.color.mix(0.6), filled: false, stroke_width: 2 };
        chart.draw_series(LineSeries::new([low, high], style)).map_err(failed)?;
    } else {
        let opacity = match kind {
            Kind::Training => 0.12,
            Kind::Validation => 0.2,
        };
        let area = Polygon::new(outline, look.color.mix(opacity));
        chart.draw_series(std::iter::once(area)).map_err(failed)?;
    }
    Ok(())
}

/// Draws a line and returns where it leaves the chart.
fn draw_line(chart: &mut Chart<'_, '_>, line: &Line, scale: &Scale) -> Result<Vec<f64>> {
    let Line { look, kind, ref points, .. } = *line;
    let (opacity, stroke_width) = match kind {
        Kind::Training => (0.6, 1),
        Kind::Validation => (1.0, 2),
    };
    let style = ShapeStyle { color: look.color.mix(opacity), filled: true, stroke_width };
    let Visible { parts, exits } = Visible::of(points, scale);
    for part in parts {
        if look.gap == 0 {
            chart.draw_series(LineSeries::new(part, style)).map_err(failed)?;
        } else {
            chart.draw_series(DashedLineSeries::new(part, 6, look.gap, style)).map_err(failed)?;
        }
    }
    // A line through a single point would be invisible.
    if kind == Kind::Validation || points.len() == 1 {
        let shown = points.iter().filter(|point| scale.range.contains(&point.1));
        chart.draw_series(shown.map(|&point| Circle::new(point, 3, style))).map_err(failed)?;
    }
    Ok(exits)
}
