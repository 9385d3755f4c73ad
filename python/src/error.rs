//! Errors of the library as exceptions.

use std::error::Error;

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyTypeError};
use pyo3::prelude::*;
use rondo::data::{DataError, or_nearest};
use rondo::infer::InferError;
use rondo::train::TrainError;

create_exception!(
    rondo,
    RondoError,
    PyException,
    "Something that Rondo cannot do; all its errors are of this class."
);
create_exception!(rondo, TextError, RondoError, "A text, a vocabulary or a tokenizer cannot be read.");
create_exception!(rondo, ModelError, RondoError, "A model cannot be opened or used as asked.");
create_exception!(
    rondo,
    TrainingError,
    RondoError,
    "Settings are invalid, or a run cannot begin or continue."
);

/// Adds the exceptions to the module.
pub(crate) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("RondoError", py.get_type::<RondoError>())?;
    module.add("TextError", py.get_type::<TextError>())?;
    module.add("ModelError", py.get_type::<ModelError>())?;
    module.add("TrainingError", py.get_type::<TrainingError>())
}

/// The message of an error, and of what caused it.
fn message(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        let more = error.to_string();
        // Transparent errors repeat their cause.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Whether the error is about a text, or was caused by one that is. Transparent errors hide what they contain.
fn is_about_text(error: &(dyn Error + 'static)) -> bool {
    error.is::<DataError>()
        || matches!(error.downcast_ref(), Some(TrainError::Data(_) | TrainError::Infer(InferError::Data(_))))
        || matches!(error.downcast_ref(), Some(InferError::Data(_)))
        || error.source().is_some_and(is_about_text)
}

/// An error of working with a model.
pub(crate) fn of_model(error: impl Error + 'static) -> PyErr {
    if is_about_text(&error) {
        TextError::new_err(message(&error))
    } else {
        ModelError::new_err(message(&error))
    }
}

/// An error of training.
pub(crate) fn of_training(error: impl Error + 'static) -> PyErr {
    if is_about_text(&error) {
        TextError::new_err(message(&error))
    } else {
        TrainingError::new_err(message(&error))
    }
}

/// An error of reading a text.
pub(crate) fn of_text(error: DataError) -> PyErr {
    TextError::new_err(message(&error))
}

/// A keyword argument that is none of these.
pub(crate) fn unexpected<const N: usize>(argument: &str, names: [&str; N]) -> PyErr {
    let nearest = or_nearest(argument, names);
    PyTypeError::new_err(format!("unexpected argument `{argument}`{nearest}"))
}
