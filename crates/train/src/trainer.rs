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

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rondo_data::{Batches, Corpus};
use rondo_kernels::Device;
use rondo_nn::{Gradients, Parameters, RnnLm, Workspace};

use crate::averaging::Averaging;
use crate::metrics::MetricsLog;
use crate::observer::{Observer, Outcome};
use crate::optimizer::Optimizer;
use crate::{MovingLoss, Plan, Result, RunFolder, Schedule};

mod epoch;
mod judge;

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
    /// [`TrainError::Data`](crate::TrainError::Data) if the training text is shorter than one chunk, or a text to
    /// evaluate than its columns; [`TrainError::Model`](crate::TrainError::Model) if the sizes of the model do not fit together.
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
    /// [`TrainError::NonFinite`](crate::TrainError::NonFinite) if a loss or gradient is not finite: the best model so
    /// far stays in the folder.
    /// [`TrainError::Io`](crate::TrainError::Io) and its like if a file cannot be written.
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
            longest_steps: plan.training.bptt,
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
    /// The most steps of a chunk so far.
    longest_steps: usize,
    model: RnnLm,
    workspace: Workspace,
    started: Instant,
    /// Seconds spent on training steps.
    training_s: f64,
    outcome: Outcome,
}

impl Run<'_> {
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

/// The random numbers of one purpose.
fn rng(seed: u64, stream: Stream) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(match stream {
        Stream::Initialisation => 0,
        Stream::ChunkOrder { epoch } => 1 + epoch as u64,
    });
    rng
}
