//! Plots of runs.

use std::path::PathBuf;

use pyo3::prelude::*;
use rondo::runs::plot::{Axis, Run, compare};

use crate::error::{self, RondoError};

/// One SVG of several runs.
#[pyfunction]
pub(crate) fn plot_runs(py: Python<'_>, folders: Vec<PathBuf>, x: &str) -> PyResult<String> {
    let axis = match x {
        "steps" => Axis::Steps,
        "epochs" => Axis::Epochs,
        "seconds" => Axis::Seconds,
        other => {
            let message = format!("unknown axis `{other}`, expected `steps`, `epochs` or `seconds`");
            return Err(RondoError::new_err(message));
        }
    };
    let draw = || compare(&Run::read_all(&folders)?, axis);
    py.detach(draw).map_err(error::of_training)
}
