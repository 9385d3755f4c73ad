//! An epoch's training: each chunk once, forward, back, and a step.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rondo_data::Chunk;
use rondo_nn::{Mode, Model};
use rondo_runs::Perplexity;
use rondo_runs::metrics::Record;

use super::non_finite::Remedy;
use super::{Run, Stream, rng};
use crate::loss_sum::LossSum;
use crate::observer::{BatchReport, Event};
use crate::step::{NonFinite, StepOutcome, StepTerms, Tokens};
use crate::{NonFiniteRule, Plan, Result};

/// How a part of a run has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// By coming to its end.
    Whole,
    /// Before it, since the run was asked to stop.
    Stopped,
    /// Before it, to go on from an earlier place.
    RolledBack,
}

impl Run<'_> {
    pub(super) fn epochs(&mut self) -> Result<()> {
        if matches!(self.plan.training.non_finite, NonFiniteRule::Rollback { .. }) && self.outcome.steps == 0
        {
            self.save_checkpoint()?; // There must be something to go back to.
        }
        while self.place.epoch <= self.plan.training.epochs {
            let learning_rate = self.schedule.learning_rate();
            let ended = match self.train_epoch(learning_rate)? {
                Ended::Whole => self.end_epoch(learning_rate)?,
                ended => ended,
            };
            if ended == Ended::Stopped {
                return self.interrupted();
            }
        }
        Ok(())
    }

    /// Trains on each chunk that is left of the epoch.
    fn train_epoch(&mut self, learning_rate: f64) -> Result<Ended> {
        let (training, epoch) = (&self.plan.training, self.place.epoch);
        let order = &mut rng(training.seed, Stream::ChunkOrder { epoch });
        let mut chunks = match training.variable_bptt {
            true => self.batches.variable_chunks(order),
            false => self.batches.chunks(training.chunk_order, order),
        };
        chunks.truncate(training.max_batches.unwrap_or(usize::MAX));
        let (epochs, batches) = (training.epochs, chunks.len());
        self.observer.observe(Event::EpochStarted { epoch, epochs, batches, learning_rate });
        let mut tokens = Tokens::with_capacity(training.bptt * training.batch_size);
        self.make_room(&chunks, &mut tokens)?;
        for (index, &chunk) in chunks.iter().enumerate().skip(self.place.chunk) {
            if self.stop.load(Ordering::Relaxed) {
                return Ok(Ended::Stopped);
            }
            if !training.carry_state {
                self.place.state.clear();
            }
            let begun = Instant::now();
            tokens.fill(&self.batches, chunk)?;
            let learning_rate = match training.variable_bptt {
                // A longer chunk's mean loss stands for more tokens.
                true => learning_rate * chunk.steps as f64 / training.bptt as f64,
                false => learning_rate,
            };
            match self.train_batch(chunk, &tokens, learning_rate)? {
                Ok(outcome) => {
                    self.place.chunk = index + 1;
                    self.after_step(outcome, chunk, (batches, learning_rate), begun.elapsed())?;
                }
                Err(found) => match self.remedy(found)? {
                    Remedy::NextChunk => self.place.chunk = index + 1,
                    Remedy::RolledBack => return Ok(Ended::RolledBack),
                },
            }
            if self.due.is_now(self.outcome.steps) {
                self.save_checkpoint()?;
            }
        }
        // The evaluation of what would be a new best must not begin if it is to be broken off at once.
        Ok(if self.stop.load(Ordering::Relaxed) { Ended::Stopped } else { Ended::Whole })
    }

    /// Takes note of a step, and reports it.
    fn after_step(
        &mut self,
        StepOutcome { nll_sum, gradient_norm }: StepOutcome,
        chunk: Chunk,
        (batches, learning_rate): (usize, f64),
        time: Duration,
    ) -> Result<()> {
        let training = &self.plan.training;
        let count = (chunk.steps * training.batch_size) as u64;
        let seconds = time.as_secs_f64();
        self.training_s += seconds;
        self.outcome.tokens += count;
        self.place.epoch_sum.add(nll_sum, count, seconds);
        self.place.log_sum.add(nll_sum, count, seconds);
        let nll_mean = nll_sum / count as f64;
        let mut report = BatchReport {
            epoch: self.place.epoch,
            batch: self.place.chunk,
            batches,
            step: self.outcome.steps,
            nll_mean,
            moving_loss: self.moving_loss.update(nll_mean),
            tokens_per_s: count as f64 / seconds,
            gradient_norm,
            learning_rate,
        };
        self.observer.observe(Event::Batch(&report));
        if training.log_every.is_some_and(|every| report.batch.is_multiple_of(every)) {
            report.nll_mean = self.place.log_sum.nll_mean();
            report.tokens_per_s = self.place.log_sum.tokens_per_s();
            self.place.log_sum = LossSum::default();
            self.log(&report)?;
        }
        Ok(())
    }

    /// Sees to it that there is memory for the longest chunk if there has been none as long.
    ///
    /// Were chunks that are each a little longer than all before to find their memory one after the other, what the
    /// shorter ones had used would be left over each time, and come to several times what is needed. So the longest is
    /// run once for nothing, in memory that is new.
    fn make_room(&mut self, chunks: &[Chunk], tokens: &mut Tokens) -> Result<()> {
        let Some(&longest) = chunks.iter().max_by_key(|chunk| chunk.steps) else { return Ok(()) };
        if longest.steps <= self.longest_steps {
            return Ok(());
        }
        self.longest_steps = longest.steps;
        tokens.fill(&self.batches, longest)?;
        let terms = self.terms(longest);
        self.step.make_room(&self.model, self.plan.training.batch_size, tokens, terms)
    }

    fn terms(&self, chunk: Chunk) -> StepTerms {
        let Plan { training, optimization, .. } = self.plan;
        StepTerms {
            mode: Mode::Train { seed: training.seed, step: self.outcome.steps },
            gradient_scale: optimization.gradient_scale(chunk.steps, training.batch_size),
            penalty: optimization.penalty,
        }
    }

    /// One step.
    fn train_batch(
        &mut self,
        chunk: Chunk,
        tokens: &Tokens,
        learning_rate: f64,
    ) -> Result<std::result::Result<StepOutcome, NonFinite>> {
        let terms = self.terms(chunk);
        let outcome = self.step.take(&mut self.model, &mut self.place.state, tokens, terms, learning_rate)?;
        if outcome.is_ok() {
            self.averaging.after_step(self.model.parameters());
            self.outcome.steps += 1;
            self.skipped_in_a_row = 0;
        }
        Ok(outcome)
    }

    fn log(&mut self, report: &BatchReport) -> Result<()> {
        self.observer.observe(Event::Log(report));
        let record = Record {
            epoch: report.epoch,
            step: report.step,
            train_loss: Some(report.nll_mean),
            train_perplexity: Some(Perplexity::from_nll_mean(report.nll_mean).value()),
            moving_loss: Some(report.moving_loss),
            learning_rate: Some(report.learning_rate),
            gradient_norm: Some(report.gradient_norm),
            tokens_per_s: Some(report.tokens_per_s),
            elapsed_s: Some(self.elapsed_s()),
            ..self.mishaps()
        };
        self.record(&record)
    }

    /// A record of the steps that could not be taken so far, if there are any.
    pub(super) fn mishaps(&self) -> Record {
        let count = |count: f64| Some(count).filter(|&count| count > 0.0);
        Record {
            skipped_steps: count(self.skipped as f64),
            rollbacks: count(self.rollbacks as f64),
            ..Record::default()
        }
    }
}
