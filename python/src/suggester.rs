//! What a user wants suggested, and suggestions for a text that grows.

use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString};
use rondo::infer::{self, Completing, Completion, Preferences};

use crate::error;
use crate::model::LanguageModel;

/// Suggests words while a text is written.
#[pyclass(frozen, module = "rondo")]
pub(crate) struct Suggester {
    suggester: Mutex<infer::Suggester>,
    model: Py<LanguageModel>,
}

/// A word and its log-probability.
pub(crate) type Word = (String, f64);

impl Suggester {
    pub(crate) fn new(suggester: infer::Suggester, model: Py<LanguageModel>) -> Suggester {
        Suggester { suggester: Mutex::new(suggester), model }
    }
}

#[pymethods]
impl Suggester {
    #[pyo3(signature = (text, n=5, *, partial=true))]
    fn suggest(&self, py: Python<'_>, text: &str, n: usize, partial: bool) -> PyResult<Vec<Word>> {
        let model = self.model.get().here()?;
        let completing = Completing { partial, ..model.completing(n) };
        let suggest =
            || self.suggester.lock().unwrap_or_else(PoisonError::into_inner).suggest(text, &completing);
        py.detach(suggest).map(words).map_err(error::of_model)
    }

    fn learn(&self, py: Python<'_>, text: &str) -> PyResult<()> {
        let learn = || self.suggester.lock().unwrap_or_else(PoisonError::into_inner).learn(text);
        py.detach(learn).map_err(error::of_model)
    }
}

/// Words as Python has them.
pub(crate) fn words(found: Vec<Completion>) -> Vec<Word> {
    found.into_iter().map(|completion| (completion.word, completion.log_prob)).collect()
}

/// The names of the arguments.
const NAMES: [&str; 5] = ["exclude", "words_only", "capitalize", "user_words", "user_weight"];

/// Reads the arguments that say what a user wants.
pub(crate) fn preferences(given: Option<&Bound<'_, PyDict>>) -> PyResult<Preferences> {
    let mut wanted = Preferences::default();
    for (name, value) in given.iter().flat_map(|given| given.iter()) {
        let name: String = name.extract()?;
        match name.as_str() {
            "exclude" => wanted.excluded = collection(&name, &value)?.into_iter().collect(),
            "words_only" => wanted.words_only = value.extract()?,
            "capitalize" => wanted.capitalize = value.extract()?,
            "user_words" => {
                let weighted: Vec<(String, f64)> = match value.cast::<PyMapping>() {
                    Ok(weights) => weights.items()?.extract()?,
                    Err(_) => collection(&name, &value)?.into_iter().map(|word| (word, 1.0)).collect(),
                };
                for (word, weight) in weighted {
                    wanted.user_words.add(&word, weight).map_err(error::of_model)?;
                }
            }
            "user_weight" => wanted.user_words.lambda = value.extract()?,
            other => return Err(error::unexpected(other, NAMES)),
        }
    }
    Ok(wanted)
}

/// The words of an iterable. A text is refused: its elements are characters.
fn collection(name: &str, given: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
    if given.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err(format!("`{name}` must be a collection of words, not a text")));
    }
    given.try_iter()?.map(|word| word?.extract()).collect()
}
