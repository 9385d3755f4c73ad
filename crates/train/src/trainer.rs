//! The training loop.
//!
//! ```text
//! a model to go on from is judged first: it is the best until an epoch is better
//! for each epoch
//!   for each chunk      forward → loss → backward → clip → step → average; the state is carried, the gradient cut
//!   valid               better: save the best model, evaluate test; else: the schedule has its say
//!                       (of the average where there is one: it is swapped in to be judged, and out again)
//!   samples, metrics, curve, last model
//! ```
//!
//! A run is a function of plan, corpus, seed, device kind and threads: everything random comes from streams of the
//! seed, named by what they are for. Not here: what anything looks like on a terminal ([`Observer`]).

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{Batches, Chunk, Corpus};
use rondo_infer::{InferError, evaluate_with, target_count};
use rondo_kernels::Device;
use rondo_nn::{Gradients, Mode, ModelFile, Parameters, RnnLm, Workspace};

use crate::averaging::Averaging;
use crate::metrics::{self, MetricsLog, Record};
use crate::observer::{BatchReport, EpochReport, Event, Observer, Outcome};
use crate::optimizer::Optimizer;
use crate::{
    Decision, EvaluationPlan, MovingLoss, Perplexity, Plan, Result, RunFolder, Schedule, TrainError,
    Validation,
};
use crate::{curve, sample, write_atomically};

/// What draws from the seed; each has a stream of its own.
#[derive(Clone, Copy)]
enum Stream {
    Initialisation,
    ChunkOrder { epoch: usize },
}

/// A model and all that is needed to train it.
#[derive(Debug)]
pub struct Trainer<'a> {
    plan: &'a Plan,
    corpus: &'a Corpus,
    batches: Batches<'a>,
    model: RnnLm,
    /// Whether the model has been trained before.
    continues: bool,
    workspace: Workspace,
}

impl<'a> Trainer<'a> {
    /// Makes the plan's model for the corpus and draws its first parameters.
    ///
    /// # Errors
    /// [`TrainError::Data`] if the training text is shorter than one chunk, or a text to evaluate than its columns;
    /// [`TrainError::Model`] if the sizes of the model do not fit together.
    pub fn new(plan: &'a Plan, corpus: &'a Corpus, device: &Device) -> Result<Trainer<'a>> {
        let batches = batches(plan, corpus)?;
        let mut model = RnnLm::new(plan.model.config(corpus.vocab.len()), device)?;
        model.initialise(&plan.init, &mut rng(plan.training.seed, Stream::Initialisation));
        let workspace = Workspace::new(device);
        Ok(Trainer { plan, corpus, batches, model, continues: false, workspace })
    }

    /// Goes on with a model that has been trained before, on its device. Tokens that the corpus's vocabulary has and
    /// the model does not get rows of their own ([`RnnLm::extended`]).
    ///
    /// # Errors
    /// As [`Trainer::new`].
    ///
    /// # Panics
    /// If the model has not the plan's shape ([`Plan::continuing`] sees to that), or knows more tokens than the
    /// corpus.
    pub fn continuing(plan: &'a Plan, corpus: &'a Corpus, model: RnnLm) -> Result<Trainer<'a>> {
        let batches = batches(plan, corpus)?;
        let mut model = model.with_dropout(plan.model.dropout)?;
        if model.config().vocab_size != corpus.vocab.len() {
            let rng = &mut rng(plan.training.seed, Stream::Initialisation);
            model = model.extended(corpus.vocab.len(), &plan.init, rng)?;
        }
        assert_eq!(
            *model.config(),
            plan.model.config(corpus.vocab.len()),
            "the model's shape and the plan's"
        );
        let workspace = Workspace::new(model.parameters().device());
        Ok(Trainer { plan, corpus, batches, model, continues: true, workspace })
    }

    /// The model, as it is now.
    pub fn model(&self) -> &RnnLm {
        &self.model
    }

    /// Trains to the plan's end, or until `stop` becomes true: then what there is is saved and, if there is no best
    /// model yet, evaluated as such.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if a loss or gradient is not finite: the best model so far stays in the folder.
    /// [`TrainError::Io`] and its like if a file cannot be written.
    pub fn run(self, folder: &RunFolder, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        self.corpus.vocab.save(folder.vocab())?;
        let Trainer { plan, corpus, batches, model, continues, workspace } = self;
        let sizes = (plan.training.bptt, plan.training.batch_size);
        let mut run = Run {
            plan,
            corpus,
            batches,
            folder,
            observer,
            stop,
            metrics: MetricsLog::create(folder)?,
            schedule: Schedule::new(plan.optimization.schedule, plan.optimization.learning_rate),
            moving_loss: MovingLoss::new(plan.training.moving_loss_decay),
            optimizer: Optimizer::new(&plan.optimization, sizes, model.parameters()),
            gradients: Gradients::new(model.parameters()),
            averaging: Averaging::new(plan.optimization.averaging, model.parameters()),
            best: None,
            model,
            workspace,
            started: Instant::now(),
            training_s: 0.0,
            outcome: Outcome::default(),
        };
        if continues {
            run.begin()?;
        }
        run.epochs()?;
        Ok(run.finish())
    }
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    corpus: &'a Corpus,
    batches: Batches<'a>,
    folder: &'a RunFolder,
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
    metrics: MetricsLog,
    schedule: Schedule,
    moving_loss: MovingLoss,
    optimizer: Optimizer,
    gradients: Gradients,
    averaging: Averaging,
    /// The best weights, kept only where the schedule may go back to them.
    best: Option<Parameters>,
    model: RnnLm,
    workspace: Workspace,
    started: Instant,
    /// Seconds spent on training steps.
    training_s: f64,
    outcome: Outcome,
}

/// Sums of losses over some batches.
#[derive(Clone, Copy, Default)]
struct LossSum {
    nll: f64,
    tokens: u64,
    seconds: f64,
}

/// What the end of an epoch showed, and what follows from it.
struct Judgement {
    valid_loss: Option<f64>,
    test_loss: Option<f64>,
    decision: Decision,
}

impl LossSum {
    fn add(&mut self, nll: f64, tokens: u64, seconds: f64) {
        self.nll += nll;
        self.tokens += tokens;
        self.seconds += seconds;
    }

    fn nll_mean(&self) -> f64 {
        self.nll / self.tokens as f64
    }

    fn tokens_per_s(&self) -> f64 {
        self.tokens as f64 / self.seconds
    }
}

impl Run<'_> {
    /// Judges the model before the first epoch, and keeps it as the best until an epoch is better.
    fn begin(&mut self) -> Result<()> {
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

    fn epochs(&mut self) -> Result<()> {
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
        self.observer.observe(Event::EpochStarted { epoch, epochs, batches });
        let mut state = self.model.zero_state(training.batch_size);
        let mut tokens = Tokens::new(training.bptt * training.batch_size);
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

    /// One step; returns the sum of its losses and the norm of its gradient.
    fn train_batch(
        &mut self,
        chunk: Chunk,
        tokens: &Tokens,
        state: &mut rondo_nn::State,
        learning_rate: f64,
        epoch: usize,
    ) -> Result<(f64, f64)> {
        let training = &self.plan.training;
        let mode = Mode::Train { seed: training.seed, step: self.outcome.steps };
        let scale = self.plan.optimization.gradient_scale(chunk.steps, training.batch_size);
        self.gradients.clear();
        let mut tape = self.workspace.tape(self.model.parameters(), mode);
        let hidden = self.model.forward(&mut tape, &tokens.inputs, state);
        let loss = self.model.loss(&mut tape, hidden, &tokens.targets);
        let nll_sum = tape.nll_sum(loss);
        if !nll_sum.is_finite() {
            drop(tape);
            return Err(self.non_finite("loss", epoch, nll_sum));
        }
        self.model.penalise(&mut tape, hidden, self.plan.optimization.penalty);
        tape.backward(loss, scale as f32, &mut self.gradients);
        drop(tape);
        let norm = self.optimizer.step(learning_rate, &mut self.gradients, self.model.parameters_mut());
        if !norm.is_finite() {
            return Err(self.non_finite("gradient norm", epoch, norm));
        }
        self.averaging.after_step(self.model.parameters());
        self.outcome.steps += 1;
        Ok((nll_sum, norm))
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

    /// Judges the model, saves what is worth saving, and lets the schedule decide how to go on.
    fn end_epoch(&mut self, epoch: usize, learning_rate: f64, sum: LossSum) -> Result<()> {
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
    fn interrupted(&mut self, epoch: usize) -> Result<()> {
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

    fn non_finite(&self, what: &'static str, epoch: usize, found: f64) -> TrainError {
        let best = self.outcome.best_epoch.map(|_| self.folder.best_model());
        // The step that would have been the next.
        TrainError::NonFinite { what, found, epoch, step: self.outcome.steps + 1, best }
    }

    fn finish(self) -> Outcome {
        Outcome {
            tokens_per_s: self.outcome.tokens as f64 / self.training_s,
            elapsed_s: self.started.elapsed().as_secs_f64(),
            ..self.outcome
        }
    }
}

/// The chunks of the corpus's training text, of which there must be a full one.
fn batches<'a>(plan: &Plan, corpus: &'a Corpus) -> Result<Batches<'a>> {
    let training = &plan.training;
    let batches = Batches::new(&corpus.train, training.batch_size, training.bptt, training.last_chunk)?;
    batches.require_full_chunk()?;
    Ok(batches)
}

/// The inputs and targets of a chunk, in memory that serves all chunks.
struct Tokens {
    inputs: Vec<u32>,
    targets: Vec<u32>,
}

impl Tokens {
    fn new(capacity: usize) -> Tokens {
        Tokens { inputs: Vec::with_capacity(capacity), targets: Vec::with_capacity(capacity) }
    }

    fn fill(&mut self, batches: &Batches<'_>, chunk: Chunk) {
        let count = chunk.steps * batches.batch_size();
        self.inputs.resize(count, 0);
        self.targets.resize(count, 0);
        batches.fill(chunk, &mut self.inputs, &mut self.targets);
    }
}

/// The random numbers of one purpose.
fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match stream {
        Stream::Initialisation => 0,
        Stream::ChunkOrder { epoch } => 1 + epoch as u64,
    });
    rng
}
