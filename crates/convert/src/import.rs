//! A model of another tool with its vocabulary: the steps of `rondo convert`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rondo_data::{TextCodec, Tokenizer, TokenizerChoice, TokenizerOptions};
use rondo_infer::{LanguageModel, model_context};
use rondo_kernels::Device;
use rondo_nn::{Cell, ModelFile, RnnLm};
use rondo_runs::{RunFolder, write_atomically};

use crate::{ConvertError, Result, Vocabulary, VocabularySource, Weights};

/// What a file of another tool does not say.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// The cell, needed for a simple RNN: tanh or ReLU.
    pub cell: Option<Cell>,
    /// The vocabulary; a model of bytes, or with a tokenizer in a file, needs none.
    pub vocabulary: Option<VocabularySource>,
    /// How texts are split into tokens; known for a vocabulary from a corpus.
    pub tokenizer: Option<TokenizerChoice>,
}

/// A model that was read from a file of another tool.
#[derive(Debug)]
pub struct Imported {
    /// The weights, and what is known of their file.
    pub weights: Weights,
    /// Converts text to the model's ids and back.
    pub codec: TextCodec,
    /// What is unusual about the vocabulary.
    pub notes: Vec<String>,
}

impl Imported {
    /// Reads a model and its vocabulary.
    ///
    /// # Errors
    /// As [`Weights::read`] and [`Vocabulary::read`]; [`ConvertError::NoVocabulary`] and [`ConvertError::NoTokenizer`]
    /// if these must be given; [`ConvertError::VocabularySize`] if the vocabulary belongs to another model.
    pub fn read(path: &Path, options: &ImportOptions, device: &Device) -> Result<Imported> {
        let weights = Weights::read(path, options.cell, device)?;
        let tokens = weights.model.config().vocab_size;
        let kind = options.tokenizer.as_ref().and_then(TokenizerChoice::kind);
        let file = options.tokenizer.as_ref().and_then(TokenizerChoice::file);
        let vocabulary = match (&options.vocabulary, file) {
            (Some(_), Some(file)) => return Err(ConvertError::OwnVocabulary { tokenizer: file.to_owned() }),
            (Some(source), None) => Vocabulary::read(source, tokens)?,
            (None, Some(file)) => Vocabulary::of_tokenizer(file, tokens)?,
            (None, None) if kind == Tokenizer::bytes().kind() => Vocabulary::bytes()?,
            _ => return Err(ConvertError::NoVocabulary { path: path.to_owned(), tokens }),
        };
        let (found, expected) = (vocabulary.vocab.len(), tokens);
        if found != expected {
            return Err(ConvertError::VocabularySize { origin: vocabulary.origin, found, expected });
        }
        let tokenizer = match (kind, vocabulary.tokenizer) {
            (Some(kind), _) => {
                let line_end = vocabulary.line_end.as_deref();
                kind.fitted(&vocabulary.vocab, line_end, &TokenizerOptions::default())
            }
            (None, Some(tokenizer)) => tokenizer,
            (None, None) => return Err(ConvertError::NoTokenizer { path: vocabulary.origin.into() }),
        };
        let codec = TextCodec::new(tokenizer, vocabulary.vocab);
        Ok(Imported { weights, codec, notes: vocabulary.notes })
    }

    /// Writes the model file of the folder, which is made if it is missing, and returns its path.
    ///
    /// # Errors
    /// [`ConvertError::Exists`] if there is one already; [`ConvertError::Io`] and [`ConvertError::Runs`] if it cannot
    /// be written.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let path = new_file(folder, RunFolder::BEST_MODEL)?;
        let source = format!("{}, {}", self.weights.format.name(), self.weights.scheme);
        let metadata = BTreeMap::from([("converted_from".to_owned(), source)]);
        let context = model_context(&self.codec, None, metadata);
        write_atomically(&path, |to| ModelFile::write(&self.weights.model, &context, to))?;
        Ok(path)
    }

    /// The model in use.
    ///
    /// # Errors
    /// [`ConvertError::Infer`] if the vocabulary does not fit, which [`read`](Self::read) has checked.
    pub fn into_language_model(self) -> Result<LanguageModel> {
        let model: RnnLm = self.weights.model;
        Ok(LanguageModel::new(model, self.codec)?)
    }
}

/// The path of a file that does not exist yet, in a folder that is made if it is missing.
pub(crate) fn new_file(folder: &Path, name: &str) -> Result<PathBuf> {
    let io_error = |source| ConvertError::Io { action: "create", path: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(io_error)?;
    let path = folder.join(name);
    if path.exists() { Err(ConvertError::Exists { path }) } else { Ok(path) }
}
