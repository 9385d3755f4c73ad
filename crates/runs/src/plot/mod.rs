//! Plots of runs as SVG.
//!
//! ```text
//! records of one run       ─▶ draw      losses and perplexities of training, validation, test
//! records of several runs  ─▶ compare   loss, perplexity, learning rate, gradient norm; one color per run
//! groups of runs           ─▶ compare_groups   the same for their means, with confidence intervals as bands
//! ```
//!
//! Training losses are means over the intervals between records, not moving averages.
//!
//! Promises: a plot only needs the viewer's fonts; values that are not finite, and those of a run that diverges, do not
//! affect the axes, but are marked. Not here: reading records (`metrics`).

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::{Cartesian2d, DrawingArea, IntoFont, RGBColor, SVGBackend, TextStyle};

use crate::RunsError;

mod axes;
mod group;
mod marks;
mod overlay;
mod panel;
mod run;
mod scale;

pub use group::{Group, compare_groups};
pub use overlay::{Axis, Run, compare};
pub use run::draw;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, scale::Scale>>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(228, 228, 228);

fn failed(error: impl std::fmt::Display) -> RunsError {
    RunsError::Curve { reason: error.to_string() }
}

fn label_style(size: u32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK)
}
