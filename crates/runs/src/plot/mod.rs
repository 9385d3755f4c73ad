//! Plots of runs as SVG.
//!
//! ```text
//! records of one run       ─▶ draw      losses and perplexities of training, validation, test
//! records of groups of runs ─▶ compare_groups: means, with bands of confidence intervals
//! records of several runs  ─▶ compare   loss, perplexity, learning rate, gradient norm; one color per run
//! ```
//!
//! Promises: a plot only needs the viewer's fonts; values that are not finite are left out and do not affect the
//! axes. Not here: reading records (`metrics`).

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoFont, RGBColor, SVGBackend, TextStyle};

use crate::RunsError;

mod axes;
mod group;
mod overlay;
mod panel;
mod run;

pub use group::{Group, compare_groups};
pub use overlay::{Axis, Run, compare};
pub use run::draw;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(228, 228, 228);

fn failed(error: impl std::fmt::Display) -> RunsError {
    RunsError::Curve { reason: error.to_string() }
}

fn label_style(size: u32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK)
}
