//! The end of an epoch: evaluates the model, updates the schedule, and saves the models, metrics and samples.

use std::ops::ControlFlow;
use std::sync::Arc;

use rondo_data::TokenIds;
use rondo_infer::{EvaluationPart, InferError, ModelHandle, evaluate_part};
use rondo_runs::metrics::{Record, RecordKind};
use rondo_runs::{Perplexity, Status};

use super::epoch::Ended;
use super::run::Run;
use crate::error::Tried;
use crate::observer::{EpochReport, Event, PartialEpoch};
use crate::sample;
use crate::step::{NonFinite, Quantity};
use crate::{Decision, EvaluationPlan, NonFiniteRule, Result, RunEnd, TrainError, Validation};

/// The losses at the end of an epoch, and the decision of the schedule.
struct EpochValidation {
    valid_loss: Option<f64>,
    test_loss: Option<f64>,
    decision: Decision,
    /// The first loss that is not finite; the model is then not the best.
    non_finite: Option<NonFinite>,
}

impl Run<'_> {
    /// Evaluates the model to continue from before the first epoch. It is the best until an epoch improves on
    /// it.
    pub(super) fn validate_base_model(&mut self) -> Result<()> {
        let corpus = self.texts.corpus;
        let mut losses = [None; 2];
        for (loss, (what, ids)) in losses.iter_mut().zip([("valid", &corpus.valid), ("test", &corpus.test)]) {
            if let Some(ids) = ids {
                *loss = self.evaluate(what, ids)?;
            }
        }
        self.agree()?;
        if self.agreed.stop {
            return Ok(());
        }
        let [valid_loss, test_loss] = losses;
        match not_finite(valid_loss, test_loss) {
            None => {
                let validation = valid_loss.map_or(Validation::NoText, Validation::Loss);
                self.progress.schedule.begin_with(validation);
                self.keep_best(0, valid_loss, test_loss)?;
            }
            // A model whose loss is not finite is never the best.
            Some(_) if self.plan.training.non_finite == NonFiniteRule::Skip => {}
            // There is no checkpoint to roll back to.
            Some(NonFinite { what, found }) => return Err(self.non_finite(what, found, Tried::Nothing)),
        }
        self.watch.notify(Event::Begun { valid_loss, test_loss });
        let record = Record {
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            test_loss,
            test_perplexity: perplexity(test_loss),
            ..self.record_of(RecordKind::Start)
        };
        self.record(&record)?;
        self.save_checkpoint()
    }

    /// Evaluates and saves the model, updates the schedule, and moves to the beginning of the next epoch. If
    /// the run is stopped during the evaluation, nothing is changed. A loss that is not finite is handled as the plan
    /// says: the run stops with an error, or rolls back, or the model is not the best.
    pub(super) fn end_epoch(&mut self) -> Result<Ended> {
        let learning_rate = self.progress.schedule.step_learning_rate();
        let (corpus, epoch, sum) = (self.texts.corpus, self.progress.epoch, self.progress.epoch_sum);
        let unaveraged_valid_loss = match &corpus.valid {
            Some(ids) if self.compares_with_average() && self.evaluates_after(epoch) => {
                match self.evaluate("valid", ids)? {
                    None => return Ok(Ended::Stopped),
                    loss => loss,
                }
            }
            _ => None,
        };
        let Some(EpochValidation { valid_loss, test_loss, decision, non_finite }) =
            self.with_evaluated_weights(|run| run.validate(epoch))?
        else {
            return Ok(Ended::Stopped);
        };
        if let Some(found) = non_finite
            && matches!(self.plan.training.non_finite, NonFiniteRule::Rollback { .. })
        {
            self.remedy(found)?;
            return Ok(Ended::RolledBack);
        }
        match valid_loss {
            Some(_) if decision.is_best => self.progress.evaluations_without_best = 0,
            Some(_) => self.progress.evaluations_without_best += 1,
            None => {}
        }
        let is_best = valid_loss.map(|_| decision.is_best);
        let averaging_begins = self.learner.after_epoch(self.progress, is_best);
        if decision.reload_best {
            self.learner.reload_best();
        }
        let elapsed_s = self.elapsed_s();
        let epoch_s = self.progress.epoch_began_s.map(|began| elapsed_s - began);
        let report = EpochReport {
            epoch,
            step: self.progress.steps,
            train_loss: sum.nll_mean(),
            valid_loss,
            unaveraged_valid_loss,
            is_best: decision.is_best,
            test_loss,
            learning_rate: decision.learning_rate,
            reloaded_best: decision.reload_best,
            averaging_begins,
            tokens_per_s: sum.tokens_per_s(),
            elapsed_s,
        };
        self.watch.notify(Event::EpochFinished(&report));
        let record = Record {
            epoch_loss: Some(report.train_loss),
            epoch_perplexity: self.plan.training_perplexity(report.train_loss).map(Perplexity::value),
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            unaveraged_valid_loss,
            test_loss,
            test_perplexity: perplexity(test_loss),
            learning_rate: Some(learning_rate),
            epoch_training_tokens_per_s: Some(report.tokens_per_s),
            epoch_tokens_per_s: epoch_s.map(|seconds| sum.tokens() as f64 / seconds),
            elapsed_s: Some(elapsed_s),
            ..self.record_of(RecordKind::Epoch)
        };
        self.record(&record)?;
        if let Some(NonFinite { what, found }) = non_finite
            && self.plan.training.non_finite == NonFiniteRule::Stop
        {
            self.draw_curve()?;
            return Err(self.non_finite(what, found, Tried::Nothing));
        }
        self.save_model(&self.output.folder.last_model(), epoch)?;
        self.draw_curve()?;
        self.with_evaluated_weights(|run| run.samples(epoch))?;
        self.learner.clear_state();
        self.progress.next_epoch();
        self.progress.end = RunEnd::of(self.plan, self.progress);
        self.save_checkpoint()?;
        self.summarize(Status::Running, None)?;
        Ok(Ended::Completed)
    }

    /// Whether the current weights are evaluated, too, because their average is.
    fn compares_with_average(&self) -> bool {
        self.progress.averaging.has_average() && self.plan.evaluation.unaveraged
    }

    /// Runs a function with the weights that are evaluated: their average if there is one, otherwise the
    /// latest.
    fn with_evaluated_weights<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.learner.swap_average(self.progress)?;
        let result = run(self);
        self.learner.swap_average(self.progress)?;
        result
    }

    /// Evaluates the model and saves it if it is the best; `None` if the run is stopped during the evaluation.
    fn validate(&mut self, epoch: usize) -> Result<Option<EpochValidation>> {
        let corpus = self.texts.corpus;
        let validation = match &corpus.valid {
            None => Validation::NoText,
            Some(_) if !self.evaluates_after(epoch) => Validation::NotDue,
            Some(ids) => match self.evaluate("valid", ids)? {
                Some(loss) => Validation::Loss(loss),
                None => return Ok(None),
            },
        };
        let valid_loss = match validation {
            Validation::Loss(loss) => Some(loss),
            _ => None,
        };
        let mut schedule = self.progress.schedule.clone();
        let mut decision = schedule.after_epoch(validation);
        let mut test_loss = None;
        if let Some(ids) = corpus.test.as_ref().filter(|_| decision.is_best) {
            test_loss = self.evaluate("test", ids)?;
            if test_loss.is_none() {
                return Ok(None);
            }
        }
        let non_finite = not_finite(valid_loss, test_loss);
        if non_finite.is_some() {
            // The test loss may be the only one that is not finite.
            schedule = self.progress.schedule.clone();
            decision = schedule.after_epoch(Validation::Loss(f64::NAN));
        }
        if decision.is_best {
            self.keep_best(epoch, valid_loss, test_loss)?;
        }
        self.progress.schedule = schedule;
        Ok(Some(EpochValidation { valid_loss, test_loss, decision, non_finite }))
    }

    /// Whether the epoch ends with an evaluation: if the plan says so, or the run ends because it reaches its maximum number
    /// of steps, or because the schedule lowers the learning rate below the minimum whether or not the epoch is evaluated.
    fn evaluates_after(&self, epoch: usize) -> bool {
        let minimum = self.plan.optimization.min_learning_rate.unwrap_or(0.0);
        let unevaluated = self.progress.schedule.clone().after_epoch(Validation::NotDue);
        let is_last = self.plan.training.max_steps.is_some_and(|most| self.progress.batches() >= most);
        self.plan.evaluates_after(epoch) || is_last || unevaluated.learning_rate < minimum
    }

    /// Saves the model as the best.
    fn keep_best(&mut self, epoch: usize, valid_loss: Option<f64>, test_loss: Option<f64>) -> Result<()> {
        self.require_finite_weights()?;
        self.save_model(&self.output.folder.best_model(), epoch)?;
        self.learner.keep_best(epoch);
        self.progress.best_epoch = Some(epoch);
        self.progress.best_valid = valid_loss;
        self.progress.best_test = test_loss;
        Ok(())
    }

    /// The mean negative log-likelihood of a text; `None` if the run is stopped during the evaluation. Each rank evaluates
    /// some of its columns.
    fn evaluate(&mut self, what: &'static str, ids: &TokenIds) -> Result<Option<f64>> {
        let EvaluationPlan { batch_size, bptt, .. } = self.plan.evaluation;
        // A run that is stopping still evaluates its model if it has no best model yet.
        let stoppable = !self.interrupted;
        if stoppable {
            self.agree()?;
            if self.agreed.stop {
                return Ok(None);
            }
        }
        let ranks = Arc::clone(self.learner.ranks());
        let part = EvaluationPart { index: ranks.rank(), count: ranks.size() };
        let watch = &mut self.watch;
        let mut progress = |done, total| {
            watch.notify(Event::Evaluating { what, done, total });
            match stoppable && watch.asked_to_stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let resets = self.learner.resets();
        let (model, workspace) = self.learner.model_and_workspace();
        let sizes = (batch_size, bptt);
        let found = match evaluate_part(model, workspace, ids, resets, sizes, part, &mut progress) {
            Ok(found) => Some(found),
            Err(InferError::Stopped { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let (nll_sum, tokens) = found.map_or((0.0, 0), |found| (found.nll_sum, found.tokens));
        let mut sums = [nll_sum, tokens as f64, f64::from(u8::from(found.is_none()))];
        ranks.sum(&mut sums)?;
        let [nll_sum, tokens, stopped] = sums;
        Ok((stopped == 0.0).then_some(nll_sum / tokens))
    }

    /// Saves the state of a run that was asked to stop.
    pub(super) fn interrupted(&mut self) -> Result<()> {
        let epoch = self.progress.epoch;
        self.interrupted = true;
        self.watch.notify(Event::Interrupted { epoch, step: self.progress.steps });
        if self.progress.steps == 0 {
            return Ok(());
        }
        // Save the checkpoint first: it is needed to resume. The models are only for immediate use.
        self.save_checkpoint()?;
        // Between two epochs, the model of the previous one is already saved.
        if self.progress.batch > 0 {
            self.save_model(&self.output.folder.last_model(), epoch)?;
        }
        let mut losses = (None, None);
        if self.progress.best_epoch.is_none() {
            let corpus = self.texts.corpus;
            losses = self.with_evaluated_weights(|run| {
                let mut evaluate = |what, ids: &Option<TokenIds>| match ids {
                    Some(ids) => run.evaluate(what, ids),
                    None => Ok(None),
                };
                let losses = (evaluate("valid", &corpus.valid)?, evaluate("test", &corpus.test)?);
                // A model with a loss that is not finite is never the best.
                if not_finite(losses.0, losses.1).is_none() {
                    run.keep_best(epoch, losses.0, losses.1)?;
                    let (batch, batches) = (run.progress.batch, run.batches);
                    run.partial_epoch = Some(PartialEpoch { epoch, batch, batches });
                }
                Ok::<_, TrainError>(losses)
            })?;
        }
        self.record_interruption(losses)?;
        self.draw_curve()
    }

    /// Records the batches since the last record, and the losses of the evaluation if there was one. The checkpoint
    /// does not contain this record, so a resumed run drops it and has the records of an uninterrupted one.
    fn record_interruption(&mut self, (valid_loss, test_loss): (Option<f64>, Option<f64>)) -> Result<()> {
        let progress = &*self.progress;
        let interval = Some(progress.log_sum).filter(|sum| sum.tokens() > 0);
        let interval_loss = interval.map(|sum| sum.nll_mean());
        if interval_loss.or(valid_loss).or(test_loss).is_none() {
            return Ok(());
        }
        let epoch_sum = Some(progress.epoch_sum).filter(|sum| sum.tokens() > 0);
        let record = Record {
            interval_loss,
            interval_perplexity: interval_loss
                .and_then(|loss| self.plan.training_perplexity(loss))
                .map(Perplexity::value),
            epoch_loss_so_far: epoch_sum.map(|sum| sum.nll_mean()),
            moving_loss: progress.moving_loss.value(),
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            test_loss,
            test_perplexity: perplexity(test_loss),
            learning_rate: Some(progress.schedule.step_learning_rate()),
            unclipped_gradient_norm_last: progress.gradient_norm.filter(|_| interval.is_some()),
            unclipped_gradient_norm_mean: interval
                .map(|sum| sum.gradient_norm_mean())
                .filter(|norm| !norm.is_nan()),
            interval_training_tokens_per_s: interval.map(|sum| sum.tokens_per_s()),
            ..self.record_of(RecordKind::Batch)
        };
        self.record(&record)
    }

    /// Generates the plan's samples, with different random numbers in each epoch.
    fn samples(&mut self, epoch: usize) -> Result<()> {
        let (plan, corpus) = (self.plan, self.texts.corpus);
        let seed = plan.training.seed.wrapping_add(epoch as u64);
        if !self.writes() {
            return Ok(());
        }
        for prefix in &plan.sample.prefixes {
            let sample = |model: &ModelHandle| sample::generate(model, corpus, &plan.sample, prefix, seed);
            let text = match self.learner.shared(sample) {
                Ok(text) => text,
                // The next training step fails in the same way and is handled as the plan says.
                Err(TrainError::Infer(InferError::NonFiniteLogits)) => return Ok(()),
                Err(error) => return Err(error),
            };
            self.watch.notify(Event::Sample { prefix, text: &text });
        }
        Ok(())
    }
}

/// The first of the losses on the validation and test texts that is not finite.
fn not_finite(valid_loss: Option<f64>, test_loss: Option<f64>) -> Option<NonFinite> {
    let losses = [(Quantity::ValidationLoss, valid_loss), (Quantity::TestLoss, test_loss)];
    losses.into_iter().find_map(|(what, loss)| {
        let found = loss.filter(|loss| !loss.is_finite())?;
        Some(NonFinite { what, found })
    })
}

fn perplexity(loss: Option<f64>) -> Option<f64> {
    loss.map(|loss| Perplexity::from_nll_mean(loss).value())
}
