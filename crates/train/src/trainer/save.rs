//! What a run leaves on the disk while it goes on, and how it is taken up from there.

use std::collections::BTreeMap;
use std::path::Path;

use rondo_nn::tensor_file::{Tensor, Values, write_tensors};
use rondo_nn::{Model, ModelContext, ModelFile, parameter_tensors, read_parameters};
use rondo_runs::metrics::MetricsLog;
use rondo_runs::write_atomically;

use super::Run;
use crate::averaging::AVERAGE;
use crate::checkpoint::{self, Checkpoint, METRICS, Progress};
use crate::observer::Event;
use crate::{Result, TrainError};

/// What the names of the weights and of the best weights begin with in a checkpoint.
const MODEL: &str = "model/";
const BEST: &str = "best/";

impl Run<'_> {
    /// Saves the model as it is.
    pub(super) fn save_model(&self, path: &Path, epoch: usize) -> Result<()> {
        let metadata = BTreeMap::from([
            (checkpoint::TOKENIZER_KEY.to_owned(), self.corpus.tokenizer().to_json()),
            ("epoch".to_owned(), epoch.to_string()),
            ("step".to_owned(), self.outcome.steps.to_string()),
        ]);
        let vocab_fingerprint = self.corpus_fingerprint.vocabulary.clone();
        let context = ModelContext { vocab_fingerprint, metadata, ..ModelContext::default() };
        Ok(write_atomically(path, |to| ModelFile::write(&self.model, &context, to))?)
    }

    /// Draws the losses and perplexities recorded so far.
    #[cfg(feature = "plot")]
    pub(super) fn draw_curve(&self) -> Result<()> {
        let records = rondo_runs::metrics::read(&self.folder.metrics())?;
        let name = self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let picture = rondo_runs::plot::draw(&name, &records)?;
        Ok(write_atomically(&self.folder.curve(), |to| to.write_all(picture.as_bytes()))?)
    }

    /// Draws nothing: that takes the feature `plot`.
    #[cfg(not(feature = "plot"))]
    pub(super) fn draw_curve(&self) -> Result<()> {
        Ok(())
    }

    /// Saves all that is needed to go on from here.
    ///
    /// Weights that are not finite are no place to go on from: the checkpoints there are stay, and the next step will
    /// tell.
    pub(super) fn save_checkpoint(&mut self) -> Result<()> {
        if !self.weights_are_finite()? {
            return Ok(());
        }
        let metadata = self.checkpoint_metadata()?;
        let metrics = self.metrics.as_ref().map_or(Ok(vec![]), MetricsLog::content)?;
        let mut tensors = parameter_tensors(MODEL, self.model.parameters())?;
        if let (_, Some(average)) = self.averaging.progress() {
            tensors.extend(parameter_tensors(AVERAGE, average)?);
        }
        if let Some(best) = &self.best {
            tensors.extend(parameter_tensors(BEST, best)?);
        }
        tensors.extend(self.step.optimizer().tensors(self.model.parameters())?);
        tensors.extend(checkpoint::state_tensors(&self.place.state)?);
        let (shape, values) = (vec![metrics.len()], Values::Bytes(&metrics));
        tensors.push(Tensor { name: METRICS.to_owned(), shape, values });
        self.checkpoints.write(|to| write_tensors(&tensors, &metadata, to))?;
        self.due.written(self.outcome.steps);
        Ok(())
    }

    fn checkpoint_metadata(&self) -> Result<BTreeMap<String, String>> {
        let path = self.folder.path();
        let json = |value: serde_json::Result<String>| {
            value.map_err(|source| TrainError::io("describe a checkpoint for", path)(source.into()))
        };
        Ok(BTreeMap::from(
            [
                (checkpoint::VERSION_KEY, checkpoint::VERSION.to_owned()),
                (checkpoint::PROGRESS_KEY, json(serde_json::to_string(&self.progress()))?),
                (checkpoint::CONFIG_KEY, json(serde_json::to_string(self.model.config()))?),
                (checkpoint::CORPUS_KEY, json(serde_json::to_string(&self.corpus_fingerprint))?),
                (checkpoint::TOKENIZER_KEY, self.corpus.tokenizer().to_json()),
                (checkpoint::PLAN_KEY, self.plan.to_toml()?),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        ))
    }

    fn progress(&self) -> Progress {
        Progress {
            epoch: self.place.epoch,
            chunk: self.place.chunk,
            steps: self.outcome.steps,
            tokens: self.outcome.tokens,
            skipped: self.skipped,
            skipped_in_a_row: self.skipped_in_a_row,
            rollbacks: self.rollbacks,
            epoch_sum: self.place.epoch_sum,
            log_sum: self.place.log_sum,
            moving_loss: self.moving_loss,
            schedule: self.schedule.clone(),
            averaging: self.averaging.progress().0,
            optimizer_steps: self.step.optimizer().steps(),
            best_epoch: self.outcome.best_epoch,
            best_valid: self.outcome.best_valid,
            best_test: self.outcome.best_test,
            training_s: self.training_s,
            elapsed_s: self.elapsed_s(),
            started_unix_s: self.started_unix_s,
        }
    }

    /// Goes on from a checkpoint in a new process.
    pub(super) fn resume(&mut self, checkpoint: Checkpoint) -> Result<()> {
        self.restore(&checkpoint)?;
        self.elapsed_before_s = checkpoint.progress.elapsed_s;
        self.training_s = checkpoint.progress.training_s;
        let Progress { epoch, chunk, steps, best_epoch, .. } = checkpoint.progress;
        self.observer.observe(Event::Resumed {
            epoch,
            chunk,
            step: steps,
            best_epoch,
            path: checkpoint.path(),
        });
        Ok(())
    }

    /// Puts everything back to what it was when the checkpoint was written, but for the times.
    pub(super) fn restore(&mut self, checkpoint: &Checkpoint) -> Result<()> {
        let (progress, tensors) = (&checkpoint.progress, checkpoint.tensors()?);
        read_parameters(MODEL, &tensors, self.model.parameters_mut())?;
        self.averaging.restore(progress.averaging, &tensors, self.model.parameters())?;
        let optimizer = self.step.optimizer_mut();
        optimizer.restore(progress.optimizer_steps, &tensors, self.model.parameters())?;
        checkpoint::read_state(&tensors, &mut self.place.state)?;
        self.best = None;
        if progress.best_epoch.is_some() && self.plan.optimization.schedule.reloads_best() {
            let mut best = self.model.parameters().like();
            read_parameters(BEST, &tensors, &mut best)?;
            self.best = Some(best);
        }
        self.place.epoch = progress.epoch;
        self.place.chunk = progress.chunk;
        self.place.epoch_sum = progress.epoch_sum;
        self.place.log_sum = progress.log_sum;
        self.skipped = progress.skipped;
        self.skipped_in_a_row = progress.skipped_in_a_row;
        self.rollbacks = progress.rollbacks;
        self.moving_loss = progress.moving_loss;
        self.schedule = progress.schedule.clone();
        self.outcome.steps = progress.steps;
        self.outcome.tokens = progress.tokens;
        self.outcome.best_epoch = progress.best_epoch;
        self.outcome.best_valid = progress.best_valid;
        self.outcome.best_test = progress.best_test;
        self.started_unix_s = progress.started_unix_s;
        self.metrics = Some(MetricsLog::resume(self.folder, &checkpoint.metrics()?, self.started_unix_s)?);
        self.due.written(progress.steps);
        Ok(())
    }
}
