//! Models of other tools.

use std::path::PathBuf;

use pyo3::prelude::*;
use rondo::convert::{self, ConvertError, ImportOptions, Imported, Storage, Target, VocabularySource};
use rondo::data::TokenizerChoice;
use rondo::infer::{ModelParts, OpenOptions};
use rondo::nn::Cell;

use crate::error::{self, ModelError};
use crate::model::{LanguageModel, device};

/// Reads a model of another tool.
#[pyfunction]
#[pyo3(signature = (path, *, vocab_list=None, vocab_from_corpus=None, tokenizer=None, cell=None))]
pub(crate) fn load(
    py: Python<'_>,
    path: PathBuf,
    vocab_list: Option<PathBuf>,
    vocab_from_corpus: Option<PathBuf>,
    tokenizer: Option<String>,
    cell: Option<String>,
) -> PyResult<LanguageModel> {
    let vocabulary = match (vocab_list, vocab_from_corpus) {
        (Some(_), Some(_)) => {
            return Err(ModelError::new_err("`vocab_list` and `vocab_from_corpus` exclude each other"));
        }
        (list, corpus) => list.map(VocabularySource::List).or(corpus.map(VocabularySource::Corpus)),
    };
    let tokenizer: Option<TokenizerChoice> =
        tokenizer.map(|name| name.parse()).transpose().map_err(ModelError::new_err)?;
    let cell = cell.map(|name| name.parse::<Cell>().map_err(|error| ModelError::new_err(error.to_string())));
    let options = ImportOptions { cell: cell.transpose()?, vocabulary, tokenizer };
    let device = device(None, "f32")?;
    let read = || Imported::read(&path, &options, &device)?.into_language_model();
    py.detach(read).map(LanguageModel::new).map_err(error::of_model)
}

/// Writes a model for another tool, and returns the files.
#[pyfunction]
#[pyo3(signature = (path, out, *, to, int8=false))]
pub(crate) fn export(
    py: Python<'_>,
    path: PathBuf,
    out: PathBuf,
    to: &str,
    int8: bool,
) -> PyResult<Vec<PathBuf>> {
    let target = match to {
        "pytorch" => Target::Torch,
        "onnx" => Target::Onnx,
        "onnx-rescoring" => Target::OnnxRescoring,
        other => {
            let expected = "expected `pytorch`, `onnx` or `onnx-rescoring`";
            return Err(ModelError::new_err(format!("unknown format `{other}`, {expected}")));
        }
    };
    let storage = if int8 { Storage::Int8 } else { Storage::F32 };
    let device = device(None, "f32")?;
    let write = || {
        let parts = ModelParts::open(&path, &OpenOptions::default(), &device)?;
        convert::export(&parts.model, &parts.codec, target, storage, &out)
    };
    py.detach(write).map_err(|error: ConvertError| error::of_model(error))
}
