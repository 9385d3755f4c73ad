//! Saves models and checkpoints during a run, and restores the run from a checkpoint.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use rondo_collective::Collective;
use rondo_infer::model_context;
use rondo_nn::tensor_file::{Tensor, TensorFile, Values, write_tensors};
use rondo_nn::{ModelFile, Parameters, WeightFormat, read_parameters};
use rondo_runs::metrics::MetricsLog;
use rondo_runs::{RunFolder, write_atomically};

use super::run::Run;
use super::{EPOCH_KEY, Resumption};
use crate::checkpoint::{self, CODEC, Checkpoint, METRICS};
use crate::observer::Event;
use crate::progress::Progress;
use crate::{Plan, Result, TrainError};

impl Run<'_> {
    /// Saves the current model, with the tokenizer and vocabulary needed to use it on texts.
    pub(super) fn save_model(&self, path: &Path, epoch: usize) -> Result<()> {
        if !self.writes() {
            return Ok(());
        }
        let metadata = BTreeMap::from([
            (EPOCH_KEY.to_owned(), epoch.to_string()),
            ("step".to_owned(), self.progress.steps.to_string()),
        ]);
        let context = model_context(&self.texts.corpus.codec, self.learner.resets(), metadata);
        Ok(write_atomically(path, |to| ModelFile::write(self.learner.model(), &context, to))?)
    }

    /// Draws the losses and perplexities recorded so far.
    #[cfg(feature = "plot")]
    pub(super) fn draw_curve(&self) -> Result<()> {
        if !self.writes() {
            return Ok(());
        }
        let records = rondo_runs::metrics::read(&self.output.folder.metrics())?;
        let name = self.output.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let picture = rondo_runs::plot::draw(&name, &records)?;
        Ok(write_atomically(&self.output.folder.curve(), |to| to.write_all(picture.as_bytes()))?)
    }

    /// Does nothing without the feature `plot`.
    #[cfg(not(feature = "plot"))]
    pub(super) fn draw_curve(&self) -> Result<()> {
        Ok(())
    }

    /// Saves everything needed to resume from here.
    ///
    /// If the weights are not finite, no checkpoint is written and the existing ones are kept; the next step
    /// will fail.
    pub(super) fn save_checkpoint(&mut self) -> Result<()> {
        if self.non_finite_weights()?.is_some() {
            return Ok(());
        }
        self.progress.elapsed_s = self.elapsed_s();
        self.output.checkpoint_timer.restart(self.progress.steps);
        let states = self.learner.states()?;
        if !self.writes() {
            return Ok(());
        }
        let metadata = self.checkpoint_metadata()?;
        let metrics = self.output.metrics.as_ref().map_or(Ok(vec![]), MetricsLog::content)?;
        let mut tensors = self.learner.tensors(&states, self.plan.optimization.schedule.reloads_best())?;
        let bytes = |name: &str, bytes| {
            let (shape, values) = (vec![<[u8]>::len(bytes)], Values::Bytes(bytes.into()));
            Tensor { name: name.to_owned(), shape, values }
        };
        tensors.push(bytes(METRICS, &metrics));
        tensors.push(bytes(CODEC, self.texts.codec.as_bytes()));
        if let Some(checkpoints) = &mut self.output.checkpoints {
            checkpoints.write(|to| write_tensors(&tensors, &metadata, to))?;
        }
        // Writing takes time, too.
        self.output.checkpoint_timer.restart(self.progress.steps);
        Ok(())
    }

    fn checkpoint_metadata(&self) -> Result<BTreeMap<String, String>> {
        let path = self.output.folder.path();
        let json = |value: serde_json::Result<String>| {
            value.map_err(|source| TrainError::io("encode a checkpoint for", path)(source.into()))
        };
        Ok(BTreeMap::from(
            [
                (checkpoint::VERSION_KEY, checkpoint::VERSION.to_owned()),
                (checkpoint::PROGRESS_KEY, json(serde_json::to_string(&self.progress))?),
                (checkpoint::CONFIG_KEY, self.learner.model().description()),
                (checkpoint::CORPUS_KEY, json(serde_json::to_string(self.texts.fingerprint))?),
                (checkpoint::TOKENIZER_KEY, self.texts.corpus.tokenizer().to_json()),
                (checkpoint::PLAN_KEY, self.plan.to_toml()?),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        ))
    }

    /// Resumes from a checkpoint, usually in a new process, with the changes of settings.
    pub(super) fn resume(&mut self, resumption: Resumption) -> Result<()> {
        let Resumption { checkpoint, changes, is_pause } = resumption;
        self.restore(&checkpoint)?;
        self.clock.before_s = checkpoint.progress.elapsed_s;
        self.progress.training_s = checkpoint.progress.training_s;
        let Progress { epoch, batch, steps: step, best_epoch, .. } = checkpoint.progress;
        if is_pause {
            for change in &changes {
                self.watch.notify(Event::Changed { epoch, step, change });
            }
        } else if epoch <= self.plan.training.epochs {
            self.watch.notify(Event::Resumed { epoch, batch, step, best_epoch, path: checkpoint.path() });
        }
        self.apply(&changes)
    }

    /// Restores everything except the times to the state when the checkpoint was written.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let missing_best = missing_best(self.plan, checkpoint)?;
        let with_best = self.plan.optimization.schedule.reloads_best() && missing_best.is_none();
        self.learner.restore(&checkpoint.progress, &checkpoint.tensors()?, with_best)?;
        if let Some(epoch) = missing_best {
            let (folder, ranks) = (self.output.folder, Arc::clone(self.learner.ranks()));
            let read = |parameters: &mut _| read_best_of_first_rank(&*ranks, folder, epoch, parameters);
            if !self.learner.read_best(epoch, read)? {
                return Err(TrainError::NoBestWeights { path: folder.best_model(), epoch });
            }
        }
        let Progress { training_s, elapsed_s, warned_of_loss, .. } = *self.progress;
        let restored = checkpoint.progress.clone();
        let warned_of_loss = warned_of_loss || restored.warned_of_loss;
        *self.progress = Progress { training_s, elapsed_s, warned_of_loss, ..restored };
        if self.writes() {
            let (metrics, started_unix_s) = (checkpoint.metrics()?, self.progress.started_unix_s);
            self.output.metrics = None; // Closed, since its files are replaced.
            self.output.metrics = Some(MetricsLog::resume(self.output.folder, &metrics, started_unix_s)?);
        }
        self.output.checkpoint_timer.restart(self.progress.steps);
        Ok(())
    }
}

/// The best epoch, if the plan needs its weights but the plan of the checkpoint did not, so that the checkpoint does not
/// contain them.
fn missing_best(plan: &Plan, checkpoint: &Checkpoint) -> Result<Option<usize>> {
    let reloads_best = plan.optimization.schedule.reloads_best();
    if !reloads_best || checkpoint.settings()?.optimization.reload_best == Some(true) {
        return Ok(None);
    }
    Ok(checkpoint.progress.best_epoch)
}

/// Fails if the plan needs the weights of the best epoch, but neither the checkpoint nor the folder has them.
pub(super) fn require_best(plan: &Plan, checkpoint: &Checkpoint, folder: &RunFolder) -> Result<()> {
    match missing_best(plan, checkpoint)? {
        Some(epoch) if best_file(folder, epoch)?.is_none() => {
            Err(TrainError::NoBestWeights { path: folder.best_model(), epoch })
        }
        _ => Ok(()),
    }
}

/// The same on all ranks, from what the first one reads.
fn read_best_of_first_rank(
    ranks: &dyn Collective,
    folder: &RunFolder,
    epoch: usize,
    parameters: &mut Parameters,
) -> Result<bool> {
    let bytes = if ranks.leads() { best_file(folder, epoch)?.unwrap_or_default() } else { vec![] };
    let bytes = ranks.broadcast(bytes)?;
    if bytes.is_empty() {
        return Ok(false);
    }
    read_parameters("", &TensorFile::from_bytes(&bytes, &folder.best_model())?, parameters)?;
    Ok(true)
}

/// Reads the weights of the best model in the folder of a run; false if there is none, or one of another epoch.
pub(super) fn read_best(folder: &RunFolder, epoch: usize, parameters: &mut Parameters) -> Result<bool> {
    let Some(bytes) = best_file(folder, epoch)? else { return Ok(false) };
    read_parameters("", &TensorFile::from_bytes(&bytes, &folder.best_model())?, parameters)?;
    Ok(true)
}

/// The bytes of the best model in the folder of a run, if it is the model of this epoch.
fn best_file(folder: &RunFolder, epoch: usize) -> Result<Option<Vec<u8>>> {
    let path = folder.best_model();
    if !path.is_file() {
        return Ok(None);
    }
    let bytes = fs::read(&path).map_err(TrainError::io("read", &path))?;
    let file = TensorFile::from_bytes(&bytes, &path)?;
    file.verify()?;
    // Rounded weights are not those of the run.
    let is_exact = WeightFormat::in_metadata(file.metadata()) == WeightFormat::F32;
    let is_of_epoch = file.metadata().get(EPOCH_KEY) == Some(&epoch.to_string());
    Ok(Some(bytes).filter(|_| is_of_epoch && is_exact))
}
