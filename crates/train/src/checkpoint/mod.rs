//! Checkpoints: all that is needed to go on with a run as if it had not been interrupted.
//!
//! A checkpoint is a safetensors file with a checksum ([`rondo_nn::tensor_file`]):
//!
//! | metadata | what |
//! |---|---|
//! | `rondo_checkpoint` | version of this layout, `1` |
//! | `progress` | epoch, chunk, steps, schedule, sums of losses, times, as JSON |
//! | `config`, `tokenizer` | the model's shape, and how texts are cut into its tokens, as JSON |
//! | `corpus` | fingerprints of the vocabulary and of each split's ids, as JSON |
//! | `plan` | the settings of the run, as TOML |
//!
//! | tensors | what |
//! |---|---|
//! | `model/NAME` | the weights |
//! | `average/NAME`, `best/NAME` | their average and the best so far, where the run needs them |
//! | `optimizer/velocity/NAME`, `optimizer/first/NAME`, `optimizer/second/NAME` | what the optimiser remembers |
//! | `state/hidden/L`, `state/cell/L` | what each layer remembers of the text |
//! | `metrics` | the bytes of `metrics.jsonl` up to here |
//!
//! Everything random is drawn from the seed and from the numbers of epoch and step, so that these are the state of all
//! generators.
//!
//! Promises: what is read is what was written, or refused. Not here: which file is where and how many are kept
//! (`rondo_runs`), when one is written (the trainer).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rondo_nn::tensor_file::{Tensor, TensorFile, Values};
use rondo_nn::{NnError, RnnLmConfig, State, StatePart};
use rondo_runs::{CorpusFingerprint, RunFolder};
use serde::{Deserialize, Serialize};

use crate::averaging::AveragingProgress;
use crate::loss_sum::LossSum;
use crate::{MovingLoss, Result, Schedule, TrainError};

pub(crate) const VERSION_KEY: &str = "rondo_checkpoint";
pub(crate) const VERSION: &str = "1";
pub(crate) const PROGRESS_KEY: &str = "progress";
pub(crate) const CONFIG_KEY: &str = "config";
pub(crate) const TOKENIZER_KEY: &str = "tokenizer";
pub(crate) const CORPUS_KEY: &str = "corpus";
pub(crate) const PLAN_KEY: &str = "plan";
pub(crate) const METRICS: &str = "metrics";

/// Where a run stands: all of its state but for what is made of tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Progress {
    /// The epoch under way, from 1; one more than the plan's epochs if all have ended.
    pub(crate) epoch: usize,
    /// How many of its chunks have been trained on or skipped.
    pub(crate) chunk: usize,
    /// The optimiser's steps since the start of the run.
    pub(crate) steps: u64,
    /// The training tokens of these steps.
    pub(crate) tokens: u64,
    /// Steps that were not taken since a number was not finite.
    pub(crate) skipped: u64,
    /// How many of them came last, in a row.
    pub(crate) skipped_in_a_row: u64,
    /// How often training has gone back to a checkpoint since a number was not finite.
    pub(crate) rollbacks: usize,
    /// Losses of the epoch's steps so far.
    pub(crate) epoch_sum: LossSum,
    /// Losses of the steps since the last record.
    pub(crate) log_sum: LossSum,
    pub(crate) moving_loss: MovingLoss,
    pub(crate) schedule: Schedule,
    pub(crate) averaging: AveragingProgress,
    pub(crate) optimizer_steps: u64,
    pub(crate) best_epoch: Option<usize>,
    pub(crate) best_valid: Option<f64>,
    pub(crate) best_test: Option<f64>,
    /// Seconds spent on training steps.
    pub(crate) training_s: f64,
    /// Seconds since the start of the run, interruptions left out.
    pub(crate) elapsed_s: f64,
    /// When the run was started, in seconds since 1970.
    pub(crate) started_unix_s: f64,
}

impl Progress {
    /// Whether a run can come to these numbers, so that it can go on counting from them.
    fn can_be(&self) -> bool {
        /// More than a run counts in the age of the world, and far less than overflows.
        const MOST: u64 = 1 << 53;
        let counts = [
            self.epoch as u64,
            self.chunk as u64,
            self.steps,
            self.tokens,
            self.skipped,
            self.skipped_in_a_row,
            self.rollbacks as u64,
            self.optimizer_steps,
            self.schedule.epochs() as u64,
            self.averaging.most(),
            self.epoch_sum.tokens(),
            self.log_sum.tokens(),
        ];
        let times = [self.training_s, self.elapsed_s, self.started_unix_s];
        self.epoch > 0
            && counts.into_iter().all(|count| count <= MOST)
            && times.into_iter().all(|time| (0.0..=MOST as f64).contains(&time))
    }
}

/// A checkpoint that has been read and found to be whole.
pub struct Checkpoint {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
    pub(crate) progress: Progress,
    pub(crate) corpus: CorpusFingerprint,
    config: RnnLmConfig,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, progress) = (&self.path, &self.progress);
        f.debug_struct("Checkpoint").field("path", path).field("progress", progress).finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Reads a checkpoint and holds it against its checksum.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be read, [`TrainError::Model`] if it is not whole or damaged,
    /// [`TrainError::CheckpointVersion`] if it is of a version that this program does not read, and
    /// [`TrainError::NoCheckpoint`] if it is something else.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let bytes = fs::read(path).map_err(TrainError::io("read", path))?;
        Checkpoint::from_bytes(bytes, path)
    }

    /// The latest undamaged checkpoint of a run, and the errors of later, damaged ones; `None` if the run has no
    /// checkpoint.
    ///
    /// # Errors
    /// [`TrainError::NoGoodCheckpoint`] if all are damaged; [`TrainError::Io`] if one cannot be read, and
    /// [`TrainError::CheckpointVersion`] if one has another version.
    pub fn latest(folder: &RunFolder) -> Result<Option<(Checkpoint, Vec<TrainError>)>> {
        let mut damaged = vec![];
        for path in folder.checkpoints()?.into_iter().rev() {
            match Checkpoint::read(&path) {
                Ok(checkpoint) => return Ok(Some((checkpoint, damaged))),
                // Not damage: to go back to an older checkpoint would lose one that others can read.
                Err(error @ (TrainError::Io { .. } | TrainError::CheckpointVersion { .. })) => {
                    return Err(error);
                }
                Err(error) => damaged.push(error),
            }
        }
        match damaged.into_iter().next() {
            None => Ok(None),
            Some(newest) => {
                Err(TrainError::NoGoodCheckpoint { path: folder.path().to_owned(), newest: Box::new(newest) })
            }
        }
    }

    /// Reads the bytes of a checkpoint; `path` is what errors call it.
    ///
    /// # Errors
    /// As [`Checkpoint::read`].
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Checkpoint> {
        let file = TensorFile::from_bytes(&bytes, path)?;
        let refuse = |reason: String| TrainError::NoCheckpoint { path: path.to_owned(), reason };
        let metadata = file.metadata().clone();
        let say = |key: &str| metadata.get(key).ok_or_else(|| refuse(format!("it says nothing of `{key}`")));
        let version = say(VERSION_KEY)?;
        if version != VERSION {
            let (found, expected) = (version.clone(), VERSION);
            return Err(TrainError::CheckpointVersion { path: path.to_owned(), found, expected });
        }
        if !file.has_checksum() {
            return Err(refuse("it has no checksum".to_owned()));
        }
        file.verify()?;
        let unusable = |key: &'static str| {
            move |error: serde_json::Error| refuse(format!("its `{key}` cannot be read: {error}"))
        };
        let progress: Progress = serde_json::from_str(say(PROGRESS_KEY)?).map_err(unusable(PROGRESS_KEY))?;
        if !progress.can_be() {
            return Err(refuse(format!("its `{PROGRESS_KEY}` has numbers that no run comes to")));
        }
        let corpus = serde_json::from_str(say(CORPUS_KEY)?).map_err(unusable(CORPUS_KEY))?;
        let config: RnnLmConfig = serde_json::from_str(say(CONFIG_KEY)?).map_err(unusable(CONFIG_KEY))?;
        config.check()?;
        say(TOKENIZER_KEY)?;
        say(PLAN_KEY)?;
        // What it claims to be the shape of is there, before anything of that size is allocated.
        for (name, shape) in config.parameter_shapes() {
            file.numbers(&model_tensor(&name), &shape)?;
        }
        Ok(Checkpoint { path: path.to_owned(), metadata, progress, corpus, config, bytes })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The epoch under way, from 1; one more than the run's epochs if all have ended.
    pub fn epoch(&self) -> usize {
        self.progress.epoch
    }

    /// The optimiser's steps since the start of the run.
    pub fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// The shape of the model.
    pub fn config(&self) -> &RnnLmConfig {
        &self.config
    }

    /// How texts are cut into the model's tokens, as JSON.
    pub fn tokenizer(&self) -> &str {
        &self.metadata[TOKENIZER_KEY]
    }

    /// The settings of the run when it was written, as TOML.
    pub fn plan(&self) -> &str {
        &self.metadata[PLAN_KEY]
    }

    /// The tensors, which have been verified.
    pub(crate) fn tensors(&self) -> Result<TensorFile<'_>> {
        Ok(TensorFile::from_bytes(&self.bytes, &self.path)?)
    }

    /// The bytes of `metrics.jsonl` when it was written.
    pub(crate) fn metrics(&self) -> Result<Vec<u8>> {
        Ok(self.tensors()?.bytes(METRICS)?.to_vec())
    }
}

fn model_tensor(name: &str) -> String {
    format!("model/{name}")
}

/// What the model remembers, as tensors to be written.
pub(crate) fn state_tensors(state: &State) -> Result<Vec<Tensor<'_>>> {
    let mut tensors = vec![];
    for part in state.parts() {
        let values = Values::Numbers(part.values().read().map_err(NnError::from)?);
        tensors.push(Tensor { name: state_tensor(part), shape: vec![state.batch(), part.width()], values });
    }
    Ok(tensors)
}

/// Takes over what [`state_tensors`] has written.
pub(crate) fn read_state(tensors: &TensorFile<'_>, state: &mut State) -> Result<()> {
    let batch = state.batch();
    for part in state.parts_mut() {
        let numbers = tensors.numbers(&state_tensor(part), &[batch, part.width()])?;
        numbers.copy_to(part.values_mut().slice_mut())?;
    }
    Ok(())
}

fn state_tensor(part: &StatePart) -> String {
    format!("state/{}", part.name())
}

#[cfg(test)]
mod tests;
