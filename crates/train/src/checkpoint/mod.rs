//! Checkpoints: all that is needed to go on with a run as if it had not been interrupted.
//!
//! A checkpoint is a safetensors file with a checksum ([`rondo_nn::tensor_file`]):
//!
//! | metadata | what |
//! |---|---|
//! | `rondo_checkpoint` | version of this layout, `1` |
//! | `progress` | epoch, batch, steps, schedule, sums of losses, times, as JSON |
//! | `config`, `tokenizer` | the model's description, and how texts are cut into its tokens, as JSON |
//! | `corpus` | fingerprints of the vocabulary and of each split's ids, as JSON |
//! | `plan` | the settings of the run, as TOML |
//!
//! | tensors | what |
//! |---|---|
//! | `model/NAME` | the weights |
//! | `average/NAME`, `best/NAME` | their average and the best so far, where the run needs them |
//! | `optimizer/velocity/NAME`, `optimizer/first/NAME`, `optimizer/second/NAME` | what the optimizer remembers |
//! | `state/hidden/L`, `state/cell/L` | what each layer remembers of the text |
//! | `metrics` | the bytes of `metrics.jsonl` up to here |
//! | `codec` | tokenizer and vocabulary as JSON ([`TextCodec::to_json`]); version 0.1.0 left it out |
//!
//! Everything random is drawn from the seed and from the numbers of epoch and step, so that these are the state of all
//! generators.
//!
//! Promises: what is read is what was written, or refused. Not here: which file is where and how many are kept
//! (`rondo_runs`), when one is written (the trainer).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use rondo_data::{TextCodec, Tokenizer};
use rondo_nn::tensor_file::{Tensor, TensorFile, Values};
use rondo_nn::{NnError, RnnLmConfig, State, StatePart};
use rondo_runs::{CorpusFingerprint, RunFolder};

use crate::progress::Progress;
use crate::{Result, TrainError};

pub(crate) const VERSION_KEY: &str = "rondo_checkpoint";
pub(crate) const VERSION: &str = "1";
pub(crate) const PROGRESS_KEY: &str = "progress";
pub(crate) const CONFIG_KEY: &str = "config";
pub(crate) const TOKENIZER_KEY: &str = "tokenizer";
pub(crate) const CORPUS_KEY: &str = "corpus";
pub(crate) const PLAN_KEY: &str = "plan";
pub(crate) const METRICS: &str = "metrics";
pub(crate) const CODEC: &str = "codec";
/// What the names of the weights and of the best weights begin with.
pub(crate) const MODEL: &str = "model/";
pub(crate) const BEST: &str = "best/";

/// A checkpoint that has been read and found to be whole.
pub struct Checkpoint {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
    pub(crate) progress: Progress,
    pub(crate) corpus: CorpusFingerprint,
    /// The model's shape; none for a model that is no [`RnnLm`](rondo_nn::RnnLm).
    config: Option<RnnLmConfig>,
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
        // A model of another kind describes itself by some other object.
        let description = say(CONFIG_KEY)?;
        serde_json::from_str::<serde_json::Map<_, _>>(description).map_err(unusable(CONFIG_KEY))?;
        let config: Option<RnnLmConfig> = serde_json::from_str(description).ok();
        say(TOKENIZER_KEY)?;
        say(PLAN_KEY)?;
        if let Some(config) = &config {
            config.check()?;
            // What it claims to be the shape of is there, before anything of that size is allocated.
            for (name, shape) in config.parameter_shapes() {
                file.numbers(&format!("{MODEL}{name}"), &shape)?;
            }
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

    /// The optimizer's steps since the start of the run.
    pub fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// The shape of the model; none for a model that is no [`RnnLm`](rondo_nn::RnnLm).
    pub fn config(&self) -> Option<&RnnLmConfig> {
        self.config.as_ref()
    }

    /// What the model says of itself ([`Model::description`](rondo_nn::Model::description)).
    pub fn description(&self) -> &str {
        &self.metadata[CONFIG_KEY]
    }

    /// The tokenizer and the vocabulary of the run. Checkpoints of version 0.1.0 have none: there, the vocabulary is in
    /// the run's `vocab.json` alone.
    ///
    /// # Errors
    /// [`TrainError::Data`] if it is no codec.
    pub fn codec(&self) -> Result<Option<TextCodec>> {
        let tensors = self.tensors()?;
        if !tensors.names().contains(&CODEC) {
            return Ok(None);
        }
        let json = String::from_utf8_lossy(tensors.bytes(CODEC)?);
        Ok(Some(TextCodec::from_json(&self.path.display().to_string(), &json)?))
    }

    /// How texts are cut into the model's tokens.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`] if it cannot be read.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        serde_json::from_str(&self.metadata[TOKENIZER_KEY]).map_err(|error| {
            let reason = format!("its `{TOKENIZER_KEY}` cannot be read: {error}");
            TrainError::NoCheckpoint { path: self.path.clone(), reason }
        })
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
