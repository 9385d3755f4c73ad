//! What a run takes from the model that it continues from: its configuration, tokenizer and vocabulary.

use rondo_data::{TextCodec, Vocab};
use rondo_nn::{RnnLm, RnnLmConfig};
use rondo_runs::RunFolder;

use crate::checkpoint::Checkpoint;
use crate::settings::Settings;
use crate::{Plan, Result, TrainError};

/// What a plan takes from the model to continue from.
pub(super) struct Basis {
    config: RnnLmConfig,
    codec: TextCodec,
}

impl Basis {
    /// The basis of a new run that continues from this model.
    pub(super) fn of_model(model: &RnnLm, codec: TextCodec) -> Basis {
        Basis { config: model.config().clone(), codec }
    }

    /// The basis of a resumed run that continued from a model, read from its checkpoint: the model file is no
    /// longer needed.
    pub(super) fn of_run(folder: &RunFolder, checkpoint: &Checkpoint) -> Result<Basis> {
        let Some(config) = checkpoint.config() else {
            let reason = "its model is not an RNN language model that a plan can describe".to_owned();
            return Err(TrainError::NoCheckpoint { path: checkpoint.path().to_owned(), reason });
        };
        let codec = match checkpoint.codec()? {
            Some(codec) => codec,
            None => TextCodec::new(checkpoint.tokenizer()?, Vocab::load(folder.vocab())?),
        };
        Ok(Basis { config: config.clone(), codec })
    }

    /// The plan that continues training the model with these settings.
    pub(super) fn plan(&self, settings: &Settings) -> Result<Plan> {
        Plan::continuing(settings, &self.config, self.codec.tokenizer(), self.codec.vocab().clone())
    }
}
