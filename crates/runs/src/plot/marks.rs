//! Marks where a line leaves a chart: at the top, or because its values are not finite.

use plotters::element::{Cross, Polygon};
use plotters::prelude::{RGBColor, ShapeStyle};

use super::axes::Point;
use super::scale::Scale;
use super::{Canvas, Chart, failed};
use crate::Result;

/// Pixels between marks of the same line.
const DISTANCE: i32 = 12;

/// Which marks a picture has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    above: bool,
    lost: bool,
}

impl Marks {
    /// These marks and others.
    pub(super) fn and(self, other: Marks) -> Marks {
        Marks { above: self.above || other.above, lost: self.lost || other.lost }
    }

    /// What the marks mean, if there are any.
    pub(super) fn note(self) -> Option<&'static str> {
        match (self.above, self.lost) {
            (false, false) => None,
            (true, false) => Some("triangle: the line continues above the axis"),
            (false, true) => Some("cross: NaN or infinite from there"),
            (true, true) => {
                Some("triangle: the line continues above the axis; cross: NaN or infinite from there")
            }
        }
    }
}

/// Draws a triangle at the top edge where a line exits, and a cross at its last point if its later values are not
/// finite. They are drawn in pixels, since the triangles are outside the axes.
pub(super) fn draw(
    area: &Canvas<'_>,
    chart: &Chart<'_, '_>,
    scale: &Scale,
    color: RGBColor,
    exits: &[f64],
    lost: Option<&Point>,
) -> Result<Marks> {
    let origin = area.get_base_pixel();
    let place = |point: Point| {
        let (x, y) = chart.backend_coord(&point);
        (x - origin.0, y - origin.1)
    };
    // A line that leaves and returns all the time gets a mark only now and then.
    let mut next = i32::MIN;
    for &exit in exits {
        let (x, y) = place((exit, scale.range.end));
        if x >= next {
            let triangle = [(x - 5, y + 1), (x + 5, y + 1), (x, y - 8)];
            area.draw(&Polygon::new(triangle, ShapeStyle::from(&color).filled())).map_err(failed)?;
            next = x + DISTANCE;
        }
    }
    let lost = lost.filter(|end| scale.range.contains(&end.1));
    if let Some(&end) = lost {
        area.draw(&Cross::new(place(end), 6, ShapeStyle::from(&color).stroke_width(2))).map_err(failed)?;
    }
    Ok(Marks { above: !exits.is_empty(), lost: lost.is_some() })
}
