//! Settings of training from keyword arguments.

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyList, PyTuple};
use rondo::data::{NAMED_CORPORA, or_nearest};
use rondo::train::Settings;
use rondo::train::settings::{FIELDS, Field};

use crate::error;

/// The name of a setting in Python: that of the flag of the command.
fn name(field: &Field) -> String {
    match field.flag().replace('-', "_") {
        keyword if keyword == "from" => "from_model".to_owned(),
        name => name,
    }
}

/// The settings with their help and defaults, by name.
#[pyfunction]
pub(crate) fn settings(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let all = PyDict::new(py);
    for field in FIELDS {
        all.set_item(name(field), (field.help, field.default))?;
    }
    Ok(all)
}

/// The names of the settings of the text.
#[pyfunction]
pub(crate) fn text_settings() -> Vec<String> {
    FIELDS.iter().filter(|field| field.path().starts_with("text.")).map(name).collect()
}

/// The names of the published corpora.
#[pyfunction]
pub(crate) fn corpora() -> Vec<&'static str> {
    NAMED_CORPORA.iter().map(|corpus| corpus.name).collect()
}

/// Reads keyword arguments.
pub(crate) fn read(given: &Bound<'_, PyDict>) -> PyResult<Settings> {
    let mut settings = Settings::default();
    for (key, value) in given {
        let key: String = key.extract()?;
        if value.is_none() {
            continue;
        }
        let Some(field) = FIELDS.iter().find(|field| name(field) == key) else {
            let names: Vec<String> = FIELDS.iter().map(name).collect();
            let nearest = or_nearest(&key, names.iter().map(String::as_str));
            return Err(PyTypeError::new_err(format!("unknown setting `{key}`{nearest}")));
        };
        let texts = texts(&value)?;
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        settings.set(field, &texts).map_err(error::of_training)?;
    }
    Ok(settings)
}

/// The texts of a value, as a flag takes them.
fn texts(value: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(vec![flag.is_true().to_string()]);
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let items = value.try_iter()?.map(|item| Ok(item?.str()?.to_string()));
        let items = items.collect::<PyResult<Vec<String>>>()?;
        // A single empty text is an empty list.
        return Ok(if items.is_empty() { vec![String::new()] } else { items });
    }
    Ok(vec![value.str()?.to_string()])
}
