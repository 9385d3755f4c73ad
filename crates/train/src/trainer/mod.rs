//! The training loop.
//!
//! ```text
//! a model to go on from is judged first: it is the best until an epoch is better
//! for each epoch
//!   for each batch      forward → loss → backward → clip → step → average; the state is carried, the gradient cut
//!                       (a checkpoint, if it is time)
//!   valid               better: evaluate test, save the best model; else: the schedule has its say
//!                       (of the average where there is one: it is swapped in to be judged, and out again)
//!   samples, metrics, curve, last model, checkpoint
//! ```
//!
//! A run is a function of plan, corpus, seed, device kind and threads: everything random comes from streams of the
//! seed, named by what they are for. So a run that goes on from a checkpoint comes to the same numbers, bit for bit, as
//! one that was not interrupted. The state of a run is its [`Progress`] and the tensors of its [`Learner`]; a checkpoint
//! holds both. Not here: what anything looks like on a terminal ([`Observer`]).

use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{Batches, Corpus};
use rondo_infer::LanguageModel;
use rondo_kernels::Device;
use rondo_nn::{Model, ModelFile, RnnLm};
use rondo_runs::{Change, CorpusFingerprint, RunFolder};

use crate::checkpoint::Checkpoint;
use crate::observer::{Observer, Outcome, Watch};
use crate::progress::Progress;
use crate::provenance::fingerprint;
use crate::{Plan, Result, TrainError};

mod checkpoint_timer;
mod epoch;
mod learner;
mod non_finite;
mod run;
mod save;
mod validation;

use learner::Learner;
use run::Run;

/// What a model file's metadata calls the epoch it is from.
const EPOCH_KEY: &str = "epoch";

/// What draws from the seed; each has a stream of its own.
#[derive(Clone, Copy)]
enum Stream {
    Initialization,
    BatchOrder { epoch: usize },
}

/// A model and all that is needed to train it.
#[derive(Debug)]
pub struct Trainer {
    plan: Plan,
    corpus: Corpus,
    fingerprint: CorpusFingerprint,
    batches: Batches,
    /// The tokenizer and the vocabulary as JSON, for model files and checkpoints.
    codec: String,
    learner: Learner,
    progress: Progress,
    /// Whether the model has been trained before, and is evaluated before the first epoch.
    continues: bool,
    /// Where the next run starts, unless at the beginning.
    resumption: Option<Resumption>,
    /// The folder of the last run.
    folder: Option<RunFolder>,
}

/// A checkpoint to go on from, and the settings that have changed since.
#[derive(Debug)]
struct Resumption {
    checkpoint: Checkpoint,
    changes: Vec<Change>,
}

impl Trainer {
    /// Makes the plan's model for the corpus and draws its first parameters.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if the training text is shorter than one batch, or a text to
    /// evaluate than its columns; [`TrainError::Model`](crate::TrainError::Model) if the sizes of the model do not fit together.
    pub fn new(plan: Plan, corpus: Corpus, device: &Device) -> Result<Trainer> {
        let mut model = RnnLm::new(plan.model.config(corpus.vocab().len()), device)?;
        model.initialize(&plan.init, &mut rng(plan.training.seed, Stream::Initialization))?;
        Trainer::with_model(plan, corpus, model)
    }

    /// Trains a model of any kind from the parameters that it has; what the plan says of the model and of its
    /// initialization is ignored.
    ///
    /// # Errors
    /// As [`Trainer::new`].
    ///
    /// # Panics
    /// If the model knows another number of tokens than the corpus.
    pub fn with_model(plan: Plan, corpus: Corpus, model: impl Model + 'static) -> Result<Trainer> {
        assert_eq!(model.vocab_size(), corpus.vocab().len(), "tokens of the model and of the corpus");
        let batches = batches(&plan, &corpus)?;
        for prefix in &plan.sample.prefixes {
            // A sample that cannot be begun should not end the run after an epoch.
            let unreadable = |source| TrainError::SamplePrefix { prefix: prefix.clone(), source };
            corpus.codec.prompt(prefix).map_err(unreadable)?;
        }
        let mut progress = Progress::new(&plan);
        Ok(Trainer {
            fingerprint: fingerprint(&corpus)?,
            batches,
            codec: corpus.codec.to_json(),
            learner: Learner::new(&plan, Arc::new(model), &mut progress),
            progress,
            continues: false,
            resumption: None,
            folder: None,
            plan,
            corpus,
        })
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
    pub fn continuing(plan: Plan, corpus: Corpus, model: RnnLm) -> Result<Trainer> {
        let mut model = model.with_dropout(plan.model.dropout)?;
        if model.config().vocab_size != corpus.vocab().len() {
            let rng = &mut rng(plan.training.seed, Stream::Initialization);
            model = model.extended(corpus.vocab().len(), &plan.init, rng)?;
        }
        assert_eq!(
            *model.config(),
            plan.model.config(corpus.vocab().len()),
            "the model's shape and the plan's"
        );
        Ok(Trainer { continues: true, ..Trainer::with_model(plan, corpus, model)? })
    }

    /// Goes on with a run from a checkpoint, by its plan and with its texts; `changes` are the settings that have
    /// changed ([`resumed_plan`](crate::resumed_plan)).
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`RunsError::OtherCorpus`](crate::RunsError::OtherCorpus) if the texts are not the run's, and
    /// [`TrainError::NoCheckpoint`] if the checkpoint's model is not the plan's.
    pub fn resuming(
        plan: Plan,
        corpus: Corpus,
        device: &Device,
        checkpoint: Checkpoint,
        changes: Vec<Change>,
    ) -> Result<Trainer> {
        let config = plan.model.config(corpus.vocab().len());
        let is_the_same = checkpoint.config() == Some(&config);
        let trainer = Trainer::with_model(plan, corpus, RnnLm::new(config, device)?)?;
        trainer.resumed(checkpoint, changes, is_the_same)
    }

    /// As [`Trainer::resuming`], for a run of a model of any kind: `model` has the shape of the one that was trained, and
    /// gets its parameters.
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
        Trainer::with_model(plan, corpus, model)?.resumed(checkpoint, changes, is_the_same)
    }

    fn resumed(self, checkpoint: Checkpoint, changes: Vec<Change>, is_the_same: bool) -> Result<Trainer> {
        self.check(&checkpoint, is_the_same)?;
        Ok(Trainer { resumption: Some(Resumption { checkpoint, changes }), ..self })
    }

    /// Fails unless the checkpoint is one of this corpus, and of the same model.
    fn check(&self, checkpoint: &Checkpoint, is_the_same: bool) -> Result<()> {
        checkpoint.corpus.check(&self.fingerprint)?;
        if !is_the_same {
            let reason = "its model has another shape than the plan's".to_owned();
            return Err(TrainError::NoCheckpoint { path: checkpoint.path().to_owned(), reason });
        }
        Ok(())
    }

    /// What the runs do.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The texts.
    pub fn corpus(&self) -> &Corpus {
        &self.corpus
    }

    /// The model, as it is now.
    pub fn model(&self) -> &dyn Model {
        self.learner.model()
    }

    /// A copy of the model with the parameters of the best epoch so far, and the codec of its texts; none before the
    /// first epoch has been evaluated, nor before a resumed run has begun.
    ///
    /// In a resumed run these may be from before the checkpoint: then they are read from the run's folder, and there are
    /// none if its best model has been removed or is another epoch's.
    ///
    /// # Errors
    /// [`TrainError::Model`] if they cannot be read.
    pub fn best_model(&self) -> Result<Option<LanguageModel>> {
        let Some(epoch) = self.progress.best_epoch else { return Ok(None) };
        let mut model = self.learner.model().boxed_clone();
        if let Some(best) = self.learner.best(epoch) {
            model.parameters_mut().copy_from(best);
        } else {
            let file = self.folder.as_ref().map(RunFolder::best_model).filter(|file| file.is_file());
            let Some(file) = file else { return Ok(None) };
            let context = ModelFile::read_into(&mut *model, &file)?;
            if context.metadata.get(EPOCH_KEY) != Some(&epoch.to_string()) {
                return Ok(None);
            }
        }
        Ok(Some(LanguageModel::new(Arc::from(model), self.corpus.codec.clone())?))
    }

    /// Trains to the plan's end, or until the observer asks to stop: then what there is is saved and, if there is no
    /// best model yet, evaluated as such. Another run in the same folder goes on from there.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if a loss or gradient is not finite and the plan does not say how to go on: the best
    /// model so far and the last checkpoint stay in the folder.
    /// [`RunsError::Locked`](crate::RunsError::Locked) if another process trains in the folder.
    /// [`RunsError::Io`](crate::RunsError::Io) and its like if a file cannot be written.
    pub fn run(&mut self, folder: &RunFolder, observer: &mut dyn Observer) -> Result<Outcome> {
        let _lock = folder.lock()?;
        self.run_locked(folder, observer, false)
    }

    /// As [`Trainer::run`], in a folder that is locked for this process; the observer may have asked to stop already.
    pub(crate) fn run_locked(
        &mut self,
        folder: &RunFolder,
        observer: &mut dyn Observer,
        asked_to_stop: bool,
    ) -> Result<Outcome> {
        if self.folder.is_some() {
            let latest = Checkpoint::latest(folder)?.map(|(checkpoint, _)| checkpoint);
            if let Some(checkpoint) = &latest {
                self.check(checkpoint, checkpoint.description() == self.model().description())?;
            }
            self.resumption = latest.map(|checkpoint| Resumption { checkpoint, changes: vec![] });
            if self.resumption.is_none() && self.progress.steps > 0 {
                let reason = "there is none, and the model has been trained already".to_owned();
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
        match resumption {
            Some(Resumption { checkpoint, .. }) => run.resume(&checkpoint)?,
            None if continues => run.judge_before()?,
            None => {}
        }
        run.epochs()?;
        Ok(run.outcome())
    }
}

/// The batches of the corpus's training text, of which there must be a full one.
fn batches(plan: &Plan, corpus: &Corpus) -> Result<Batches> {
    let training = &plan.training;
    let batches = Batches::new(&corpus.train, training.batch_size, training.bptt, training.last_batch)?;
    batches.require_full_batch()?;
    Ok(batches)
}

/// The random numbers of one purpose.
fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match stream {
        Stream::Initialization => 0,
        Stream::BatchOrder { epoch } => 1 + epoch as u64,
    });
    rng
}
