//! The training loop.
//!
//! ```text
//! evaluate the model to continue from, if any: it is the best until an epoch improves on it
//! for each epoch
//!   for each batch      forward → loss → backward → clip → step → average; carry the hidden state, detach gradients
//!                       (write a checkpoint if one is due)
//!   validate            if better: evaluate on test, save the best model; update the learning rate
//!                       (uses the averaged weights if there are any: swapped in before, and out again after)
//!   write metrics, last model, curve, samples, checkpoint
//! ```
//!
//! The results of a run depend only on the plan, corpus, seed, kind of device and number of threads: all
//! random numbers come from streams of the seed, one for each purpose. So a run resumed from a checkpoint
//! gives bitwise the same results as one that was not interrupted. The state of a run is its [`Progress`] and
//! the tensors of its [`Learner`]; a checkpoint contains both. Not here: terminal output ([`Observer`]).

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use rondo_collective::{Collective, alone};
use rondo_data::{Batches, Corpus, TokenIds, Units};
use rondo_infer::{InferError, LanguageModel, ModelHandle, evaluate_with};
use rondo_kernels::Device;
use rondo_nn::{Model, RnnLm};
use rondo_runs::{Change, CorpusFingerprint, RunFolder, Status};

use crate::checkpoint::Checkpoint;
use crate::memory::parameter_bytes;
use crate::observer::{Observer, Outcome, Watch};
use crate::progress::{Pause, Progress};
use crate::provenance::fingerprint;
use crate::random::{Stream, rng};
use crate::{AveragingRule, EvaluationPlan, Plan, Result, TextPlan, TrainError};

mod change;
mod checkpoint_timer;
mod epoch;
mod learner;
mod long_epoch;
mod non_finite;
mod run;
mod save;
mod setup;
mod summary;
mod uniform_guess;
mod validation;

use learner::Learner;
use run::Run;
use setup::{batches, check_memory, config_of, has_shape, new_config, resets, sampler};
pub(crate) use summary::Origin;

/// The key of the epoch in the metadata of a model file.
const EPOCH_KEY: &str = "epoch";

/// A model and everything needed to train it.
#[derive(Debug)]
pub struct Trainer {
    plan: Plan,
    corpus: Corpus,
    fingerprint: CorpusFingerprint,
    batches: Batches,
    /// The independent lines or paragraphs of the training text, if the state is reset before each.
    units: Option<Units>,
    /// The tokenizer and the vocabulary as JSON, for model files and checkpoints.
    codec: String,
    learner: Learner,
    progress: Progress,
    /// Whether the model was trained before and is evaluated before the first epoch.
    continues: bool,
    /// Where the next call of `run` resumes, if not from the beginning.
    resumption: Option<Resumption>,
    /// The folder of the last run, and whether that paused.
    folder: Option<RunFolder>,
    is_paused: bool,
    /// What the settings are compared with in the summary.
    origin: Origin,
}

/// A checkpoint to resume from, and the settings that change there.
#[derive(Debug)]
struct Resumption {
    checkpoint: Checkpoint,
    changes: Vec<Change>,
    /// Whether the run was not interrupted, but paused here to change settings.
    is_pause: bool,
}

impl Trainer {
    /// Creates the plan's model for the corpus and initializes its parameters.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if the training text is shorter than one batch, or a
    /// text to evaluate is shorter than its columns; [`TrainError::NoEffect`] for early stopping without a
    /// validation text; [`TrainError::SamplePrefix`] if the prefix of a sample
    /// cannot be encoded; [`TrainError::Model`](crate::TrainError::Model) if the configuration of the model
    /// is invalid; [`TrainError::NotEnoughMemory`] if the run does not fit in memory.
    pub fn new(plan: Plan, corpus: Corpus, device: &Device) -> Result<Trainer> {
        Trainer::new_with(plan, corpus, device, &alone())
    }

    /// The same on one of several ranks.
    pub(crate) fn new_with(
        plan: Plan,
        corpus: Corpus,
        device: &Device,
        ranks: &Arc<dyn Collective>,
    ) -> Result<Trainer> {
        check_memory(&plan, &corpus, device, 0, ranks.size())?;
        let mut model = RnnLm::new(new_config(&plan, &corpus), device)?;
        model.initialize(&plan.init, &mut rng(plan.training.seed, Stream::Initialization))?;
        Trainer::with_model_and_ranks(plan, corpus, model, ranks)
    }

    /// Trains a model of any kind, starting from its current parameters. The plan's settings of the model and
    /// of its initialization are ignored.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    ///
    /// # Panics
    /// If the vocabulary sizes of the model and the corpus differ.
    pub fn with_model(plan: Plan, corpus: Corpus, model: impl Model + 'static) -> Result<Trainer> {
        Trainer::with_model_and_ranks(plan, corpus, model, &alone())
    }

    /// The same on one of several ranks, which train together: each computes some of the columns of a batch. All must have
    /// the same plan, corpus and model.
    ///
    /// # Errors
    /// As [`Trainer::with_model`]; [`TrainError::TooManyParts`] if a batch has fewer columns than there are ranks.
    ///
    /// # Panics
    /// As [`Trainer::with_model`].
    pub fn with_model_and_ranks(
        plan: Plan,
        corpus: Corpus,
        model: impl Model + 'static,
        ranks: &Arc<dyn Collective>,
    ) -> Result<Trainer> {
        assert_eq!(
            model.vocab_size(),
            corpus.vocab().len(),
            "the vocabulary sizes of the model and the corpus must be equal"
        );
        if plan.training.early_stopping.is_some() && corpus.valid.is_none() {
            let condition = "there is a validation text";
            return Err(TrainError::NoEffect { setting: "training.early_stopping", condition });
        }
        let resets = resets(&plan, &corpus)?;
        if resets.is_some() && !model.can_reset() {
            return Err(TrainError::CannotReset);
        }
        let sampler = sampler(&plan, &corpus, &model)?;
        let (batches, units) = batches(&plan, &corpus)?;
        for prefix in &plan.sample.prefixes {
            // Check prefixes now, so that an invalid one does not end the run after an epoch.
            let unreadable = |source| TrainError::SamplePrefix { prefix: prefix.clone(), source };
            corpus.codec.prompt(prefix).map_err(unreadable)?;
        }
        let mut progress = Progress::new(&plan);
        Ok(Trainer {
            fingerprint: fingerprint(&corpus)?,
            batches,
            units,
            codec: corpus.codec.to_json(),
            learner: Learner::new(&plan, Arc::new(model), (resets, sampler), ranks, &mut progress)?,
            progress,
            continues: false,
            resumption: None,
            folder: None,
            is_paused: false,
            origin: Origin::new(&plan.settings(), None)?,
            plan,
            corpus,
        })
    }

    /// Continues training a model, on its device. The model is extended with rows for tokens that are in the
    /// corpus's vocabulary but not in the model's ([`RnnLm::extended`]).
    ///
    /// # Errors
    /// As [`Trainer::new`].
    ///
    /// # Panics
    /// If the model does not have the plan's shape ([`Plan::continuing`] ensures that it does), or has a
    /// larger vocabulary than the corpus.
    pub fn continuing(plan: Plan, corpus: Corpus, model: RnnLm) -> Result<Trainer> {
        Trainer::continuing_with(plan, corpus, model, &alone())
    }

    /// The same on one of several ranks.
    pub(crate) fn continuing_with(
        plan: Plan,
        corpus: Corpus,
        model: RnnLm,
        ranks: &Arc<dyn Collective>,
    ) -> Result<Trainer> {
        let held = parameter_bytes(model.config());
        check_memory(&plan, &corpus, model.parameters().device(), held, ranks.size())?;
        let mut model = model.with_dropout(plan.model.dropout)?;
        if model.config().vocab_size != corpus.vocab().len() {
            let rng = &mut rng(plan.training.seed, Stream::Initialization);
            model = model.extended(corpus.vocab().len(), &plan.init, rng)?;
        }
        assert_eq!(
            *model.config(),
            config_of(&plan, corpus.vocab().len(), Some(model.config())),
            "the shapes of the model and the plan must be equal"
        );
        let trainer = Trainer::with_model_and_ranks(plan, corpus, model, ranks)?;
        Ok(Trainer { continues: true, ..trainer })
    }

    /// Resumes a run from a checkpoint, with its plan and its texts; `changes` are the settings that have
    /// changed ([`resumed_plan`](crate::resumed_plan)).
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`RunsError::OtherCorpus`](crate::RunsError::OtherCorpus) if the texts differ
    /// from the run's, and [`TrainError::NoCheckpoint`] if the checkpoint's model differs from the plan's.
    pub fn resuming(
        plan: Plan,
        corpus: Corpus,
        device: &Device,
        checkpoint: Checkpoint,
        changes: Vec<Change>,
    ) -> Result<Trainer> {
        Trainer::resuming_with(plan, corpus, device, (checkpoint, changes), &alone())
    }

    /// The same on one of several ranks.
    pub(crate) fn resuming_with(
        plan: Plan,
        corpus: Corpus,
        device: &Device,
        (checkpoint, changes): (Checkpoint, Vec<Change>),
        ranks: &Arc<dyn Collective>,
    ) -> Result<Trainer> {
        let config = config_of(&plan, corpus.vocab().len(), checkpoint.config());
        let is_the_same = has_shape(&checkpoint, &config);
        // The checkpoint is freed before the first step.
        check_memory(&plan, &corpus, device, checkpoint.len(), ranks.size())?;
        let model = RnnLm::new(config, device)?;
        let mut trainer = Trainer::with_model_and_ranks(plan, corpus, model, ranks)?;
        trainer.resume_from(checkpoint, changes, is_the_same)?;
        Ok(trainer)
    }

    /// Continues from a checkpoint of this run with another plan, as the run that is repeated did. The texts and the
    /// batches stay.
    pub(crate) fn change_plan(
        &mut self,
        plan: Plan,
        device: &Device,
        checkpoint: Checkpoint,
        changes: Vec<Change>,
    ) -> Result<()> {
        let config = config_of(&plan, self.corpus.vocab().len(), checkpoint.config());
        let is_the_same = has_shape(&checkpoint, &config);
        let model = RnnLm::new(config, device)?;
        self.resume_from(checkpoint, changes, is_the_same)?;
        if let Some(resumption) = &mut self.resumption {
            resumption.is_pause = true;
        }
        self.progress = Progress::new(&plan);
        let resets = resets(&plan, &self.corpus)?;
        let sampler = sampler(&plan, &self.corpus, &model)?;
        let ranks = Arc::clone(self.learner.ranks());
        self.learner = Learner::new(&plan, Arc::new(model), (resets, sampler), &ranks, &mut self.progress)?;
        self.plan = plan;
        self.folder = None;
        Ok(())
    }

    /// Same as [`Trainer::resuming`], for a model of any kind: `model` must have the shape of the one that
    /// was trained, and gets its parameters.
    ///
    /// # Errors
    /// As [`Trainer::resuming`].
    ///
    /// # Panics
    /// As [`Trainer::with_model`].
    pub fn resuming_with_model(
        plan: Plan,
        corpus: Corpus,
        model: impl Model + 'static,
        checkpoint: Checkpoint,
        changes: Vec<Change>,
    ) -> Result<Trainer> {
        let is_the_same = checkpoint.description() == model.description();
        let mut trainer = Trainer::with_model(plan, corpus, model)?;
        trainer.resume_from(checkpoint, changes, is_the_same)?;
        Ok(trainer)
    }

    /// Records what the settings are compared with in the summary [default: the defaults].
    pub(crate) fn with_origin(self, origin: Origin) -> Trainer {
        Trainer { origin, ..self }
    }

    /// Makes the next call of `run` resume from a checkpoint.
    fn resume_from(&mut self, checkpoint: Checkpoint, changes: Vec<Change>, is_the_same: bool) -> Result<()> {
        self.check(&checkpoint, is_the_same)?;
        self.resumption = Some(Resumption { checkpoint, changes, is_pause: false });
        Ok(())
    }

    /// Fails unless the checkpoint belongs to this corpus and to the same model.
    fn check(&self, checkpoint: &Checkpoint, is_the_same: bool) -> Result<()> {
        checkpoint.corpus.check(&self.fingerprint)?;
        if !is_the_same {
            let reason = "its model has a different shape than the plan's".to_owned();
            return Err(TrainError::NoCheckpoint { path: checkpoint.path().to_owned(), reason });
        }
        Ok(())
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The part of the plan that says where the texts are, to be changed when these have been moved.
    pub(crate) fn text_mut(&mut self) -> &mut TextPlan {
        &mut self.plan.text
    }

    /// The texts.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// The batches of the training text, in the order of the text.
    pub fn batches(&self) -> &Batches {
        &self.batches
    }

    /// The ranks that train together.
    pub fn ranks(&self) -> &Arc<dyn Collective> {
        self.learner.ranks()
    }

    /// The model in its current state.
    pub fn model(&self) -> &dyn Model {
        self.learner.model()
    }

    /// A copy of the model with the parameters of the best epoch so far, and the codec of its texts; `None`
    /// before the first epoch has been evaluated, and before a resumed run has started.
    ///
    /// In a resumed run, the best epoch may be from before the checkpoint. Then its parameters are read from
    /// the run's folder; the result is `None` if the best model there has been removed or is from a different
    /// epoch.
    ///
    /// # Errors
    /// [`TrainError::Model`] if the parameters cannot be read.
    pub fn best_model(&self) -> Result<Option<LanguageModel>> {
        let Some(epoch) = self.progress.best_epoch else { return Ok(None) };
        let mut model = self.learner.model().boxed_clone();
        if let Some(best) = self.learner.best(epoch) {
            model.parameters_mut().copy_from(best);
        } else {
            let Some(folder) = &self.folder else { return Ok(None) };
            if !save::read_best(folder, epoch, model.parameters_mut())? {
                return Ok(None);
            }
        }
        let handle = ModelHandle::from(Arc::from(model)).with_resets(self.learner.resets());
        Ok(Some(LanguageModel::new(handle, self.corpus.codec.clone())?))
    }

    /// The seconds that the evaluations at the end of the run will take, estimated by evaluating for about `seconds`.
    pub(crate) fn evaluation_seconds(&mut self, seconds: f64) -> Result<f64> {
        let EvaluationPlan { batch_size, bptt, .. } = self.plan.evaluation;
        let [valid, test] =
            [&self.corpus.valid, &self.corpus.test].map(|text| text.as_ref().map_or(0, TokenIds::len));
        let Some(text) = self.corpus.valid.as_ref().or(self.corpus.test.as_ref()) else { return Ok(0.0) };
        // The current weights are evaluated in addition to their average.
        let both = self.plan.optimization.averaging != AveragingRule::Off && self.plan.evaluation.unaveraged;
        let tokens = test + if both { 2 * valid } else { valid };
        let (begun, mut done) = (Instant::now(), 0);
        let mut progress = |count: u64| {
            done = count;
            if begun.elapsed().as_secs_f64() < seconds {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let resets = self.learner.resets();
        let (model, workspace) = self.learner.model_and_workspace();
        match evaluate_with(model, workspace, text, resets, (batch_size, bptt), &mut progress) {
            Ok(_) | Err(InferError::Stopped { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(begun.elapsed().as_secs_f64() * tokens as f64 / done.max(1) as f64)
    }

    /// Trains to the end of the plan, or until the observer asks to stop. When it stops, it saves a
    /// checkpoint and the model, which is evaluated and becomes the best model if there is none yet. Calling
    /// `run` again with the same folder resumes from there.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if a loss or gradient is NaN or infinite and the plan says to stop or its
    /// retries are used up; the best model so far and the last checkpoint stay in the folder.
    /// [`TrainError::NoUsableModel`] if the run has ended and no evaluation gave a finite loss.
    /// [`RunsError::Locked`](crate::RunsError::Locked) if another process trains in the folder.
    /// [`RunsError::Io`](crate::RunsError::Io) and similar errors if a file cannot be written.
    pub fn run(&mut self, folder: &RunFolder, observer: &mut dyn Observer) -> Result<Outcome> {
        let _lock = self.ranks().leads().then(|| folder.lock()).transpose()?;
        self.run_locked(folder, observer, false, None)
    }

    /// Same as [`Trainer::run`], in a folder already locked by this process; `asked_to_stop` says whether the
    /// observer has already asked to stop. The run pauses with a checkpoint at `until`.
    pub(crate) fn run_locked(
        &mut self,
        folder: &RunFolder,
        observer: &mut dyn Observer,
        asked_to_stop: bool,
        until: Option<Pause>,
    ) -> Result<Outcome> {
        if self.folder.is_some() {
            let latest = Checkpoint::of_first_rank(&**self.learner.ranks(), || {
                Ok(Checkpoint::latest(folder)?.map(|(checkpoint, _)| checkpoint))
            })?;
            if let Some(checkpoint) = &latest {
                self.check(checkpoint, checkpoint.description() == self.model().description())?;
            }
            self.resumption =
                latest.map(|checkpoint| Resumption { checkpoint, changes: vec![], is_pause: self.is_paused });
            if self.resumption.is_none() && self.progress.steps > 0 {
                let reason = "the folder contains none, but the model has already been trained".to_owned();
                return Err(TrainError::NoCheckpoint { path: folder.path().to_owned(), reason });
            }
        }
        let before = self.folder.replace(folder.clone());
        let resumption = self.resumption.take();
        let continues = self.continues;
        let watch = Watch::new(observer, asked_to_stop);
        let mut run = match Run::begin(self, folder, watch, resumption.as_ref()) {
            Ok(run) => run,
            Err(error) => {
                (self.folder, self.resumption) = (before, resumption);
                return Err(error);
            }
        };
        run.until = until;
        match run.complete(resumption, continues) {
            Ok(()) => {
                let status = if run.interrupted { Status::Interrupted } else { Status::Finished };
                run.summarize(status, None)?;
                let outcome = run.outcome();
                self.is_paused = until.is_some() && !outcome.interrupted;
                Ok(outcome)
            }
            Err(error) => {
                // The error that stopped the run is reported, not one of writing that down.
                let _ = run.summarize(Status::Failed, Some(&error));
                Err(error)
            }
        }
    }
}
