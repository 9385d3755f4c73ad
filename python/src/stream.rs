//! Generated text, piece by piece.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;
use pyo3::types::PyDict;
use rondo::infer::{self, Sampling, StopReason, StopRule, StreamOptions, TextStream};

use crate::error;

/// An iterator over the pieces of a text.
#[pyclass(frozen, module = "rondo")]
pub(crate) struct Stream {
    stream: Mutex<TextStream>,
    model: infer::LanguageModel,
}

impl Stream {
    pub(crate) fn new(stream: TextStream, model: &infer::LanguageModel) -> Stream {
        Stream { stream: Mutex::new(stream), model: model.clone() }
    }
}

/// A piece: text, token, log-probability, and why the text ends.
type Piece = (String, String, f64, Option<String>);

#[pymethods]
impl Stream {
    fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Option<Piece>> {
        py.check_signals()?;
        let next = || self.stream.lock().unwrap_or_else(PoisonError::into_inner).next();
        let Some(piece) = py.detach(next) else { return Ok(None) };
        let piece = piece.map_err(error::of_model)?;
        let token = self.model.codec().vocab().token(piece.token).unwrap_or_default().to_owned();
        let stop = piece.stop.map(|stop| match stop {
            StopReason::Token(_) => "token".to_owned(),
            StopReason::String(_) => "string".to_owned(),
            StopReason::Length => "length".to_owned(),
        });
        Ok(Some((piece.text, token, piece.log_prob, stop)))
    }
}

/// The names of the arguments.
const NAMES: [&str; 11] = [
    "max_tokens",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
    "stop",
    "stop_tokens",
];

/// Reads the arguments of sampling.
pub(crate) fn options(given: Option<&Bound<'_, PyDict>>) -> PyResult<StreamOptions> {
    let mut sampling = Sampling::default();
    let defaults = StreamOptions::default();
    let (mut seed, mut stop) = (defaults.seed, StopRule { ..defaults.stop.clone() });
    for (name, value) in given.iter().flat_map(|given| given.iter()) {
        let name: String = name.extract()?;
        match name.as_str() {
            "max_tokens" => stop.max_tokens = value.extract()?,
            "temperature" => sampling.temperature = value.extract()?,
            "top_k" => sampling.top_k = value.extract()?,
            "top_p" => sampling.top_p = value.extract()?,
            "min_p" => sampling.min_p = value.extract()?,
            "repetition_penalty" => sampling.repetition_penalty = value.extract()?,
            "presence_penalty" => sampling.presence_penalty = value.extract()?,
            "frequency_penalty" => sampling.frequency_penalty = value.extract()?,
            "seed" => seed = value.extract()?,
            "stop" => stop.strings = value.extract::<Strings>()?.into(),
            "stop_tokens" => stop.tokens = value.extract()?,
            other => return Err(error::unexpected(other, NAMES)),
        }
    }
    Ok(StreamOptions { sampling, seed, stop, ..defaults })
}

/// One string, or several.
#[derive(FromPyObject)]
enum Strings {
    One(String),
    Many(Vec<String>),
}

impl From<Strings> for Vec<String> {
    fn from(strings: Strings) -> Self {
        match strings {
            Strings::One(string) => vec![string],
            Strings::Many(strings) => strings,
        }
    }
}
