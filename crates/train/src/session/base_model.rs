//! The model that a run goes on from: its file, with its tokenizer and vocabulary.

use std::path::{Path, PathBuf};

use rondo_data::{TextCodec, Tokenizer, Vocab};
use rondo_kernels::Device;
use rondo_nn::{ModelFile, NnError, RnnLm, RnnLmConfig};
use rondo_runs::RunFolder;

use crate::checkpoint::{CODEC, Checkpoint, TOKENIZER_KEY};
use crate::settings::Settings;
use crate::{Plan, Result, TrainError};

/// What the plan of a run takes from the model that it goes on from.
pub(super) struct Basis {
    config: RnnLmConfig,
    codec: TextCodec,
}

impl Basis {
    /// The basis of a run that went on from a model: the model itself need not be there any more.
    pub(super) fn of_run(folder: &RunFolder, checkpoint: &Checkpoint) -> Result<Basis> {
        let Some(config) = checkpoint.config() else {
            let reason = "its model is not one that plans describe".to_owned();
            return Err(TrainError::NoCheckpoint { path: checkpoint.path().to_owned(), reason });
        };
        let codec = match checkpoint.codec()? {
            Some(codec) => codec,
            None => TextCodec::new(checkpoint.tokenizer()?, Vocab::load(folder.vocab())?),
        };
        Ok(Basis { config: config.clone(), codec })
    }

    /// The plan that goes on training the model by these settings.
    pub(super) fn plan(&self, settings: &Settings) -> Result<Plan> {
        Plan::continuing(settings, &self.config, self.codec.tokenizer(), self.codec.vocab().clone())
    }
}

/// Loads the model at `path`, a file or the folder of a run.
pub(super) fn open(path: &Path, device: &Device) -> Result<(RnnLm, Basis)> {
    let path = file_at(path)?;
    let unusable = |source| TrainError::BaseModel { path: path.clone(), source };
    let ModelFile { model, context } = ModelFile::read(&path, device).map_err(unusable)?;
    let (origin, codec) = match context.attachments.get(CODEC) {
        Some(json) => {
            let codec = TextCodec::from_json(&path.display().to_string(), &String::from_utf8_lossy(json))?;
            (path.clone(), codec)
        }
        None => {
            let tokenizer = tokenizer(context.metadata.get(TOKENIZER_KEY), &path).map_err(unusable)?;
            let vocab = path.with_file_name(RunFolder::VOCAB);
            let codec = TextCodec::new(tokenizer, Vocab::load(&vocab).map_err(TrainError::NoVocabulary)?);
            (vocab, codec)
        }
    };
    let vocab = codec.vocab();
    for (what, found, expected) in [
        ("fingerprint", vocab.fingerprint(), context.vocab_fingerprint),
        // A damaged file can claim any fingerprint.
        ("number of tokens", vocab.len().to_string(), model.config().vocab_size.to_string()),
    ] {
        if found != expected {
            return Err(TrainError::OtherVocabulary { path: origin, what, found, expected });
        }
    }
    let basis = Basis { config: model.config().clone(), codec };
    Ok((model, basis))
}

/// The model file that is meant by `path`: itself, or a run's best model.
pub(super) fn file_at(path: &Path) -> Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let file = path.join(RunFolder::BEST_MODEL);
    if file.is_file() { Ok(file) } else { Err(TrainError::NoModel { folder: path.to_owned() }) }
}

/// The tokenizer in the header of a file of version 0.1.0.
fn tokenizer(text: Option<&String>, path: &Path) -> std::result::Result<Tokenizer, NnError> {
    let unusable = |reason| NnError::Metadata { path: path.to_owned(), key: TOKENIZER_KEY, reason };
    let text = text.ok_or_else(|| unusable("it is missing".to_owned()))?;
    serde_json::from_str(text).map_err(|error| unusable(error.to_string()))
}
