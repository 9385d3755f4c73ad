//! The training loop.
//!
//! ```text
//! a model to go on from is judged first: it is the best until an epoch is better
//! for each epoch
//!   for each chunk      forward → loss → backward → clip → step → average; the state is carried, the gradient cut
//!                       (a checkpoint, if it is time)
//!   valid               better: evaluate test, save the best model; else: the schedule has its say
//!                       (of the average where there is one: it is swapped in to be judged, and out again)
//!   samples, metrics, curve, last model, checkpoint
//! ```
//!
//! A run is a function of plan, corpus, seed, device kind and threads: everything random comes from streams of the
//! seed, named by what they are for. So a run that goes on from a checkpoint comes to the same numbers, bit for bit, as
//! one that was not interrupted. Not here: what anything looks like on a terminal ([`Observer`]).

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{Batches, Corpus};
use rondo_kernels::Device;
use rondo_nn::{Model, Parameters, RnnLm, State};
use rondo_runs::metrics::{MetricsLog, Record};
use rondo_runs::{Change, CheckpointWriter, CorpusFingerprint, Provenance, RunFolder};

use crate::averaging::Averaging;
use crate::checkpoint::Checkpoint;
use crate::loss_sum::LossSum;
use crate::observer::{Observer, Outcome};
use crate::optimizer::Optimizer;
use crate::provenance::{fingerprint, of_new_run, resumption};
use crate::step::TrainingStep;
use crate::{MovingLoss, Plan, Result, Schedule, TrainError};

mod due;
mod epoch;
mod judge;
mod non_finite;
mod save;

use due::Due;

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
    fingerprint: CorpusFingerprint,
    batches: Batches,
    model: RnnLm,
    beginning: Beginning,
}

/// How a run begins.
#[derive(Debug)]
enum Beginning {
    /// With new weights.
    New,
    /// With those of a model that has been trained before, which is judged first.
    Continuing,
    /// Where a checkpoint ends, with settings that are others than before.
    Resuming { checkpoint: Box<Checkpoint>, changes: Vec<Change> },
}

impl<'a> Trainer<'a> {
    /// Makes the plan's model for the corpus and draws its first parameters.
    ///
    /// # Errors
    /// [`TrainError::Data`](crate::TrainError::Data) if the training text is shorter than one chunk, or a text to
    /// evaluate than its columns; [`TrainError::Model`](crate::TrainError::Model) if the sizes of the model do not fit together.
    pub fn new(plan: &'a Plan, corpus: &'a Corpus, device: &Device) -> Result<Trainer<'a>> {
        let mut model = RnnLm::new(plan.model.config(corpus.vocab().len()), device)?;
        model.initialise(&plan.init, &mut rng(plan.training.seed, Stream::Initialisation))?;
        Trainer::with_model(plan, corpus, model, Beginning::New)
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
        let mut model = model.with_dropout(plan.model.dropout)?;
        if model.config().vocab_size != corpus.vocab().len() {
            let rng = &mut rng(plan.training.seed, Stream::Initialisation);
            model = model.extended(corpus.vocab().len(), &plan.init, rng)?;
        }
        assert_eq!(
            *model.config(),
            plan.model.config(corpus.vocab().len()),
            "the model's shape and the plan's"
        );
        Trainer::with_model(plan, corpus, model, Beginning::Continuing)
    }

    /// Goes on with a run from a checkpoint, by its plan and with its texts; `changes` are the settings that are others
    /// than before ([`resumed_plan`](crate::resumed_plan)).
    ///
    /// # Errors
    /// As [`Trainer::new`]; [`RunsError::OtherCorpus`](crate::RunsError::OtherCorpus) if the texts are not the run's, and
    /// [`TrainError::NoCheckpoint`] if the checkpoint's model is not the plan's.
    pub fn resuming(
        plan: &'a Plan,
        corpus: &'a Corpus,
        device: &Device,
        checkpoint: Checkpoint,
        changes: Vec<Change>,
    ) -> Result<Trainer<'a>> {
        let config = plan.model.config(corpus.vocab().len());
        let beginning = Beginning::Resuming { checkpoint: Box::new(checkpoint), changes };
        let trainer = Trainer::with_model(plan, corpus, RnnLm::new(config, device)?, beginning)?;
        let Beginning::Resuming { checkpoint, .. } = &trainer.beginning else { return Ok(trainer) };
        checkpoint.corpus.check(&trainer.fingerprint)?;
        if checkpoint.config() != trainer.model.config() {
            let reason = "its model has another shape than the plan's".to_owned();
            return Err(TrainError::NoCheckpoint { path: checkpoint.path().to_owned(), reason });
        }
        Ok(trainer)
    }

    fn with_model(
        plan: &'a Plan,
        corpus: &'a Corpus,
        model: RnnLm,
        beginning: Beginning,
    ) -> Result<Trainer<'a>> {
        let batches = batches(plan, corpus)?;
        let fingerprint = fingerprint(corpus)?;
        Ok(Trainer { plan, corpus, fingerprint, batches, model, beginning })
    }

    /// The model, as it is now.
    pub fn model(&self) -> &RnnLm {
        &self.model
    }

    /// Trains to the plan's end, or until `stop` becomes true: then what there is is saved and, if there is no best
    /// model yet, evaluated as such.
    ///
    /// # Errors
    /// [`TrainError::NonFinite`] if a loss or gradient is not finite and the plan does not say how to go on: the best
    /// model so far and the last checkpoint stay in the folder.
    /// [`RunsError::Locked`](crate::RunsError::Locked) if another process trains in the folder.
    /// [`RunsError::Io`](crate::RunsError::Io) and its like if a file cannot be written.
    pub fn run(self, folder: &RunFolder, observer: &mut dyn Observer, stop: &AtomicBool) -> Result<Outcome> {
        let _lock = folder.lock()?;
        let Trainer { plan, corpus, fingerprint, batches, model, beginning } = self;
        let provenance = begin_provenance(folder, plan, &model, fingerprint, &beginning)?;
        corpus.vocab().save(folder.vocab())?;
        let metrics = match &beginning {
            Beginning::Resuming { .. } => None,
            // A run that was killed before its first checkpoint begins anew, and so do its records.
            _ if folder.metrics().exists() => {
                Some(MetricsLog::resume(folder, &[], provenance.started_unix_s)?)
            }
            _ => Some(MetricsLog::create(folder, provenance.started_unix_s)?),
        };
        let options = plan.optimization.optimizer_options(plan.training.bptt, plan.training.batch_size);
        let mut run = Run {
            plan,
            corpus,
            batches,
            folder,
            observer,
            stop,
            metrics,
            checkpoints: CheckpointWriter::open(folder)?,
            due: Due::new(plan.training.checkpoint_every),
            corpus_fingerprint: provenance.corpus,
            started_unix_s: provenance.started_unix_s,
            schedule: Schedule::new(plan.optimization.schedule, plan.optimization.learning_rate),
            moving_loss: MovingLoss::new(plan.training.moving_loss_decay),
            step: TrainingStep::new(&model, Optimizer::new(options, model.parameters())),
            averaging: Averaging::new(plan.optimization.averaging, model.parameters()),
            best: None,
            longest_steps: plan.training.bptt,
            place: Place::beginning(model.zero_state(plan.training.batch_size)),
            skipped: 0,
            skipped_in_a_row: 0,
            rollbacks: 0,
            model,
            resumed: Instant::now(),
            elapsed_before_s: 0.0,
            training_s: 0.0,
            outcome: Outcome::default(),
        };
        match beginning {
            Beginning::New => {}
            Beginning::Continuing => run.begin()?,
            Beginning::Resuming { checkpoint, .. } => run.resume(*checkpoint)?,
        }
        run.epochs()?;
        Ok(run.finish())
    }
}

/// Says where the numbers come from, before there are any.
fn begin_provenance(
    folder: &RunFolder,
    plan: &Plan,
    model: &RnnLm,
    corpus: CorpusFingerprint,
    beginning: &Beginning,
) -> Result<Provenance> {
    let device = model.parameters().device();
    let provenance = match beginning {
        Beginning::Resuming { checkpoint, changes } => {
            // A record that somebody has removed need not keep the run from going on.
            let mut provenance = match folder.provenance().exists() {
                true => Provenance::read(folder)?,
                false => of_new_run(device, plan.training.seed, corpus),
            };
            let place = (checkpoint.epoch(), checkpoint.steps());
            provenance.resumptions.push(resumption(device, place, changes.clone()));
            if !changes.is_empty() {
                folder.replace_plan(&plan.to_toml()?)?;
            }
            provenance
        }
        _ => of_new_run(device, plan.training.seed, corpus),
    };
    provenance.write(folder)?;
    Ok(provenance)
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    corpus: &'a Corpus,
    batches: Batches,
    folder: &'a RunFolder,
    observer: &'a mut dyn Observer,
    stop: &'a AtomicBool,
    /// Missing only until a checkpoint has said what has been recorded.
    metrics: Option<MetricsLog>,
    checkpoints: CheckpointWriter,
    /// When the next of them is.
    due: Due,
    corpus_fingerprint: CorpusFingerprint,
    /// When the run began, in seconds since 1970.
    started_unix_s: f64,
    schedule: Schedule,
    moving_loss: MovingLoss,
    step: TrainingStep,
    averaging: Averaging,
    /// The best weights, kept only where the schedule may go back to them.
    best: Option<Parameters>,
    /// The most steps of a chunk so far.
    longest_steps: usize,
    place: Place,
    /// Steps that were not taken since a number was not finite.
    skipped: u64,
    skipped_in_a_row: u64,
    /// How often training has gone back to a checkpoint.
    rollbacks: usize,
    model: RnnLm,
    /// When this process began with the run.
    resumed: Instant,
    /// Seconds that processes before it have spent on it.
    elapsed_before_s: f64,
    /// Seconds spent on training steps.
    training_s: f64,
    outcome: Outcome,
}

/// Where training is in the text.
struct Place {
    /// The epoch, from 1.
    epoch: usize,
    /// The chunks of it that are done.
    chunk: usize,
    /// What the last of them left.
    state: State,
    /// Losses of the epoch's steps so far.
    epoch_sum: LossSum,
    /// Losses of the steps since the last record.
    log_sum: LossSum,
}

impl Place {
    /// Before the first chunk; `state` is all zero.
    fn beginning(state: State) -> Place {
        Place { epoch: 1, chunk: 0, state, epoch_sum: LossSum::default(), log_sum: LossSum::default() }
    }

    /// Goes to the beginning of the next epoch.
    fn next_epoch(&mut self) {
        self.epoch += 1;
        self.chunk = 0;
        self.state.clear();
        self.epoch_sum = LossSum::default();
        self.log_sum = LossSum::default();
    }
}

impl Run<'_> {
    /// Seconds since the start of the run, interruptions left out.
    fn elapsed_s(&self) -> f64 {
        self.elapsed_before_s + self.resumed.elapsed().as_secs_f64()
    }

    fn record(&mut self, record: &Record) -> Result<()> {
        Ok(self.metrics.as_mut().map_or(Ok(()), |metrics| metrics.write(record))?)
    }

    fn finish(self) -> Outcome {
        Outcome {
            tokens_per_s: self.outcome.tokens as f64 / self.training_s,
            elapsed_s: self.elapsed_s(),
            ..self.outcome
        }
    }
}

/// The chunks of the corpus's training text, of which there must be a full one.
fn batches(plan: &Plan, corpus: &Corpus) -> Result<Batches> {
    let training = &plan.training;
    let batches = Batches::new(&corpus.train, training.batch_size, training.bptt, training.last_chunk)?;
    batches.require_full_chunk()?;
    Ok(batches)
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
