//! An epoch's training: each chunk once, forward, back, and a step.

use std::sync::atomic::Ordering;
use std::time::Instant;

use rondo_data::Chunk;
use rondo_nn::{Mode, State};

use super::{Run, Stream, rng};
use crate::metrics::Record;
use crate::observer::{BatchReport, Event};
use crate::step::{NonFinite, Step, StepOutcome, StepTerms, Tokens};
use crate::{Perplexity, Result, TrainError};

/// Sums of losses over some batches.
#[derive(Clone, Copy, Default)]
pub(super) struct LossSum {
    nll: f64,
    tokens: u64,
    seconds: f64,
}

impl LossSum {
    fn add(&mut self, nll: f64, tokens: u64, seconds: f64) {
        self.nll += nll;
        self.tokens += tokens;
        self.seconds += seconds;
    }

    pub(super) fn nll_mean(&self) -> f64 {
        self.nll / self.tokens as f64
    }

    pub(super) fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

impl Run<'_> {
    pub(super) fn epochs(&mut self) -> Result<()> {
        for epoch in 1..=self.plan.training.epochs {
            let learning_rate = self.schedule.learning_rate();
            let sum = self.train_epoch(epoch, learning_rate)?;
            if self.stop.load(Ordering::Relaxed) {
                return self.interrupted(epoch);
            }
            self.end_epoch(epoch, learning_rate, sum)?;
        }
        Ok(())
    }

    /// Trains on each chunk once.
    fn train_epoch(&mut self, epoch: usize, learning_rate: f64) -> Result<LossSum> {
        let training = &self.plan.training;
        let order = &mut rng(training.seed, Stream::ChunkOrder { epoch });
        let mut chunks = match training.variable_bptt {
            true => self.batches.variable_chunks(order),
            false => self.batches.chunks(training.chunk_order, order),
        };
        chunks.truncate(training.max_batches.unwrap_or(usize::MAX));
        let (epochs, batches) = (training.epochs, chunks.len());
        self.observer.observe(Event::EpochStarted { epoch, epochs, batches, learning_rate });
        let mut state = self.model.zero_state(training.batch_size);
        let mut tokens = Tokens::new(training.bptt * training.batch_size);
        self.make_room(&chunks, &mut tokens);
        let (mut whole, mut since_log) = (LossSum::default(), LossSum::default());
        for (index, &chunk) in chunks.iter().enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            if !training.carry_state {
                state.clear();
            }
            let begun = Instant::now();
            let count = (chunk.steps * training.batch_size) as u64;
            tokens.fill(&self.batches, chunk);
            let learning_rate = match training.variable_bptt {
                // A longer chunk's mean loss stands for more tokens.
                true => learning_rate * chunk.steps as f64 / training.bptt as f64,
                false => learning_rate,
            };
            let (nll_sum, gradient_norm) =
                self.train_batch(chunk, &tokens, &mut state, learning_rate, epoch)?;
            let seconds = begun.elapsed().as_secs_f64();
            self.training_s += seconds;
            self.outcome.tokens += count;
            whole.add(nll_sum, count, seconds);
            since_log.add(nll_sum, count, seconds);
            let nll_mean = nll_sum / count as f64;
            let mut report = BatchReport {
                epoch,
                batch: index + 1,
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
                report.nll_mean = since_log.nll_mean();
                report.tokens_per_s = since_log.tokens_per_s();
                since_log = LossSum::default();
                self.log(&report)?;
            }
        }
        Ok(whole)
    }

    /// Sees to it that there is memory for the longest chunk if there has been none as long.
    ///
    /// Were chunks that are each a little longer than all before to find their memory one after the other, what the
    /// shorter ones had used would be left over each time, and come to several times what is needed. So the longest is
    /// run once for nothing, in memory that is new.
    fn make_room(&mut self, chunks: &[Chunk], tokens: &mut Tokens) {
        let Some(&longest) = chunks.iter().max_by_key(|chunk| chunk.steps) else { return };
        if longest.steps <= self.longest_steps {
            return;
        }
        self.longest_steps = longest.steps;
        self.workspace.release();
        tokens.fill(&self.batches, longest);
        let training = &self.plan.training;
        let mut state = self.model.zero_state(training.batch_size);
        let mode = Mode::Train { seed: training.seed, step: self.outcome.steps };
        self.gradients.clear();
        let mut tape = self.workspace.tape(self.model.parameters(), mode);
        let hidden = self.model.forward(&mut tape, &tokens.inputs, &mut state);
        let loss = self.model.loss(&mut tape, hidden, &tokens.targets);
        self.model.penalise(&mut tape, hidden, self.plan.optimization.penalty);
        tape.backward(loss, 1.0, &mut self.gradients);
    }

    /// One step; returns the sum of its losses and the norm of its gradient.
    fn train_batch(
        &mut self,
        chunk: Chunk,
        tokens: &Tokens,
        state: &mut State,
        learning_rate: f64,
        epoch: usize,
    ) -> Result<(f64, f64)> {
        let training = &self.plan.training;
        let terms = StepTerms {
            mode: Mode::Train { seed: training.seed, step: self.outcome.steps },
            gradient_scale: self.plan.optimization.gradient_scale(chunk.steps, training.batch_size),
            penalty: self.plan.optimization.penalty,
            learning_rate,
        };
        let step = Step {
            model: &mut self.model,
            workspace: &mut self.workspace,
            gradients: &mut self.gradients,
            optimizer: &mut self.optimizer,
            state,
        };
        let StepOutcome { nll_sum, gradient_norm } = step
            .take(tokens, terms)
            .map_err(|NonFinite { what, found }| self.non_finite(what, epoch, found))?;
        self.averaging.after_step(self.model.parameters());
        self.outcome.steps += 1;
        Ok((nll_sum, gradient_norm))
    }

    fn log(&mut self, report: &BatchReport) -> Result<()> {
        self.observer.observe(Event::Log(report));
        self.metrics.write(&Record {
            epoch: report.epoch,
            step: report.step,
            train_loss: Some(report.nll_mean),
            train_perplexity: Some(Perplexity::from_nll_mean(report.nll_mean).value()),
            moving_loss: Some(report.moving_loss),
            learning_rate: Some(report.learning_rate),
            gradient_norm: Some(report.gradient_norm),
            tokens_per_s: Some(report.tokens_per_s),
            elapsed_s: Some(self.started.elapsed().as_secs_f64()),
            ..Record::default()
        })
    }

    fn non_finite(&self, what: &'static str, epoch: usize, found: f64) -> TrainError {
        let best = self.outcome.best_epoch.map(|_| self.folder.best_model());
        // The step that would have been the next.
        TrainError::NonFinite { what, found, epoch, step: self.outcome.steps + 1, best }
    }
}
