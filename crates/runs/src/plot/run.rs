//! A plot of one run: its losses and perplexities.
//!
//! Two charts side by side over the steps. The left one shows the training loss, smoothed if the run recorded
//! that, and the validation and test losses as points. The right one shows their perplexities on a linear scale
//! that ends at a small multiple of the lowest, since the first perplexities of a run are many times the last.

use std::ops::Range;

use plotters::chart::{ChartBuilder, SeriesLabelPosition};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{
    Circle, Color, EmptyElement, IntoDrawingArea, IntoFont, LineSeries, PathElement, RGBColor, SVGBackend,
    ShapeStyle, Text, TextStyle, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axes::{Chart, can_be_drawn, draw_axes, draw_no_values, grouped, range, thinned, tick, visible};
use super::{Canvas, FONT, GRID, INK, failed, label_style};
use crate::metrics::Record;
use crate::{Perplexity, Result};

const SIZE: (u32, u32) = (1080, 440);

/// The perplexity axis ends at this multiple of the lowest.
const PERPLEXITY_SPAN: f64 = 5.0;

/// The width of the charts relative to the run, with room for the labels at its end.
const ROOM_FOR_LABELS: f64 = 1.12;

/// One line of a chart.
struct Curve {
    label: &'static str,
    color: RGBColor,
    /// For a line with few points: they get markers, and the lowest is labeled on this side.
    labeled: Option<VPos>,
    points: Vec<(f64, f64)>,
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
    let span = range(losses.iter().flat_map(|curve| &curve.points).map(|point| point.1));
    draw_chart(&left, "loss (nats per token)", &losses, span)?;

    let perplexities = losses.into_iter().map(as_perplexities).collect::<Vec<_>>();
    let span = perplexity_span(&perplexities);
    draw_chart(&right, "perplexity", &perplexities, span)?;
    canvas.present().map_err(failed)
}

/// The curves of the losses, in Okabe and Ito's palette, which is safe for color-blind readers.
fn curves(records: &[Record]) -> Vec<Curve> {
    let points = |value: fn(&Record) -> Option<f64>| -> Vec<(f64, f64)> {
        let points = records.iter().filter_map(|record| Some((record.step as f64, value(record)?)));
        points.filter(|point| can_be_drawn(point.1)).collect()
    };
    let smooth = points(|record| record.moving_loss);
    let train = if smooth.is_empty() { points(|record| record.train_loss) } else { smooth };
    let curve = |label, color, labeled, points| Curve { label, color, labeled, points };
    [
        curve("train", RGBColor(86, 180, 233), None, thinned(train)),
        curve("valid", RGBColor(0, 114, 178), Some(VPos::Bottom), points(|record| record.valid_loss)),
        curve("test", RGBColor(213, 94, 0), Some(VPos::Top), points(|record| record.test_loss)),
    ]
    .into_iter()
    .filter(|curve| !curve.points.is_empty())
    .collect()
}

fn as_perplexities(curve: Curve) -> Curve {
    let perplexity = |(step, loss)| (step, Perplexity::from_nll_mean(loss).value());
    let points = curve.points.into_iter().map(perplexity).filter(|point| can_be_drawn(point.1)).collect();
    Curve { points, ..curve }
}

fn perplexity_span(curves: &[Curve]) -> Option<Range<f64>> {
    let values = || curves.iter().flat_map(|curve| &curve.points).map(|point| point.1);
    let lowest = values().fold(f64::INFINITY, f64::min);
    range(values().filter(|&value| value <= PERPLEXITY_SPAN * lowest))
}

fn draw_chart(area: &Canvas<'_>, what: &str, curves: &[Curve], span: Option<Range<f64>>) -> Result<()> {
    let last_step = curves.iter().flat_map(|curve| &curve.points).map(|point| point.0).reduce(f64::max);
    let (Some(last_step), Some(span)) = (last_step, span) else {
        return draw_no_values(area, what);
    };
    let mut chart = ChartBuilder::on(area)
        .margin_left(6)
        .margin_right(14)
        .x_label_area_size(44)
        .y_label_area_size(58)
        .build_cartesian_2d(0.0..ROOM_FOR_LABELS * last_step.max(1.0), span.clone())
        .map_err(failed)?;
    let y_tick = |value: &f64| tick(*value, span.end - span.start);
    draw_axes(&mut chart, ("step", what), &|step| grouped(*step), &y_tick)?;
    for curve in curves {
        draw_curve(&mut chart, curve, &span)?;
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
        .map_err(failed)
}

fn draw_curve(chart: &mut Chart<'_, '_, RangedCoordf64>, curve: &Curve, span: &Range<f64>) -> Result<()> {
    let style = ShapeStyle { color: curve.color.to_rgba(), filled: true, stroke_width: 2 };
    for line in visible(&curve.points, span.end) {
        chart.draw_series(LineSeries::new(line, style)).map_err(failed)?;
    }
    chart
        .draw_series(std::iter::empty::<PathElement<(f64, f64)>>())
        .map_err(failed)?
        .label(curve.label)
        .legend(move |(x, y)| PathElement::new([(x + 2, y), (x + 20, y)], style));
    let shown = || curve.points.iter().copied().filter(|point| point.1 <= span.end);
    // A line through a single point would be invisible.
    if curve.labeled.is_some() || curve.points.len() == 1 {
        chart.draw_series(shown().map(|point| Circle::new(point, 4, style))).map_err(failed)?;
    }
    let lowest = shown().min_by(|a, b| a.1.total_cmp(&b.1));
    if let (Some(side), Some(lowest)) = (curve.labeled, lowest) {
        let style = TextStyle::from((FONT, 13).into_font()).color(&curve.color);
        let label = EmptyElement::at(lowest)
            + Text::new(
                format!("{:.2}", lowest.1),
                (8, if matches!(side, VPos::Top) { -2 } else { 2 }),
                style.pos(Pos::new(HPos::Left, side)),
            );
        chart.draw_series([label]).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run as WikiText-2's recipe gives it.
    fn run() -> Vec<Record> {
        let mut records = vec![];
        for step in (200..=8949_u64).step_by(200) {
            let loss = 4.9 + 5.0 * (-(step as f64) / 700.0).exp();
            records.push(Record { epoch: 1, step, train_loss: Some(loss), ..Record::default() });
        }
        for (epoch, valid, test) in [(1, 5.44, 5.36), (2, 5.16, 5.08), (3, 5.07, 4.99)] {
            let step = epoch as u64 * 2983;
            let (valid_loss, test_loss) = (Some(valid), Some(test));
            records.push(Record { epoch, step, valid_loss, test_loss, ..Record::default() });
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
        let nan = Record { step: 1, train_loss: Some(f64::NAN), ..Record::default() };
        assert!(draw("nan", &[nan]).unwrap().contains("no loss (nats per token) recorded"));
        let one = Record { step: 1, train_loss: Some(800.0), ..Record::default() };
        assert!(draw("one", &[one]).unwrap().contains("no perplexity recorded"));
    }

    /// The span of such values is infinite, which used to make drawing the axis loop forever.
    #[test]
    fn numbers_too_large_for_an_axis_are_left_out() {
        let record =
            |step, loss| Record { step, train_loss: Some(loss), valid_loss: Some(loss), ..Record::default() };
        let svg = draw("huge", &[record(0, -1e308), record(u64::MAX, 1e308), record(1, 5.0)]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 2 * 2, "one of each curve in each chart");
    }

    #[test]
    fn a_title_cannot_break_the_picture() {
        assert!(draw("a < b & c", &run()).unwrap().contains("a &lt; b &amp; c"));
    }
}
