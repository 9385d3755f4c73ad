//! Opening a model: finds the file and checks that its parts belong together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_kernels::Device;
use rondo_nn::{Model, ModelContext, ModelFile, NnError, RnnLm};
use rondo_runs::RunFolder;

use super::{CODEC, LanguageModel, Origin, TOKENIZER};
use crate::{InferError, ModelHandle, Normalizer, Resets, Result};

impl LanguageModel {
    /// Opens a model file, or the best model of the run in a folder.
    ///
    /// # Errors
    /// [`InferError::NoModel`] for a folder without a model; [`InferError::Open`] if the file is incomplete,
    /// damaged or not a model file; [`InferError::OtherVocabulary`] and [`InferError::VocabularySize`] if its
    /// parts do not belong together; [`InferError::NoVocabulary`] if there is no `vocab.json` next to a file
    /// of version 0.1.0.
    pub fn open(path: impl AsRef<Path>, device: &Device) -> Result<LanguageModel> {
        LanguageModel::open_with(path, &OpenOptions::default(), device)
    }

    /// [`open`](Self::open) with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(
        path: impl AsRef<Path>,
        options: &OpenOptions,
        device: &Device,
    ) -> Result<LanguageModel> {
        Ok(LanguageModel::of_parts(ModelParts::open(path, options, device)?))
    }

    /// Opens the bytes of a model file, where there are no files; `name` is its name in errors.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(name: &str, bytes: &[u8], device: &Device) -> Result<LanguageModel> {
        let path = PathBuf::from(name);
        let file = ModelFile::from_bytes(bytes, &path, device)
            .map_err(|source| InferError::of_file(source, &path))?;
        Ok(LanguageModel::of_parts(ModelParts::of_file(file, path, None)?))
    }

    fn of_parts(parts: ModelParts) -> LanguageModel {
        let ModelParts { path, model, codec, resets, metadata, normalizer } = parts;
        let handle = ModelHandle::new(model).with_resets(resets);
        let opened = LanguageModel::with_origin(handle, codec, path, metadata);
        LanguageModel { normalizer: normalizer.map(Arc::new), ..opened }
    }

    /// Opens a custom model: `model` has the right shape and receives the weights from the file.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`InferError::Open`] if the file describes a different model.
    pub fn open_into(mut model: impl Model + 'static, path: impl AsRef<Path>) -> Result<LanguageModel> {
        let path = LanguageModel::file_at(path)?;
        let open = |source| InferError::of_file(source, &path);
        let context = ModelFile::read_into(&mut model, &path).map_err(open)?;
        let codec = codec_of(&context, &path, None, model.vocab_size())?;
        let handle = ModelHandle::new(model).with_resets(resets_of(&context, &codec, &path)?);
        Ok(LanguageModel::with_origin(handle, codec, path, context.metadata))
    }

    /// The model file that `path` refers to: the path itself, or the best model of the run in the folder.
    ///
    /// # Errors
    /// [`InferError::NoModel`] for a folder without a model.
    pub fn file_at(path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Ok(path.to_owned());
        }
        let (file, folder) = (RunFolder::BEST_MODEL, path.to_owned());
        let model = path.join(file);
        if model.is_file() { Ok(model) } else { Err(InferError::NoModel { folder, file }) }
    }

    fn with_origin(
        handle: ModelHandle,
        codec: TextCodec,
        path: PathBuf,
        metadata: BTreeMap<String, String>,
    ) -> LanguageModel {
        let origin = Origin { path, metadata };
        LanguageModel { handle, codec, origin: Some(Arc::new(origin)), normalizer: None }
    }
}

impl InferError {
    /// The error of a model file that cannot be opened.
    pub fn of_file(source: NnError, path: &Path) -> InferError {
        match source {
            NnError::Checkpoint { path } => {
                let names = [RunFolder::BEST_MODEL, RunFolder::LAST_MODEL];
                let models = names.map(|name| path.with_file_name(name)).into_iter();
                InferError::Checkpoint { models: models.filter(|model| model.is_file()).collect(), path }
            }
            source => InferError::Open { path: path.to_owned(), source },
        }
    }
}

/// How to open a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// The vocabulary file, instead of the vocabulary in the model file or next to it. It must be the one that the model
    /// was trained with.
    pub vocab: Option<PathBuf>,
    /// Map the file into memory instead of reading it: weights are read when they are used, and all processes that do so
    /// share them. The file must not be truncated meanwhile, or the system ends the process. Weights that are stored as
    /// bf16 are read.
    pub mmap: bool,
}

/// The parts of a model, for code that changes them, such as further training.
#[derive(Debug)]
pub struct ModelParts {
    /// The file they were read from.
    pub path: PathBuf,
    /// The model.
    pub model: RnnLm,
    /// Converts text to the model's ids and back.
    pub codec: TextCodec,
    /// Where the model's state is reset, if it was trained on independent lines or paragraphs.
    pub resets: Option<Resets>,
    /// Other metadata of the file.
    pub metadata: BTreeMap<String, String>,
    /// The approximate normalizer that was fitted to the model, if any.
    pub normalizer: Option<Normalizer>,
}

impl ModelParts {
    /// Reads a model file, or the best model of the run in a folder.
    ///
    /// # Errors
    /// As [`LanguageModel::open`].
    pub fn open(path: impl AsRef<Path>, options: &OpenOptions, device: &Device) -> Result<ModelParts> {
        let path = LanguageModel::file_at(path)?;
        let open = |source| InferError::of_file(source, &path);
        let read = if options.mmap { ModelFile::map } else { ModelFile::read };
        ModelParts::of_file(read(&path, device).map_err(open)?, path, options.vocab.as_deref())
    }

    /// The parts of a file at `path`; `vocab` is the vocabulary file to use.
    fn of_file(file: ModelFile, path: PathBuf, vocab: Option<&Path>) -> Result<ModelParts> {
        let ModelFile { model, context } = file;
        let codec = codec_of(&context, &path, vocab, model.vocab_size())?;
        let resets = resets_of(&context, &codec, &path)?;
        let normalizer = Normalizer::stored(&context, model.vocab_size());
        Ok(ModelParts { path, model, codec, resets, metadata: context.metadata, normalizer })
    }
}

/// Where the state is reset, according to the metadata of a model file.
fn resets_of(context: &ModelContext, codec: &TextCodec, path: &Path) -> Result<Option<Resets>> {
    let Some(name) = context.metadata.get(Resets::KEY) else { return Ok(None) };
    let resets = codec.line_end().and_then(|line_end| Resets::from_name(name, line_end));
    let unusable = || {
        let reason = format!("`{name}` is unknown, or its vocabulary has no line end");
        InferError::Open {
            path: path.to_owned(),
            source: NnError::Metadata { path: path.to_owned(), key: Resets::KEY, reason },
        }
    };
    resets.map(Some).ok_or_else(unusable)
}

/// The codec of a model file. Its vocabulary must be exactly the one the model was trained with: the same
/// words with different ids would silently give wrong results.
fn codec_of(
    context: &ModelContext,
    path: &Path,
    named: Option<&Path>,
    vocab_size: usize,
) -> Result<TextCodec> {
    let unusable = |key, reason: String| InferError::Open {
        path: path.to_owned(),
        source: NnError::Metadata { path: path.to_owned(), key, reason },
    };
    let embedded = match context.attachments.get(CODEC) {
        Some(json) => {
            let json = std::str::from_utf8(json).map_err(|error| unusable(CODEC, error.to_string()))?;
            let codec = TextCodec::from_json(&path.display().to_string(), json);
            Some(codec.map_err(|error| unusable(CODEC, error.to_string()))?)
        }
        None => None,
    };
    let (codec, origin) = match (embedded, named) {
        (Some(codec), None) => (codec, path.to_owned()),
        (embedded, named) => {
            let tokenizer = match embedded {
                Some(codec) => codec.tokenizer().clone(),
                None => {
                    let text = context.metadata.get(TOKENIZER);
                    let text = text.ok_or_else(|| unusable(TOKENIZER, "it is missing".to_owned()))?;
                    serde_json::from_str::<Tokenizer>(text)
                        .map_err(|error| unusable(TOKENIZER, error.to_string()))?
                }
            };
            let origin = named.map_or_else(|| path.with_file_name(RunFolder::VOCAB), Path::to_owned);
            let vocab = match named {
                Some(_) => Vocab::load(&origin)?,
                None => Vocab::load(&origin).map_err(InferError::NoVocabulary)?,
            };
            (TextCodec::new(tokenizer, vocab), origin)
        }
    };
    let (found, expected) = (codec.vocab().fingerprint(), context.vocab_fingerprint.clone());
    if found != expected {
        return Err(InferError::OtherVocabulary { vocab: origin, found, expected });
    }
    // A damaged file can claim any fingerprint.
    let found = codec.vocab().len();
    if found != vocab_size {
        return Err(InferError::VocabularySize { vocab: origin, found, expected: vocab_size });
    }
    Ok(codec)
}
