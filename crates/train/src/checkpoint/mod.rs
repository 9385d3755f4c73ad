//! Checkpoints: everything needed to resume a run as if it had not been interrupted.
//!
//! A checkpoint is a safetensors file with a checksum ([`rondo_nn::tensor_file`]):
//!
//! | metadata | content |
//! |---|---|
//! | `rondo_checkpoint` | version of this format, `1` |
//! | `progress` | epoch, batch, steps, schedule, loss sums, times, as JSON |
//! | `config`, `tokenizer` | the model's description and its tokenizer, as JSON |
//! | `corpus` | fingerprints of the vocabulary and of each split's ids, as JSON |
//! | `plan` | the settings of the run, as TOML |
//!
//! | tensors | content |
//! |---|---|
//! | `model/NAME` | the weights |
//! | `average/NAME`, `best/NAME` | the averaged weights and the best weights so far, if the run needs them |
//! | `optimizer/velocity/NAME`, `optimizer/first/NAME`, `optimizer/second/NAME` | the state of the optimizer |
//! | `state/hidden/L`, `state/cell/L` | the hidden state and cell state of each layer |
//! | `metrics` | the bytes of `metrics.jsonl` up to here |
//! | `codec` | tokenizer and vocabulary as JSON ([`TextCodec::to_json`]); missing in version 0.1.0 |
//!
//! All random numbers are derived from the seed and the numbers of the epoch and step, so no generator state
//! is saved.
//!
//! Promises: a checkpoint that differs from what was written is refused. Not here: the files and how many are
//! kept (`rondo_runs`), when one is written (the trainer).

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use rondo_collective::Collective;
use rondo_data::{TextCodec, Tokenizer};
use rondo_nn::tensor_file::{Tensor, TensorFile, Values};
use rondo_nn::{CHECKPOINT_KEY, NnError, RnnLmConfig, State, StatePart};
use rondo_runs::{CorpusFingerprint, RunFolder};

use crate::progress::Progress;
use crate::{Plan, Result, RunEnd, Settings, TrainError};

pub(crate) const VERSION_KEY: &str = CHECKPOINT_KEY;
pub(crate) const VERSION: &str = "1";
pub(crate) const PROGRESS_KEY: &str = "progress";
pub(crate) const CONFIG_KEY: &str = "config";
pub(crate) const TOKENIZER_KEY: &str = "tokenizer";
pub(crate) const CORPUS_KEY: &str = "corpus";
pub(crate) const PLAN_KEY: &str = "plan";
pub(crate) const METRICS: &str = "metrics";
pub(crate) const CODEC: &str = "codec";
/// The prefixes of the names of the weights and of the best weights.
pub(crate) const MODEL: &str = "model/";
pub(crate) const BEST: &str = "best/";

/// A checkpoint that has been read and verified.
pub struct Checkpoint {
    path: PathBuf,
    bytes: Vec<u8>,
    metadata: BTreeMap<String, String>,
    pub(crate) progress: Progress,
    pub(crate) corpus: CorpusFingerprint,
    /// The model's configuration; `None` for a model that is not an [`RnnLm`](rondo_nn::RnnLm).
    config: Option<RnnLmConfig>,
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, progress) = (&self.path, &self.progress);
        f.debug_struct("Checkpoint").field("path", path).field("progress", progress).finish_non_exhaustive()
    }
}

impl Checkpoint {
    /// Reads a checkpoint and verifies its checksum.
    ///
    /// # Errors
    /// [`TrainError::Io`] if it cannot be read, [`TrainError::Model`] if it is truncated or damaged,
    /// [`TrainError::CheckpointVersion`] if its format version is not the one that this program reads, and
    /// [`TrainError::NoCheckpoint`] if it is something else.
    pub fn read(path: &Path) -> Result<Checkpoint> {
        let bytes = fs::read(path).map_err(TrainError::io("read", path))?;
        Checkpoint::from_bytes(bytes, path)
    }

    /// The latest undamaged checkpoint of a run, and the errors of later, damaged ones; `None` if the run has
    /// no checkpoint.
    ///
    /// # Errors
    /// [`TrainError::NoGoodCheckpoint`] if all are damaged; [`TrainError::Io`] if one cannot be read, and
    /// [`TrainError::CheckpointVersion`] if one has a different version.
    pub fn latest(folder: &RunFolder) -> Result<Option<(Checkpoint, Vec<TrainError>)>> {
        Checkpoint::latest_that(folder, |_| true)
    }

    /// The checkpoint that `read` reads on the first rank, on all ranks: the others may find another one in the folder, or
    /// none.
    pub(crate) fn of_first_rank(
        ranks: &dyn Collective,
        read: impl FnOnce() -> Result<Option<Checkpoint>>,
    ) -> Result<Option<Checkpoint>> {
        if ranks.is_alone() {
            return read();
        }
        let mut found = if ranks.leads() { read()? } else { None };
        let path = found.as_ref().map(|found| found.path.to_string_lossy().into_owned()).unwrap_or_default();
        let path = PathBuf::from(String::from_utf8_lossy(&ranks.broadcast(path.into_bytes())?).into_owned());
        let bytes = ranks.broadcast(found.as_mut().map(|found| found.bytes.clone()).unwrap_or_default())?;
        match found {
            None if !bytes.is_empty() => Checkpoint::from_bytes(bytes, &path).map(Some),
            found => Ok(found),
        }
    }

    /// The latest undamaged checkpoint from before this number of steps; if there is none, the latest one.
    pub(crate) fn latest_before(folder: &RunFolder, steps: u64) -> Result<Option<Checkpoint>> {
        let found = match Checkpoint::latest_that(folder, |checkpoint| checkpoint.steps() < steps)? {
            None => Checkpoint::latest(folder)?,
            found => found,
        };
        Ok(found.map(|(checkpoint, _)| checkpoint))
    }

    fn latest_that(
        folder: &RunFolder,
        fits: impl Fn(&Checkpoint) -> bool,
    ) -> Result<Option<(Checkpoint, Vec<TrainError>)>> {
        let (mut damaged, mut others) = (vec![], 0);
        for path in folder.checkpoints()?.into_iter().rev() {
            match Checkpoint::read(&path) {
                Ok(checkpoint) if fits(&checkpoint) => return Ok(Some((checkpoint, damaged))),
                Ok(_) => others += 1,
                // Not damage: using an older checkpoint would discard one that another version of the program
                // can read.
                Err(error @ (TrainError::Io { .. } | TrainError::CheckpointVersion { .. })) => {
                    return Err(error);
                }
                Err(error) => damaged.push(error),
            }
        }
        match damaged.into_iter().next() {
            None => Ok(None),
            Some(_) if others > 0 => Ok(None),
            Some(newest) => {
                Err(TrainError::NoGoodCheckpoint { path: folder.path().to_owned(), newest: Box::new(newest) })
            }
        }
    }

    /// Reads a checkpoint from bytes; `path` is its name in errors.
    ///
    /// # Errors
    /// Those of [`Checkpoint::read`], except for reading the file.
    pub fn from_bytes(bytes: Vec<u8>, path: &Path) -> Result<Checkpoint> {
        let file = TensorFile::from_bytes(&bytes, path)?;
        let refuse = |reason: String| TrainError::NoCheckpoint { path: path.to_owned(), reason };
        let metadata = file.metadata().clone();
        let entry = |key: &str| metadata.get(key).ok_or_else(|| refuse(format!("it has no `{key}` entry")));
        let version = entry(VERSION_KEY)?;
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
        let progress: Progress =
            serde_json::from_str(entry(PROGRESS_KEY)?).map_err(unusable(PROGRESS_KEY))?;
        if !progress.is_plausible() {
            return Err(refuse(format!("its `{PROGRESS_KEY}` has impossible values")));
        }
        let corpus = serde_json::from_str(entry(CORPUS_KEY)?).map_err(unusable(CORPUS_KEY))?;
        // The description of a model of another kind is some other JSON object.
        let description = entry(CONFIG_KEY)?;
        serde_json::from_str::<serde_json::Map<_, _>>(description).map_err(unusable(CONFIG_KEY))?;
        let config: Option<RnnLmConfig> = serde_json::from_str(description).ok();
        entry(TOKENIZER_KEY)?;
        entry(PLAN_KEY)?;
        if let Some(config) = &config {
            config.check()?;
            // Check that tensors of the claimed shapes exist before anything of that size is allocated.
            for (name, shape) in config.parameter_shapes() {
                file.numbers(&format!("{MODEL}{name}"), &shape)?;
            }
        }
        Ok(Checkpoint { path: path.to_owned(), metadata, progress, corpus, config, bytes })
    }

    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file in bytes.
    pub(crate) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The current epoch, from 1; the run's epochs plus 1 if all have ended.
    pub fn epoch(&self) -> usize {
        self.progress.epoch
    }

    /// Whether all training that a plan asks for is done.
    pub fn is_complete(&self, plan: &Plan) -> bool {
        RunEnd::of(plan, &self.progress).is_some_and(|end| end.is_complete())
    }

    /// The number of optimizer steps since the start of the run.
    pub fn steps(&self) -> u64 {
        self.progress.steps
    }

    /// Why the run has ended; `None` if it has not, and for checkpoints of version 0.1.0.
    pub fn end(&self) -> Option<RunEnd> {
        self.progress.end
    }

    /// The configuration of the model; `None` for a model that is not an [`RnnLm`](rondo_nn::RnnLm).
    pub fn config(&self) -> Option<&RnnLmConfig> {
        self.config.as_ref()
    }

    /// The model's description ([`Model::description`](rondo_nn::Model::description)).
    pub fn description(&self) -> &str {
        &self.metadata[CONFIG_KEY]
    }

    /// The tokenizer and the vocabulary of the run. `None` for checkpoints of version 0.1.0: there, the
    /// vocabulary is only in the run's `vocab.json`.
    ///
    /// # Errors
    /// [`TrainError::Data`] if it is not a valid codec.
    pub fn codec(&self) -> Result<Option<TextCodec>> {
        let tensors = self.tensors()?;
        if !tensors.names().contains(&CODEC) {
            return Ok(None);
        }
        let json = tensors.bytes(CODEC)?;
        let json = String::from_utf8_lossy(&json);
        Ok(Some(TextCodec::from_json(&self.path.display().to_string(), &json)?))
    }

    /// The tokenizer of the run.
    ///
    /// # Errors
    /// [`TrainError::NoCheckpoint`] if it cannot be read.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        serde_json::from_str(&self.metadata[TOKENIZER_KEY]).map_err(|error| {
            let reason = format!("its `{TOKENIZER_KEY}` cannot be read: {error}");
            TrainError::NoCheckpoint { path: self.path.clone(), reason }
        })
    }

    /// The settings of the run when the checkpoint was written, as TOML.
    pub fn plan(&self) -> &str {
        &self.metadata[PLAN_KEY]
    }

    /// The settings of the run when the checkpoint was written.
    pub(crate) fn settings(&self) -> Result<Settings> {
        Settings::parse(&format!("{PLAN_KEY} of {}", self.path.display()), self.plan())
    }

    /// The tensors, which are already verified.
    pub(crate) fn tensors(&self) -> Result<TensorFile<'_>> {
        Ok(TensorFile::from_bytes(&self.bytes, &self.path)?)
    }

    /// The bytes of `metrics.jsonl` when the checkpoint was written.
    pub(crate) fn metrics(&self) -> Result<Vec<u8>> {
        Ok(self.tensors()?.bytes(METRICS)?.into_owned())
    }
}

/// The hidden states of all columns of a batch, which may be computed in parts and by several ranks.
pub(crate) struct CarriedState {
    /// The name, the width and the values of each part of the state.
    parts: Vec<(String, usize, Vec<f32>)>,
}

impl CarriedState {
    /// The states of the columns of this rank, in their order, followed by those of the next ranks.
    ///
    /// All ranks must call it together.
    pub(crate) fn of(states: &[&State], ranks: &dyn Collective) -> Result<CarriedState> {
        let mut parts = vec![];
        for (index, part) in states.first().map_or(&[][..], |state| state.parts()).iter().enumerate() {
            let mut values = vec![];
            for state in states {
                values.extend_from_slice(&state.parts()[index].values().read().map_err(NnError::from)?);
            }
            if !ranks.is_alone() {
                let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
                let all = ranks.gather(bytes)?.concat();
                values = all.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
            }
            parts.push((state_tensor(part), part.width(), values));
        }
        Ok(CarriedState { parts })
    }

    /// As tensors to write.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = Tensor<'_>> {
        self.parts.iter().map(|(name, width, values)| Tensor {
            name: name.clone(),
            shape: vec![values.len() / (*width).max(1), *width],
            values: Values::Numbers(values.into()),
        })
    }
}

/// Reads the hidden states of some columns of a batch of `batch_size` columns.
pub(crate) fn read_state(
    tensors: &TensorFile<'_>,
    state: &mut State,
    columns: Range<usize>,
    batch_size: usize,
) -> Result<()> {
    for part in state.parts_mut() {
        let width = part.width();
        let all = tensors.numbers(&state_tensor(part), &[batch_size, width])?.to_vec()?;
        let own = &all[columns.start * width..columns.end * width];
        part.values_mut().write_from(own).map_err(NnError::from)?;
    }
    Ok(())
}

fn state_tensor(part: &StatePart) -> String {
    format!("state/{}", part.name())
}

#[cfg(test)]
mod tests;
