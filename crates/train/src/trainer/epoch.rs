//! The training of an epoch: for each batch a forward pass, a backward pass and an optimizer step.

use std::mem;
use std::time::{Duration, Instant};

use rondo_data::Batches;
use rondo_nn::Mode;
use rondo_runs::Perplexity;
use rondo_runs::metrics::{Record, RecordKind};

use super::non_finite::Remedy;
use super::run::Run;
use crate::loss_sum::LossSum;
use crate::observer::{BatchReport, Event};
use crate::progress::Pause;
use crate::random::{Stream, rng};
use crate::settings::ResetState;
use crate::step::{StepOutcome, StepTerms, TrainingStep};
use crate::{NonFiniteRule, Plan, Result, RunEnd, TrainError};

/// Steps that a run takes at least before it pauses at a time, so that its speed can be measured.
const FEWEST_STEPS: u64 = 10;

/// How an epoch, or its end, has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Completed.
    Completed,
    /// Stopped early because the run was asked to stop.
    Stopped,
    /// Rolled back to an earlier checkpoint.
    RolledBack,
    /// Reached the place to pause at.
    Paused,
}

/// A step that has been taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Taken {
    /// Its batch, counted from 1, and the number of batches of the epoch.
    batch: usize,
    batches: usize,
    /// The number of its targets.
    count: u64,
    learning_rate: f64,
}

/// Steps whose outcome is still on the device.
#[derive(Debug)]
pub(super) struct Deferred {
    steps: Vec<Taken>,
    /// When the first of them began.
    begun: Instant,
}

impl Default for Deferred {
    fn default() -> Self {
        Deferred { steps: Vec::new(), begun: Instant::now() }
    }
}

impl Deferred {
    /// How long an outcome may stay unknown.
    const LONGEST: Duration = Duration::from_secs(1);

    fn is_due(&self) -> bool {
        self.steps.len() == TrainingStep::MOST_DEFERRED || self.begun.elapsed() >= Deferred::LONGEST
    }
}

impl Run<'_> {
    pub(super) fn epochs(&mut self) -> Result<()> {
        let rolls_back = matches!(self.plan.training.non_finite, NonFiniteRule::Rollback { .. });
        self.agree()?;
        // There must be a checkpoint to roll back to, unless the run is about to stop before its first step.
        if rolls_back && self.progress.steps == 0 && !self.agreed.stop {
            self.save_checkpoint()?;
        }
        loop {
            self.agree()?;
            if self.agreed.pause {
                return self.save_checkpoint();
            }
            self.progress.end = RunEnd::of(self.plan, self.progress);
            if let Some(end) = self.progress.end {
                return self.ended(end);
            }
            let ended = match self.train_epoch()? {
                // The step that makes weights non-finite may be the last of the epoch, with no loss after it.
                Ended::Completed if rolls_back && self.roll_back_non_finite_weights()? => Ended::RolledBack,
                Ended::Completed => self.end_epoch()?,
                ended => ended,
            };
            match ended {
                Ended::Stopped => return self.interrupted(),
                Ended::Paused => return self.save_checkpoint(),
                Ended::Completed | Ended::RolledBack => {}
            }
        }
    }

    /// Reports an early end. Fails if the run has no usable model.
    fn ended(&mut self, end: RunEnd) -> Result<()> {
        let epochs = self.progress.epoch - 1;
        if self.progress.best_epoch.is_none() {
            let text = if self.texts.corpus.valid.is_some() { "validation" } else { "test" };
            return Err(TrainError::NoUsableModel { epochs, text });
        }
        if end.is_early() {
            self.watch.notify(Event::EndsEarly { epoch: epochs, end });
        }
        Ok(())
    }

    /// Rolls back if the weights are not finite, and returns whether it did.
    fn roll_back_non_finite_weights(&mut self) -> Result<bool> {
        let Some(found) = self.non_finite_weights()? else { return Ok(false) };
        self.remedy(found)?;
        Ok(true)
    }

    /// Whether the run has reached the place to pause at.
    pub(super) fn has_reached_pause(&self) -> bool {
        match self.until {
            None => false,
            Some(Pause::At(place)) => self.progress.position() >= place,
            Some(Pause::After { time, steps }) => {
                let done = self.progress.steps;
                done >= self.steps_before + FEWEST_STEPS && (done >= steps || Instant::now() >= time)
            }
        }
    }

    /// Trains on the remaining batches of the epoch.
    fn train_epoch(&mut self) -> Result<Ended> {
        let (training, epoch) = (&self.plan.training, self.progress.epoch);
        let order = &mut rng(training.seed, Stream::BatchOrder { epoch });
        let shuffled = match self.texts.units.filter(|_| training.shuffle_lines) {
            Some(units) => {
                let order = units.shuffled(&mut rng(training.seed, Stream::LineOrder { epoch }));
                let (train, sizes) = (&self.texts.corpus.train, (training.batch_size, training.bptt));
                Some(Batches::of_units(train, units, Some(&order), sizes.0, sizes.1)?)
            }
            None => None,
        };
        let columns = shuffled.as_ref().unwrap_or(self.texts.batches);
        let mut batches = match training.variable_bptt {
            true => columns.variable_epoch(order),
            false => columns.epoch(training.batch_order, order),
        };
        batches.truncate(training.max_batches.unwrap_or(usize::MAX));
        self.full_epoch = batches.len();
        if let Some(steps) = training.max_steps {
            let left = steps.saturating_sub(self.batches_before_epoch());
            batches.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        }
        let batch_count = batches.len();
        if self.progress.batch == 0 {
            self.progress.epoch_began_s = Some(self.elapsed_s());
        }
        self.batches = batch_count;
        let learning_rate = match self.progress.batch < batch_count {
            true => self.next_learning_rate(self.progress.batch),
            false => self.progress.schedule.step_learning_rate(),
        };
        let (epochs, left) = self.length();
        self.watch.notify(Event::EpochStarted { epoch, epochs, batches: batch_count, left, learning_rate });
        if let Some(&longest) = batches.iter().max_by_key(|batch| batch.steps) {
            let terms = self.terms(longest.steps * training.batch_size);
            self.learner.make_room(longest, columns, terms)?;
        }
        for (index, &batch) in batches.iter().enumerate().skip(self.progress.batch) {
            self.agree()?;
            if (self.agreed.stop || self.agreed.pause) && self.settle()? == Remedy::RolledBack {
                return Ok(Ended::RolledBack);
            }
            if self.agreed.stop {
                return Ok(Ended::Stopped);
            }
            if self.agreed.pause {
                return Ok(Ended::Paused);
            }
            if training.reset_state == ResetState::Batch {
                self.learner.clear_state();
            }
            let begun = Instant::now();
            self.learner.fill(columns, batch)?;
            let count = columns.targets_in(batch);
            let learning_rate = self.next_learning_rate(index);
            let learning_rate = match training.variable_bptt {
                // The mean loss of a longer batch represents more tokens.
                true => learning_rate * batch.steps as f64 / training.bptt as f64,
                false => learning_rate,
            };
            let terms = self.terms(count);
            let position = self.position(index);
            let taken = Taken { batch: index + 1, batches: batch_count, count: count as u64, learning_rate };
            let is_saved = if self.learner.defers_steps() {
                let place = self.deferred.steps.len();
                self.learner.defer_step(self.progress, terms, (position, learning_rate), place)?;
                self.progress.batch = index + 1;
                if place == 0 {
                    self.deferred.begun = begun;
                }
                self.deferred.steps.push(taken);
                let is_logged = training.log_every.is_some_and(|every| (index + 1).is_multiple_of(every));
                let is_saved = self.is_due_to_save();
                if (is_logged || is_saved || self.deferred.is_due() || index + 1 == batch_count)
                    && self.settle()? == Remedy::RolledBack
                {
                    return Ok(Ended::RolledBack);
                }
                is_saved
            } else {
                match self.learner.take_step(self.progress, terms, (position, learning_rate))? {
                    Ok(outcome) => {
                        self.progress.batch = index + 1;
                        self.after_step(outcome, taken, self.progress.steps, begun.elapsed())?;
                    }
                    Err(found) => match self.remedy(found)? {
                        Remedy::NextBatch => self.progress.batch = index + 1,
                        Remedy::RolledBack => return Ok(Ended::RolledBack),
                    },
                }
                self.compare_with_uniform_guess(index + 1, batch_count);
                self.is_due_to_save()
            };
            if is_saved {
                self.save_checkpoint()?;
            }
        }
        // Do not start the evaluation if the run is about to stop or to pause.
        self.agree()?;
        Ok(match self.agreed.stop {
            true => Ended::Stopped,
            false if self.agreed.pause => Ended::Paused,
            false => Ended::Completed,
        })
    }

    /// Whether a checkpoint is due after the last step.
    fn is_due_to_save(&self) -> bool {
        self.agreed.save || self.output.checkpoint_timer.is_due_after(self.progress.steps)
    }

    /// Waits for the deferred steps, and reports each of them.
    fn settle(&mut self) -> Result<Remedy> {
        let Deferred { steps, begun } = mem::take(&mut self.deferred);
        if steps.is_empty() {
            return Ok(Remedy::NextBatch);
        }
        let outcomes = self.learner.outcomes(steps.len())?;
        let time = begun.elapsed() / steps.len() as u32;
        let first = self.progress.steps - steps.len() as u64;
        for ((taken, outcome), step) in steps.into_iter().zip(outcomes).zip(first + 1..) {
            match outcome.finite() {
                Ok(outcome) => {
                    self.progress.skipped_in_a_row = 0;
                    self.after_step(outcome, taken, step, time)?;
                }
                Err(found) => {
                    // The step counts already.
                    let later = self.progress.steps - (step - 1);
                    self.progress.steps -= later;
                    let remedy = self.remedy(found)?;
                    if remedy == Remedy::RolledBack {
                        return Ok(remedy);
                    }
                    self.progress.steps += later;
                }
            }
            self.compare_with_uniform_guess(taken.batch, taken.batches);
        }
        Ok(Remedy::NextBatch)
    }

    /// The number of batches of all epochs before this one.
    fn batches_before_epoch(&self) -> u64 {
        self.progress.batches().saturating_sub(self.progress.batch as u64)
    }

    /// The number of epochs of the run, the last of which can be shorter, and of the batches that are left, if all epochs
    /// are as long as this one.
    fn length(&self) -> (usize, u64) {
        let training = &self.plan.training;
        let (done, full) = (self.batches_before_epoch(), self.full_epoch as u64);
        let most = training.max_steps.map_or(u64::MAX, |most| most.saturating_sub(done));
        let epochs = (training.epochs.saturating_sub(self.progress.epoch - 1)).max(1) as u64;
        let all = full.saturating_mul(epochs).min(most);
        let begun = all.div_ceil(full.max(1)) as usize;
        (self.progress.epoch - 1 + begun.max(1), all.saturating_sub(self.progress.batch as u64))
    }

    /// The part of the run that precedes a batch of this epoch, from 0 to 1. A run ends with its last epoch or its last
    /// step, whichever comes first.
    fn position(&self, batch: usize) -> f64 {
        let training = &self.plan.training;
        if training.is_unplanned() {
            return 0.0;
        }
        let epochs = (self.progress.epoch - 1) as f64 + batch as f64 / self.full_epoch as f64;
        let of_epochs = epochs / training.epochs as f64;
        let steps = (self.batches_before_epoch() + batch as u64) as f64;
        training.max_steps.map_or(of_epochs, |most| of_epochs.max(steps / most as f64))
    }

    /// The learning rate that the schedule gives for a batch of this epoch.
    fn next_learning_rate(&mut self, batch: usize) -> f64 {
        let position = self.position(batch);
        self.progress.schedule.before_step(self.progress.steps, position)
    }

    /// Updates the progress after a step, and reports it.
    fn after_step(
        &mut self,
        StepOutcome { nll_sum, gradient_norm }: StepOutcome,
        Taken { batch, batches, count, learning_rate }: Taken,
        step: u64,
        time: Duration,
    ) -> Result<()> {
        let training = &self.plan.training;
        let seconds = time.as_secs_f64();
        self.progress.training_s += seconds;
        self.progress.tokens += count;
        self.progress.epoch_sum.add(nll_sum, count, seconds, gradient_norm);
        self.progress.log_sum.add(nll_sum, count, seconds, gradient_norm);
        self.progress.quarter_sum.add(nll_sum, count, seconds, gradient_norm);
        self.progress.gradient_norm = Some(gradient_norm);
        let nll_mean = nll_sum / count as f64;
        let mut report = BatchReport {
            epoch: self.progress.epoch,
            batch,
            batches,
            step,
            nll_mean,
            moving_loss: self.progress.moving_loss.update(nll_mean),
            tokens_per_s: count as f64 / seconds,
            gradient_norm,
            learning_rate,
        };
        self.watch.notify(Event::Batch(&report));
        if training.log_every.is_some_and(|every| report.batch.is_multiple_of(every)) {
            let interval = mem::take(&mut self.progress.log_sum);
            report.nll_mean = interval.nll_mean();
            report.tokens_per_s = interval.tokens_per_s();
            self.log(&report, interval)?;
        }
        self.warn_of_long_epoch(time, batches);
        Ok(())
    }

    fn terms(&self, tokens: usize) -> StepTerms {
        let Plan { training, optimization, .. } = self.plan;
        StepTerms {
            mode: Mode::Train { seed: training.seed, step: self.progress.steps },
            gradient_scale: optimization.gradient_scale(tokens),
            penalty: optimization.penalty,
        }
    }

    /// Reports and records the interval that ends with this batch.
    fn log(&mut self, report: &BatchReport, interval: LossSum) -> Result<()> {
        self.watch.notify(Event::Log(report));
        let record = Record {
            interval_loss: Some(report.nll_mean),
            interval_perplexity: self.plan.training_perplexity(report.nll_mean).map(Perplexity::value),
            epoch_loss_so_far: Some(self.progress.epoch_sum.nll_mean()),
            moving_loss: Some(report.moving_loss),
            learning_rate: Some(self.progress.schedule.step_learning_rate()),
            step_learning_rate: self.plan.training.variable_bptt.then_some(report.learning_rate),
            unclipped_gradient_norm_last: Some(report.gradient_norm),
            unclipped_gradient_norm_mean: Some(interval.gradient_norm_mean()),
            interval_training_tokens_per_s: Some(report.tokens_per_s),
            ..self.record_of(RecordKind::Batch)
        };
        self.record(&record)
    }

    /// A record of this moment: how far the run is, how long it took, and the number of skipped steps and rollbacks,
    /// if there are any.
    pub(super) fn record_of(&self, kind: RecordKind) -> Record {
        let count = |count: f64| Some(count).filter(|&count| count > 0.0);
        Record {
            kind,
            epoch: if kind == RecordKind::Start { 0 } else { self.progress.epoch },
            step: self.progress.steps,
            tokens: Some(self.progress.tokens),
            training_s: Some(self.progress.training_s),
            elapsed_s: Some(self.elapsed_s()),
            skipped_steps: count(self.progress.skipped as f64),
            rollbacks: count(self.progress.rollbacks as f64),
            ..Record::default()
        }
    }
}
