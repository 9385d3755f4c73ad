//! What comes of an epoch's training: the model is judged, and what is worth keeping is kept.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use rondo_infer::{InferError, evaluate_with, target_count};
use rondo_nn::ModelFile;

use super::Run;
use super::epoch::LossSum;
use crate::metrics::{self, Record};
use crate::observer::{EpochReport, Event};
use crate::{Decision, EvaluationPlan, Perplexity, Result, TrainError, Validation};
use crate::{curve, sample, write_atomically};

/// What the end of an epoch showed, and what follows from it.
struct Judgement {
    valid_loss: Option<f64>,
    test_loss: Option<f64>,
    decision: Decision,
}

impl Run<'_> {
    /// Judges the model before the first epoch, and keeps it as the best until an epoch is better.
    pub(super) fn begin(&mut self) -> Result<()> {
        let corpus = self.corpus;
        let valid_loss = match &corpus.valid {
            Some(ids) => self.evaluate("valid", ids)?,
            None => None,
        };
        if self.stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.schedule.begin_with(valid_loss.map_or(Validation::NoText, Validation::Loss));
        let test_loss = self.new_best(0, valid_loss)?;
        self.observer.observe(Event::Begun { valid_loss, test_loss });
        let perplexity = |loss: Option<f64>| loss.map(|loss| Perplexity::from_nll_mean(loss).value());
        self.metrics.write(&Record {
            valid_loss,
            valid_perplexity: perplexity(valid_loss),
            test_loss,
            test_perplexity: perplexity(test_loss),
            elapsed_s: Some(self.started.elapsed().as_secs_f64()),
            ..Record::default()
        })
    }

    /// Judges the model, saves what is worth saving, and lets the schedule decide how to go on.
    pub(super) fn end_epoch(&mut self, epoch: usize, learning_rate: f64, sum: LossSum) -> Result<()> {
        let corpus = self.corpus;
        let unaveraged_valid_loss = match &corpus.valid {
            Some(ids) if self.averaging.has_average() && self.plan.evaluates_after(epoch) => {
                match self.evaluate("valid", ids)? {
                    None => return self.interrupted(epoch),
                    loss => loss,
                }
            }
            _ => None,
        };
        let Some(Judgement { valid_loss, test_loss, decision }) =
            self.with_judged_weights(|run| run.judge(epoch))?
        else {
            return self.interrupted(epoch);
        };
        let judged = valid_loss.map(|_| decision.is_best);
        let averaging_begins = self.averaging.after_epoch(judged, self.model.parameters());
        if decision.reload_best
            && let Some(best) = &self.best
        {
            self.model.parameters_mut().copy_from(best);
        }
        let report = EpochReport {
            epoch,
            step: self.outcome.steps,
            train_loss: sum.nll_mean(),
            valid_loss,
            unaveraged_valid_loss,
            is_best: decision.is_best,
            test_loss,
            learning_rate: decision.learning_rate,
            reloaded_best: decision.reload_best,
            averaging_begins,
            tokens_per_s: sum.tokens_per_s(),
            elapsed_s: self.started.elapsed().as_secs_f64(),
        };
        self.observer.observe(Event::EpochFinished(&report));
        let perplexity = |loss: Option<f64>| loss.map(|loss| Perplexity::from_nll_mean(loss).value());
        self.metrics.write(&Record {
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
            ..Record::default()
        })?;
        self.save(&self.folder.last_model(), epoch)?;
        self.draw_curve()?;
        self.with_judged_weights(|run| run.samples(epoch))
    }

    /// Runs something on the weights that count: their average where there is one, else the latest.
    fn with_judged_weights<T>(&mut self, run: impl FnOnce(&mut Self) -> T) -> T {
        self.averaging.swap(self.model.parameters_mut());
        let result = run(self);
        self.averaging.swap(self.model.parameters_mut());
        result
    }

    /// Evaluates the model and keeps it if it is the best; none if the run is stopped meanwhile.
    fn judge(&mut self, epoch: usize) -> Result<Option<Judgement>> {
        let corpus = self.corpus;
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
        let decision = self.schedule.after_epoch(validation);
        let test_loss = if decision.is_best { self.new_best(epoch, valid_loss)? } else { None };
        Ok(Some(Judgement { valid_loss, test_loss, decision }))
    }

    /// Keeps the model as the best, and evaluates it on the test text.
    fn new_best(&mut self, epoch: usize, valid_loss: Option<f64>) -> Result<Option<f64>> {
        self.save(&self.folder.best_model(), epoch)?;
        if self.plan.optimization.schedule.reloads_best() {
            let parameters = self.model.parameters();
            self.best.get_or_insert_with(|| parameters.like()).copy_from(parameters);
        }
        let corpus = self.corpus;
        let test_loss = match &corpus.test {
            Some(ids) => self.evaluate("test", ids)?,
            None => None,
        };
        self.outcome.best_epoch = Some(epoch);
        self.outcome.best_valid = valid_loss;
        self.outcome.best_test = test_loss;
        Ok(test_loss)
    }

    /// The mean negative log-likelihood of a text; none if the run is stopped meanwhile.
    fn evaluate(&mut self, what: &'static str, ids: &[u32]) -> Result<Option<f64>> {
        let EvaluationPlan { batch_size, bptt, .. } = self.plan.evaluation;
        let total = target_count(ids.len(), batch_size);
        let (observer, stop) = (&mut *self.observer, self.stop);
        // A stop that has been asked for before is what the evaluation is part of; only a new one ends it.
        let stopping = stop.load(Ordering::Relaxed);
        let mut progress = |done| {
            observer.observe(Event::Evaluating { what, done, total });
            stopping || !stop.load(Ordering::Relaxed)
        };
        match evaluate_with(&self.model, &mut self.workspace, ids, batch_size, bptt, &mut progress) {
            Ok(evaluation) => Ok(Some(evaluation.nll_mean())),
            Err(InferError::Stopped { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Saves what there is, since the run was asked to stop in this epoch.
    pub(super) fn interrupted(&mut self, epoch: usize) -> Result<()> {
        self.outcome.interrupted = true;
        self.observer.observe(Event::Interrupted { epoch, step: self.outcome.steps });
        if self.outcome.steps == 0 {
            return Ok(());
        }
        self.save(&self.folder.last_model(), epoch)?;
        if self.outcome.best_epoch.is_none() {
            let corpus = self.corpus;
            self.with_judged_weights(|run| {
                let valid_loss = match &corpus.valid {
                    Some(ids) => run.evaluate("valid", ids)?,
                    None => None,
                };
                run.new_best(epoch, valid_loss)
            })?;
        }
        self.draw_curve()
    }

    /// Generates the plan's samples, each epoch with other random numbers.
    fn samples(&mut self, epoch: usize) -> Result<()> {
        let (plan, corpus) = (self.plan, self.corpus);
        let seed = plan.training.seed.wrapping_add(epoch as u64);
        for prefix in &plan.sample.prefixes {
            let text =
                sample::generate(&self.model, &mut self.workspace, corpus, &plan.sample, prefix, seed)?;
            self.observer.observe(Event::Sample { prefix, text: &text });
        }
        Ok(())
    }

    fn save(&self, path: &std::path::Path, epoch: usize) -> Result<()> {
        let tokenizer = serde_json::to_string(&self.corpus.tokenizer).map_err(|source| TrainError::Io {
            action: "describe the tokenizer for",
            path: path.to_owned(),
            source: source.into(),
        })?;
        let metadata = BTreeMap::from([
            ("tokenizer".to_owned(), tokenizer),
            ("epoch".to_owned(), epoch.to_string()),
            ("step".to_owned(), self.outcome.steps.to_string()),
        ]);
        let fingerprint = self.corpus.vocab.fingerprint();
        write_atomically(path, |to| ModelFile::write(&self.model, &fingerprint, &metadata, to))
    }

    fn draw_curve(&self) -> Result<()> {
        let records = metrics::read(&self.folder.metrics())?;
        let name = self.folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        let picture = curve::draw(&name, &records)?;
        write_atomically(&self.folder.curve(), |to| to.write_all(picture.as_bytes()))
    }
}
