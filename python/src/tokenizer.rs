//! Tokenizers.

use std::path::PathBuf;

use pyo3::prelude::*;
use rondo::data::{self, BpeOptions, DataError, TextSource, TokenizerChoice, TokenizerOptions, train_bpe};

use crate::error;

/// A tokenizer; see `_rondo.pyi`.
#[pyclass(frozen, module = "rondo")]
pub(crate) struct Tokenizer(data::Tokenizer);

impl Tokenizer {
    /// The tokenizer with a name or in a file.
    pub(crate) fn named(name: &str) -> PyResult<data::Tokenizer> {
        let choice: TokenizerChoice = name.parse().map_err(error::TextError::new_err)?;
        match choice {
            TokenizerChoice::Kind(kind) => Ok(kind.tokenizer(&TokenizerOptions::default())),
            TokenizerChoice::File(path) => data::Tokenizer::open(path).map_err(error::of_text),
        }
    }

    pub(crate) fn tokenizer(&self) -> &data::Tokenizer {
        &self.0
    }
}

#[pymethods]
impl Tokenizer {
    #[new]
    fn new(name: &str) -> PyResult<Self> {
        Tokenizer::named(name).map(Tokenizer)
    }

    fn tokenize(&self, py: Python<'_>, text: &str) -> PyResult<Vec<String>> {
        let tokens = || {
            let mut tokens = Vec::new();
            self.0.for_each_token(text.as_bytes(), "the text", |token, _| {
                tokens.push(token.to_owned());
                Ok(())
            })?;
            Ok::<_, DataError>(tokens)
        };
        py.detach(tokens).map_err(error::of_text)
    }

    #[getter]
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn __repr__(&self) -> String {
        format!("Tokenizer({:?})", self.0.name())
    }
}

/// Trains a byte-level BPE, and returns its JSON.
#[pyfunction]
#[pyo3(signature = (files, *, vocab_size=8000, min_frequency=2, whole=vec![]))]
pub(crate) fn train_tokenizer(
    py: Python<'_>,
    files: Vec<PathBuf>,
    vocab_size: usize,
    min_frequency: u64,
    whole: Vec<String>,
) -> PyResult<String> {
    let texts: Vec<TextSource> = files.into_iter().map(TextSource::File).collect();
    let options = BpeOptions { vocab_size, min_frequency, whole, ..BpeOptions::default() };
    py.detach(|| train_bpe(&texts, &options)).map_err(error::of_text)
}
