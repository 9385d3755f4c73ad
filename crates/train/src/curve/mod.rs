//! Pictures of runs.
//!
//! ```text
//! records of one run    ─▶ draw      losses and perplexities of training, validation, test
//! records of some runs  ─▶ compare   loss, perplexity, learning rate, gradient norm; a colour a run
//! ```
//!
//! Promises: pictures are SVG, and need no font but the viewer's; what is not finite is left out and moves no axis.
//! Not here: where records come from (`metrics`).

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, IntoFont, RGBColor, SVGBackend, TextStyle};

use crate::TrainError;

mod axes;
mod comparison;
mod panel;
mod run;

pub use comparison::{Axis, Run, compare};
pub use run::draw;

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(51, 51, 51);
const GRID: RGBColor = RGBColor(228, 228, 228);

fn failed(error: impl std::fmt::Display) -> TrainError {
    TrainError::Curve { reason: error.to_string() }
}

fn label_style(size: u32) -> TextStyle<'static> {
    TextStyle::from((FONT, size).into_font()).color(&INK)
}
