//! Numbers for NumPy.

use numpy::{PyArray1, PyArray2, PyArrayMethods, PyReadonlyArray1, ToPyArray};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// A vector.
pub(crate) fn vector<'py>(py: Python<'py>, values: &[f64]) -> Bound<'py, PyArray1<f64>> {
    values.to_pyarray(py)
}

/// A matrix with this number of columns.
pub(crate) fn matrix<'py>(
    py: Python<'py>,
    values: Vec<f32>,
    columns: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    PyArray1::from_vec(py, values).reshape([rows, columns])
}

/// An array of any shape.
pub(crate) fn array<'py>(py: Python<'py>, values: &[f32], shape: &[usize]) -> PyResult<Bound<'py, PyAny>> {
    values.to_pyarray(py).call_method1("reshape", (shape.to_vec(),))
}

/// The ids in a vector of integers, which can be a list.
pub(crate) fn ids(values: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
    let array = values.py().import("numpy")?.call_method1("asarray", (values,))?;
    let kind: String = array.getattr("dtype")?.getattr("kind")?.extract()?;
    let (dimensions, len): (usize, usize) =
        (array.getattr("ndim")?.extract()?, array.getattr("size")?.extract()?);
    if (kind != "i" && kind != "u" && len > 0) || dimensions != 1 {
        return Err(PyTypeError::new_err("ids are a vector of integers"));
    }
    let array: PyReadonlyArray1<'_, i64> = array.call_method1("astype", ("int64",))?.extract()?;
    let id = |&id: &i64| u32::try_from(id).map_err(|_| PyValueError::new_err(format!("{id} is not an id")));
    array.as_array().iter().map(id).collect()
}
