//! What a run takes from the model that it goes on from.

use rondo_data::{TextCodec, Vocab};
use rondo_nn::{RnnLm, RnnLmConfig};
use rondo_runs::RunFolder;

use crate::checkpoint::Checkpoint;
use crate::settings::Settings;
use crate::{Plan, Result, TrainError};

/// What the plan of a run takes from the model that it goes on from.
pub(super) struct Basis {
    config: RnnLmConfig,
    codec: TextCodec,
}

impl Basis {
    /// The basis of a run that goes on from this model.
    pub(super) fn of_model(model: &RnnLm, codec: TextCodec) -> Basis {
        Basis { config: model.config().clone(), codec }
    }

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
