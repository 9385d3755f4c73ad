//! What comes of an epoch's training: the model is judged, and what is worth keeping is kept.

use std::ops::ControlFlow;

use rondo_data::TokenIds;
use rondo_infer::{InferError, ModelHandle, evaluate_with, target_count};
use rondo_runs::Perplexity;
use rondo_runs::metrics::Record;

use super::epoch::Ended;
use super::run::Run;
use crate::observer::{EpochReport, Event};
use crate::sample;
use crate::{Decision, EvaluationPlan, Result, TrainError, Validation};

/// What the end of an epoch showed, and what follows from it.
struct Judgment {
    valid_loss: Option<f64>,
    test_loss: Option<f64>,
    decision: Decision,
}

impl Run<'_> {
    /// Judges the model before the first epoch, and keeps it as the best until an epoch is better.
    pub(super) fn judge_before(&mut self) -> Result<()> {
        let corpus = self.texts.corpus;
        let mut losses = [None; 2];
        for (loss, (what, ids)) in losses.iter_mut().zip([("valid", &corpus.valid), ("test", &corpus.test)]) {
            if let Some(ids) = ids {
                *loss = self.evaluate(what, ids)?;
            }
        }
        if self.watch.asked_to_stop {
            return Ok(());
        }
        let [valid_loss, test_loss] = losses;
        self.progress.schedule.begin_with(valid_loss.map_or(Validation::NoText, Validation::Loss));
        self.keep_best(0, valid_loss, test_loss)?;
        self.watch.tell(Event::Begun { valid_loss, test_loss });
        let record = Record {
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            test_loss,
            test_perplexity: perplexity(test_loss),
            elapsed_s: Some(self.elapsed_s()),
            ..Record::default()
        };
        self.record(&record)?;
        self.save_checkpoint()
    }

    /// Judges the model, saves what is worth saving, lets the schedule decide how to go on, and goes to the beginning of
    /// the next epoch. If the run is stopped meanwhile, everything is as it was before.
    pub(super) fn end_epoch(&mut self, learning_rate: f64) -> Result<Ended> {
        let (corpus, epoch, sum) = (self.texts.corpus, self.progress.epoch, self.progress.epoch_sum);
        let unaveraged_valid_loss = match &corpus.valid {
            Some(ids) if self.progress.averaging.has_average() && self.plan.evaluates_after(epoch) => {
                match self.evaluate("valid", ids)? {
                    None => return Ok(Ended::Stopped),
                    loss => loss,
                }
            }
            _ => None,
        };
        let Some(Judgment { valid_loss, test_loss, decision }) =
            self.with_judged_weights(|run| run.judge(epoch))?
        else {
            return Ok(Ended::Stopped);
        };
        let judged = valid_loss.map(|_| decision.is_best);
        let averaging_begins = self.learner.after_epoch(self.progress, judged);
        if decision.reload_best {
            self.learner.reload_best();
        }
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
            elapsed_s: self.elapsed_s(),
        };
        self.watch.tell(Event::EpochFinished(&report));
        let record = Record {
            epoch,
            step: report.step,
            train_loss: Some(report.train_loss),
            train_perplexity: perplexity(Some(report.train_loss)),
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            unaveraged_valid_loss,
            test_loss,
            test_perplexity: perplexity(test_loss),
            learning_rate: Some(learning_rate),
            tokens_per_s: Some(report.tokens_per_s),
            elapsed_s: Some(report.elapsed_s),
            ..self.mishaps()
        };
        self.record(&record)?;
        self.save_model(&self.output.folder.last_model(), epoch)?;
        self.draw_curve()?;
        self.with_judged_weights(|run| run.samples(epoch))?;
        self.learner.state.clear();
        self.progress.next_epoch();
        self.save_checkpoint()?;
        Ok(Ended::Whole)
    }

    /// Runs something on the weights that count: their average where there is one, else the latest.
    fn with_judged_weights<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.learner.swap_average(self.progress);
        let result = run(self);
        self.learner.swap_average(self.progress);
        result
    }

    /// Evaluates the model and keeps it if it is the best; none if the run is stopped meanwhile.
    fn judge(&mut self, epoch: usize) -> Result<Option<Judgment>> {
        let corpus = self.texts.corpus;
        let validation = match &corpus.valid {
            None => Validation::NoText,
            Some(_) if !self.plan.evaluates_after(epoch) => Validation::NotDue,
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
        let decision = schedule.after_epoch(validation);
        let mut test_loss = None;
        if let Some(ids) = corpus.test.as_ref().filter(|_| decision.is_best) {
            test_loss = self.evaluate("test", ids)?;
            if test_loss.is_none() {
                return Ok(None);
            }
        }
        if decision.is_best {
            self.keep_best(epoch, valid_loss, test_loss)?;
        }
        self.progress.schedule = schedule;
        Ok(Some(Judgment { valid_loss, test_loss, decision }))
    }

    /// Keeps the model as the best.
    fn keep_best(&mut self, epoch: usize, valid_loss: Option<f64>, test_loss: Option<f64>) -> Result<()> {
        self.require_finite_weights()?;
        self.save_model(&self.output.folder.best_model(), epoch)?;
        self.learner.keep_best(epoch);
        self.progress.best_epoch = Some(epoch);
        self.progress.best_valid = valid_loss;
        self.progress.best_test = test_loss;
        Ok(())
    }

    /// The mean negative log-likelihood of a text; none if the run is stopped meanwhile.
    fn evaluate(&mut self, what: &'static str, ids: &TokenIds) -> Result<Option<f64>> {
        let EvaluationPlan { batch_size, bptt, .. } = self.plan.evaluation;
        let total = target_count(ids.len(), batch_size);
        // A run that has been asked to stop still evaluates the only model that it has.
        let stoppable = !self.interrupted;
        let watch = &mut self.watch;
        if stoppable && watch.asked_to_stop {
            return Ok(None);
        }
        let mut progress = |done| {
            watch.tell(Event::Evaluating { what, done, total });
            match stoppable && watch.asked_to_stop {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        };
        let (model, workspace) = self.learner.model_and_workspace();
        match evaluate_with(model, workspace, ids, batch_size, bptt, &mut progress) {
            Ok(evaluation) => Ok(Some(evaluation.nll_mean())),
            Err(InferError::Stopped { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Saves what there is, since the run was asked to stop.
    pub(super) fn interrupted(&mut self) -> Result<()> {
        let epoch = self.progress.epoch;
        self.interrupted = true;
        self.watch.tell(Event::Interrupted { epoch, step: self.progress.steps });
        if self.progress.steps == 0 {
            return Ok(());
        }
        // First what the run goes on from: the rest is for whoever wants a model now, and is no part of the run.
        self.save_checkpoint()?;
        self.save_model(&self.output.folder.last_model(), epoch)?;
        if self.progress.best_epoch.is_none() {
            let corpus = self.texts.corpus;
            self.with_judged_weights(|run| {
                let mut evaluate = |what, ids: &Option<TokenIds>| match ids {
                    Some(ids) => run.evaluate(what, ids),
                    None => Ok(None),
                };
                let (valid_loss, test_loss) =
                    (evaluate("valid", &corpus.valid)?, evaluate("test", &corpus.test)?);
                if valid_loss.is_some_and(|loss| !loss.is_finite()) {
                    return Ok(()); // A model that predicts nothing is the best of none.
                }
                run.keep_best(epoch, valid_loss, test_loss)
            })?;
        }
        self.draw_curve()
    }

    /// Generates the plan's samples, each epoch with other random numbers.
    fn samples(&mut self, epoch: usize) -> Result<()> {
        let (plan, corpus) = (self.plan, self.texts.corpus);
        let seed = plan.training.seed.wrapping_add(epoch as u64);
        for prefix in &plan.sample.prefixes {
            let sample = |model: &ModelHandle| sample::generate(model, corpus, &plan.sample, prefix, seed);
            let text = match self.learner.shared(sample) {
                Ok(text) => text,
                // The next step will tell, and the plan says what becomes of it.
                Err(TrainError::Infer(InferError::NonFiniteLogits)) => return Ok(()),
                Err(error) => return Err(error),
            };
            self.watch.tell(Event::Sample { prefix, text: &text });
        }
        Ok(())
    }
}

fn perplexity(loss: Option<f64>) -> Option<f64> {
    loss.map(|loss| Perplexity::from_nll_mean(loss).value())
}
