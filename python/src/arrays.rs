//! Numbers for NumPy.

use numpy::{PyArray1, PyArray2, PyArrayMethods, ToPyArray};
use pyo3::prelude::*;

/// A vector.
pub(crate) fn vector<'py>(py: Python<'py>, values: &[f64]) -> Bound<'py, PyArray1<f64>> {
    values.to_pyarray(py)
}

/// A matrix with this number of columns.
pub(crate) fn matrix<'py>(
    py: Python<'py>,
    values: &[f32],
    columns: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    values.to_pyarray(py).reshape([rows, columns])
}

/// An array of any shape.
pub(crate) fn array<'py>(py: Python<'py>, values: &[f32], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    values.to_pyarray(py).call_method1("reshape", (shape.to_vec(),))
}
