//! A plot of one run: its losses and perplexities.
//!
//! Two charts side by side over the steps. The left one shows the training loss, as the mean of each interval between
//! records and as a moving average, and the validation and test losses as points. The right one shows perplexities on a
//! logarithmic axis that ends at a small multiple of the lowest, since the first ones of a run are many times the last.

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::prelude::{
    Circle, Color, EmptyElement, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend,
    ShapeStyle, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{
    Point, Visible, averaged, can_be_drawn, grouped, loss_range, perplexities, perplexity_range, thinned,
};
use super::marks::{self, Marks};
use super::scale::Scale;
use super::{Canvas, Chart, FONT, GRID, INK, failed, label_style};
use crate::Result;
use crate::metrics::Record;

const SIZE: (u32, u32) = (1080, 440);

/// The width of the charts relative to the run, with room for the labels at its end.
const ROOM_FOR_LABELS: f64 = 1.12;

const MOVING_AVERAGE: &str = "train, moving average";

/// One line of a chart.
struct Curve {
    label: &'static str,
    color: RGBColor,
    stroke_width: u32,
    /// For a line with few points: they get markers, and the lowest is labeled on this side.
    labeled: Option<VPos>,
    points: Vec<Point>,
    /// Whether it ends because its later values cannot be drawn: they are NaN, infinite or astronomical.
    is_lost: bool,
}

/// Draws the records of a run as SVG.
///
/// # Errors
/// [`RunsError::Curve`](crate::RunsError::Curve) if the drawing library fails.
pub fn draw(title: &str, records: &[Record]) -> Result<String> {
    let mut svg = String::new();
    let canvas = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    draw_on(&canvas, title, records)?;
    // Dropping the canvas completes the SVG.
    drop(canvas);
    Ok(svg)
}

fn draw_on(canvas: &Canvas<'_>, title: &str, records: &[Record]) -> Result<()> {
    canvas.fill(&WHITE).map_err(failed)?;
    let title_style =
        TextStyle::from((FONT, 22).into_font()).color(&INK).pos(Pos::new(HPos::Center, VPos::Top));
    let below = canvas.margin(44, 10, 14, 22);
    canvas.draw(&Text::new(title, (SIZE.0 as i32 / 2, 14), title_style)).map_err(failed)?;

    let losses = curves(records);
    let (left, right) = below.split_horizontally(below.dim_in_pixel().0 / 2);
    let range = loss_range(&points(&losses));
    let scale = range.map(|range| Scale { range, logarithmic: false });
    let loss_marks = draw_chart(&left, "loss (nats per token)", &losses, scale)?;

    // The moving average is an average of losses, not of perplexities.
    let means = losses.into_iter().filter(|curve| curve.label != MOVING_AVERAGE);
    let curves: Vec<Curve> = means.map(as_perplexities).collect();
    let range = perplexity_range(&points(&curves));
    let scale = range.map(|range| Scale { range, logarithmic: true });
    let perplexity_marks = draw_chart(&right, "perplexity", &curves, scale)?;

    if let Some(note) = loss_marks.and(perplexity_marks).note() {
        let style = label_style(13).pos(Pos::new(HPos::Right, VPos::Bottom));
        let place = (SIZE.0 as i32 - 22, SIZE.1 as i32 - 4);
        canvas.draw(&Text::new(note, place, style)).map_err(failed)?;
    }
    canvas.present().map_err(failed)
}

/// The points of each curve.
fn points(curves: &[Curve]) -> Vec<&[Point]> {
    curves.iter().map(|curve| curve.points.as_slice()).collect()
}

/// The curves of the losses, in Okabe and Ito's palette, which is safe for color-blind readers.
fn curves(records: &[Record]) -> Vec<Curve> {
    let curve = |label, color, stroke_width, labeled, value: fn(&Record) -> Option<f64>| {
        let points = records.iter().filter_map(|record| Some((record.step as f64, value(record)?)));
        let all: Vec<Point> = points.collect();
        let is_lost = all.last().is_some_and(|last| !can_be_drawn(last.1));
        let points = all.into_iter().filter(|point| can_be_drawn(point.1)).collect();
        Curve { label, color, stroke_width, labeled, points, is_lost }
    };
    let blue = RGBColor(86, 180, 233);
    let mut intervals = curve("train, interval means", blue, 2, None, |record| record.interval_loss);
    intervals.points = averaged(intervals.points);
    let mut moving = curve(MOVING_AVERAGE, RGBColor(150, 150, 150), 1, None, |record| record.moving_loss);
    moving.points = thinned(moving.points);
    // A run that recorded less than two intervals has a curve of its epochs.
    let epochs = curve("train, epoch means", blue, 2, None, |record| record.epoch_loss);
    let train = if intervals.points.len() > 1 || epochs.points.is_empty() {
        vec![moving, intervals]
    } else {
        vec![epochs]
    };
    let valid = curve("valid", RGBColor(0, 114, 178), 2, Some(VPos::Bottom), |record| record.valid_loss);
    let test = curve("test", RGBColor(213, 94, 0), 2, Some(VPos::Top), |record| record.test_loss);
    train.into_iter().chain([valid, test]).filter(|curve| !curve.points.is_empty()).collect()
}

fn as_perplexities(curve: Curve) -> Curve {
    Curve { points: perplexities(&curve.points), ..curve }
}

fn draw_chart(area: &Canvas<'_>, what: &str, curves: &[Curve], scale: Option<Scale>) -> Result<Marks> {
    let last_step = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).reduce(f64::max);
    let (Some(last_step), Some(scale)) = (last_step, scale) else {
        let (width, height) = area.dim_in_pixel();
        let style = label_style(14).pos(Pos::new(HPos::Center, VPos::Center));
        let place = (width as i32 / 2, height as i32 / 2);
        area.draw(&Text::new(format!("no {what} recorded"), place, style)).map_err(failed)?;
        return Ok(Marks::default());
    };
    let mut chart = ChartBuilder::on(area)
        .margin_left(6)
        .margin_right(14)
        .margin_top(8)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..ROOM_FOR_LABELS * last_step.max(1.0), scale.clone())
        .map_err(failed)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(what)
        .x_labels(6)
        .y_labels(8)
        .x_label_formatter(&|step| grouped(*step))
        .y_label_formatter(&|value| scale.label(*value))
        .label_style(label_style(13))
        .axis_desc_style(label_style(14))
        .axis_style(INK.mix(0.6))
        .bold_line_style(GRID)
        .max_light_lines(0)
        .draw()
        .map_err(failed)?;
    let mut marks = Marks::default();
    for curve in curves {
        let exits = draw_curve(&mut chart, curve, &scale)?;
        let lost = curve.points.last().filter(|_| curve.is_lost);
        marks = marks.and(marks::draw(area, &chart, &scale, curve.color, &exits, lost)?);
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .margin(12)
        .legend_area_size(26)
        .label_font(label_style(14))
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .draw()
        .map_err(failed)?;
    Ok(marks)
}

/// Draws a curve and returns where it leaves the chart.
fn draw_curve(chart: &mut Chart<'_, '_>, curve: &Curve, scale: &Scale) -> Result<Vec<f64>> {
    let Curve { color, stroke_width, ref points, .. } = *curve;
    let style = ShapeStyle { color: color.to_rgba(), filled: true, stroke_width };
    let Visible { parts, exits } = Visible::of(points, scale);
    for part in parts {
        chart.draw_series(LineSeries::new(part, style)).map_err(failed)?;
    }
    chart
        .draw_series(std::iter::empty::<PathElement<Point>>())
        .map_err(failed)?
        .label(curve.label)
        .legend(move |(x, y)| PathElement::new([(x + 2, y), (x + 20, y)], style));
    let shown = || points.iter().copied().filter(|point| scale.range.contains(&point.1));
    // A line through a single point would be invisible.
    if curve.labeled.is_some() || points.len() == 1 {
        chart.draw_series(shown().map(|point| Circle::new(point, 4, style))).map_err(failed)?;
    }
    let lowest = shown().min_by(|a, b| a.1.total_cmp(&b.1));
    if let (Some(side), Some(lowest)) = (curve.labeled, lowest) {
        let style = TextStyle::from((FONT, 13).into_font()).color(&color);
        let label = EmptyElement::at(lowest)
            + Text::new(
                format!("{:.2}", lowest.1),
                (8, if matches!(side, VPos::Top) { -2 } else { 2 }),
                style.pos(Pos::new(HPos::Left, side)),
            );
        chart.draw_series([label]).map_err(failed)?;
    }
    Ok(exits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::RecordKind;

    /// A run as WikiText-2's recipe gives it.
    fn run() -> Vec<Record> {
        let mut records = vec![];
        for step in (200..=8949_u64).step_by(200) {
            let loss = 4.9 + 5.0 * (-(step as f64) / 700.0).exp();
            records.push(Record { epoch: 1, step, interval_loss: Some(loss), ..Record::default() });
        }
        for (epoch, valid, test) in [(1, 5.44, 5.36), (2, 5.16, 5.08), (3, 5.07, 4.99)] {
            let step = epoch as u64 * 2983;
            let (valid_loss, test_loss) = (Some(valid), Some(test));
            let kind = RecordKind::Epoch;
            records.push(Record { kind, epoch, step, valid_loss, test_loss, ..Record::default() });
        }
        records
    }

    #[test]
    fn a_run_has_both_charts_with_axes_and_legends() {
        let svg = draw("wikitext2-standard-200", &run()).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "wikitext2-standard-200",
            "loss (nats per token)",
            "perplexity",
            "step",
            "train",
            "valid",
            "test",
        ] {
            assert!(svg.contains(text), "{text} is missing");
        }
        assert_eq!(svg.matches("<circle").count(), 4 * 3);
        // The lowest are labeled: exp(5.07) and exp(4.99).
        assert!(svg.contains("159.17") && svg.contains("146.94"));
    }

    #[test]
    fn a_run_without_records_or_without_numbers_is_drawn_too() {
        assert!(draw("empty", &[]).unwrap().contains("no perplexity recorded"));
        let nan = Record { step: 1, interval_loss: Some(f64::NAN), ..Record::default() };
        assert!(draw("nan", &[nan]).unwrap().contains("no loss (nats per token) recorded"));
        let one = Record { step: 1, interval_loss: Some(800.0), ..Record::default() };
        assert!(draw("one", &[one]).unwrap().contains("no perplexity recorded"));
    }

    /// The span of such values is infinite, which used to make drawing the axis loop forever.
    #[test]
    fn numbers_too_large_for_an_axis_are_left_out() {
        let record = |step, loss| Record {
            step,
            interval_loss: Some(loss),
            valid_loss: Some(loss),
            ..Record::default()
        };
        let svg = draw("huge", &[record(0, -1e308), record(u64::MAX, 1e308), record(1, 5.0)]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2 * 2, "one of each curve in each chart");
    }

    #[test]
    fn a_title_cannot_break_the_picture() {
        assert!(draw("a < b & c", &run()).unwrap().contains("a &lt; b &amp; c"));
    }
}
