//! What a run tells whoever watches it.

use std::ops::ControlFlow;
use std::path::Path;

use crate::{Note, Quantity};

/// Watches a run and may stop it: draws a progress bar, prints lines, or does nothing.
///
/// A closure is an observer:
///
/// ```
/// use std::ops::ControlFlow;
/// use rondo_train::{Event, Observer};
///
/// let mut losses = Vec::new();
/// let mut observer = |event: Event<'_>| {
///     if let Event::Batch(report) = event {
///         losses.push(report.nll_mean);
///         if report.step == 1000 {
///             return ControlFlow::Break(()); // enough
///         }
///     }
///     ControlFlow::Continue(())
/// };
/// # let _: &mut dyn Observer = &mut observer;
/// ```
pub trait Observer: Send {
    /// Takes note of something that has happened. `Break` asks the run to stop: it stops after the batch or in the
    /// evaluation it is at, and saves all that is needed to go on.
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()>;
}

/// An observer that ignores all events.
impl Observer for () {
    fn observe(&mut self, _: Event<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

impl<F: FnMut(Event<'_>) -> ControlFlow<()> + Send> Observer for F {
    fn observe(&mut self, event: Event<'_>) -> ControlFlow<()> {
        self(event)
    }
}

/// An observer, and whether it has asked the run to stop.
pub(crate) struct Watch<'a> {
    observer: &'a mut dyn Observer,
    pub(crate) asked_to_stop: bool,
}

impl Watch<'_> {
    /// Tells the observer, which has not asked to stop yet unless `asked_to_stop`.
    pub(crate) fn new(observer: &mut dyn Observer, asked_to_stop: bool) -> Watch<'_> {
        Watch { observer, asked_to_stop }
    }

    /// Tells of an event. A wish to stop is remembered.
    pub(crate) fn tell(&mut self, event: Event<'_>) {
        self.asked_to_stop |= self.observer.observe(event).is_break();
    }
}

/// Something that happens in a run, or before it. Epochs and batches count from 1.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Something that the user should know before the run begins.
    Note(Note<'a>),
    /// A file of the corpus is being downloaded.
    Downloading {
        /// The name of the file.
        file: &'a str,
        /// The bytes so far.
        received_bytes: u64,
        /// The length of the file.
        total_bytes: u64,
    },
    /// The model to go on from has been evaluated, before the first epoch.
    Begun {
        /// Its loss on the validation text, if there is one.
        valid_loss: Option<f64>,
        /// Its loss on the test text, if there is one.
        test_loss: Option<f64>,
    },
    /// The run goes on from a checkpoint.
    Resumed {
        /// The epoch under way.
        epoch: usize,
        /// The batches of it that have been trained on.
        batch: usize,
        /// The steps so far.
        step: u64,
        /// The epoch of the best model so far, if there is one.
        best_epoch: Option<usize>,
        /// The checkpoint.
        path: &'a Path,
    },
    /// A step was not taken, since a number was not finite.
    Skipped {
        /// Which number.
        what: Quantity,
        /// What it is.
        found: f64,
        /// The epoch.
        epoch: usize,
        /// Which step it would have been.
        step: u64,
    },
    /// Training goes back to a checkpoint, since a number was not finite.
    RolledBack {
        /// Which number.
        what: Quantity,
        /// What it is.
        found: f64,
        /// The epoch.
        epoch: usize,
        /// Which step it would have been.
        step: u64,
        /// The steps that the checkpoint has.
        to_step: u64,
        /// The learning rate from there on.
        learning_rate: f64,
    },
    /// An epoch begins, or goes on.
    EpochStarted {
        /// Which.
        epoch: usize,
        /// Of how many.
        epochs: usize,
        /// The batches it will have.
        batches: usize,
        /// Its learning rate, which a batch of another length may scale.
        learning_rate: f64,
    },
    /// A batch has been trained on.
    Batch(&'a BatchReport),
    /// As many batches as the plan says have been trained on since the last report: losses are means over them.
    Log(&'a BatchReport),
    /// A text is being evaluated.
    Evaluating {
        /// `valid` or `test`.
        what: &'static str,
        /// Tokens so far.
        done: u64,
        /// Tokens in all.
        total: u64,
    },
    /// An epoch has ended and been judged.
    EpochFinished(&'a EpochReport),
    /// A sample was generated.
    Sample {
        /// What it was to go on from.
        prefix: &'a str,
        /// What it went on with.
        text: &'a str,
    },
    /// The run was asked to stop, and does, after what there is has been saved.
    Interrupted {
        /// The epoch it was in.
        epoch: usize,
        /// The steps it had made.
        step: u64,
    },
}

/// Where a run stands after a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchReport {
    /// The epoch.
    pub epoch: usize,
    /// The batch within the epoch.
    pub batch: usize,
    /// The batches of the epoch.
    pub batches: usize,
    /// The optimizer's steps since the start of the run.
    pub step: u64,
    /// Mean negative log-likelihood, in nats per token.
    pub nll_mean: f64,
    /// The same, smoothed.
    pub moving_loss: f64,
    /// Training tokens per second: since the last report, or of this batch.
    pub tokens_per_s: f64,
    /// The gradient's global norm before clipping, at the last step.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// How an epoch ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// The epoch.
    pub epoch: usize,
    /// The optimizer's steps since the start of the run.
    pub step: u64,
    /// Mean negative log-likelihood over the epoch's batches, in nats per token.
    pub train_loss: f64,
    /// The same on the validation text, if it was evaluated.
    pub valid_loss: Option<f64>,
    /// The same of the latest weights themselves, where it is their average that is judged.
    pub unaveraged_valid_loss: Option<f64>,
    /// Whether the model is the best so far.
    pub is_best: bool,
    /// The loss on the test text, which is evaluated where the model is the best so far.
    pub test_loss: Option<f64>,
    /// The learning rate of the next epoch.
    pub learning_rate: f64,
    /// Whether the next epoch starts from the best weights instead of these.
    pub reloaded_best: bool,
    /// Whether the weights are averaged from the next epoch on.
    pub averaging_begins: bool,
    /// Training tokens per second over the epoch, evaluation not counted.
    pub tokens_per_s: f64,
    /// Seconds since the start of the run.
    pub elapsed_s: f64,
}

/// What a run came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// The epoch whose model is the best; 0 is the model that was gone on from.
    pub best_epoch: Option<usize>,
    /// Its loss on the validation text, in nats per token.
    pub best_valid: Option<f64>,
    /// Its loss on the test text.
    pub best_test: Option<f64>,
    /// The optimizer's steps.
    pub steps: u64,
    /// Training tokens.
    pub tokens: u64,
    /// Training tokens per second, evaluation not counted.
    pub tokens_per_s: f64,
    /// Seconds, everything counted.
    pub elapsed_s: f64,
    /// Whether the run was asked to stop before its end.
    pub interrupted: bool,
}
