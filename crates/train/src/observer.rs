//! The events that a run reports, and the trait that receives them.

use std::ops::ControlFlow;
use std::path::Path;

use rondo_infer::NormalizerStatistics;
use rondo_runs::Change;

use crate::{Note, Quantity, RunEnd};

/// Receives the events of a run and can stop it. It can draw a progress bar, print lines, or do nothing.
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
    /// Receives an event. Returning `Break` asks the run to stop: it stops after the current batch or during
    /// the current evaluation, and saves everything needed to resume.
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
    /// Wraps an observer; `asked_to_stop` says whether it has already asked to stop.
    pub(crate) fn new(observer: &mut dyn Observer, asked_to_stop: bool) -> Watch<'_> {
        Watch { observer, asked_to_stop }
    }

    /// Passes an event to the observer, and remembers whether it asks to stop.
    pub(crate) fn notify(&mut self, event: Event<'_>) {
        let _ = self.pass_on(event);
    }

    /// The same; returns what the observer asks for.
    pub(crate) fn pass_on(&mut self, event: Event<'_>) -> ControlFlow<()> {
        let asked = self.observer.observe(event);
        self.asked_to_stop |= asked.is_break();
        asked
    }
}

/// An event in a run, or before it. Epochs and batches count from 1.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A note for the user, before the run begins or during it.
    Note(Note<'a>),
    /// A file of the corpus is being downloaded.
    Downloading {
        /// The name of the file.
        file: &'a str,
        /// The number of bytes received so far.
        received_bytes: u64,
        /// The size of the file in bytes.
        total_bytes: u64,
    },
    /// The texts are being tokenized. Returning `Break` stops that with
    /// [`DataError::Interrupted`](rondo_data::DataError::Interrupted).
    Tokenizing {
        /// The number of bytes that have been read from the files, which can be compressed.
        read_bytes: u64,
        /// The size of the files in bytes.
        total_bytes: u64,
        /// The number of bytes of text that have been tokenized.
        text_bytes: u64,
    },
    /// The model to continue from has been evaluated, before the first epoch.
    Begun {
        /// Its loss on the validation text, if there is one.
        valid_loss: Option<f64>,
        /// Its loss on the test text, if there is one.
        test_loss: Option<f64>,
    },
    /// The run resumes from a checkpoint.
    Resumed {
        /// The current epoch.
        epoch: usize,
        /// The number of its batches already trained on.
        batch: usize,
        /// The number of steps so far.
        step: u64,
        /// The epoch of the best model so far, if there is one.
        best_epoch: Option<usize>,
        /// The checkpoint file.
        path: &'a Path,
    },
    /// A setting changes, because the repeated run changed it here.
    Changed {
        /// The current epoch.
        epoch: usize,
        /// The number of steps so far.
        step: u64,
        /// The change.
        change: &'a Change,
    },
    /// A step was skipped because a value was NaN or infinite.
    Skipped {
        /// Which quantity.
        what: Quantity,
        /// Its value.
        found: f64,
        /// The epoch.
        epoch: usize,
        /// The number of the step that was not taken.
        step: u64,
    },
    /// Training rolls back to a checkpoint because a value was NaN or infinite.
    RolledBack {
        /// Which quantity.
        what: Quantity,
        /// Its value.
        found: f64,
        /// The epoch.
        epoch: usize,
        /// The number of the step that was not taken.
        step: u64,
        /// The number of steps at the checkpoint.
        to_step: u64,
        /// The learning rate from there.
        learning_rate: f64,
    },
    /// An epoch begins or is resumed.
    EpochStarted {
        /// The epoch.
        epoch: usize,
        /// The total number of epochs.
        epochs: usize,
        /// The number of batches in this epoch.
        batches: usize,
        /// The number of batches that are left in the run, about.
        left: u64,
        /// Its learning rate. With variable BPTT, each batch scales it by its length.
        learning_rate: f64,
    },
    /// A batch has been trained on.
    Batch(&'a BatchReport),
    /// A report after every [`log_every`](crate::TrainingPlan::log_every) batches; losses are means over the
    /// batches since the last one.
    Log(&'a BatchReport),
    /// A text is being evaluated.
    Evaluating {
        /// `valid` or `test`.
        what: &'static str,
        /// The number of tokens predicted so far.
        done: u64,
        /// The total number of tokens.
        total: u64,
    },
    /// An epoch has ended and, if due, been validated.
    EpochFinished(&'a EpochReport),
    /// A sample was generated.
    Sample {
        /// Its prefix.
        prefix: &'a str,
        /// The generated text, without the prefix.
        text: &'a str,
    },
    /// The run ends before the last epoch of its plan, as its settings say.
    EndsEarly {
        /// The last epoch.
        epoch: usize,
        /// The reason.
        end: RunEnd,
    },
    /// An approximate normalizer is being fitted to the best model, which takes about a minute.
    FittingNormalizer {
        /// The number of tokens that it sums exactly.
        frequent: usize,
    },
    /// It is fitted, and stored in the model's file.
    NormalizerFitted {
        /// Its errors on the validation text.
        statistics: NormalizerStatistics,
    },
    /// The run was asked to stop; it saves its state and ends.
    Interrupted {
        /// The current epoch.
        epoch: usize,
        /// The number of steps so far.
        step: u64,
    },
}

/// The state of a run after a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchReport {
    /// The epoch.
    pub epoch: usize,
    /// The batch within the epoch.
    pub batch: usize,
    /// The number of batches in the epoch.
    pub batches: usize,
    /// The number of optimizer steps since the start of the run.
    pub step: u64,
    /// Mean negative log-likelihood, in nats per token.
    pub nll_mean: f64,
    /// The exponential moving average of the loss.
    pub moving_loss: f64,
    /// Training tokens per second: since the last report, or for this batch.
    pub tokens_per_s: f64,
    /// The global gradient norm before clipping, at the last step.
    pub gradient_norm: f64,
    /// The learning rate.
    pub learning_rate: f64,
}

/// The results of an epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochReport {
    /// The epoch.
    pub epoch: usize,
    /// The number of optimizer steps since the start of the run.
    pub step: u64,
    /// Mean negative log-likelihood over the epoch's batches, in nats per token.
    pub train_loss: f64,
    /// The loss on the validation text, if it was evaluated.
    pub valid_loss: Option<f64>,
    /// The validation loss of the latest weights, if `valid_loss` is that of their average.
    pub unaveraged_valid_loss: Option<f64>,
    /// Whether the model is the best so far.
    pub is_best: bool,
    /// The loss on the test text, evaluated only if the model is the best so far.
    pub test_loss: Option<f64>,
    /// The learning rate of the next epoch.
    pub learning_rate: f64,
    /// Whether the next epoch starts from the best weights instead of these.
    pub reloaded_best: bool,
    /// Whether the weights are averaged from the next epoch on.
    pub averaging_begins: bool,
    /// Training tokens per second over the epoch, excluding evaluation.
    pub tokens_per_s: f64,
    /// Seconds since the start of the run.
    pub elapsed_s: f64,
}

/// An epoch that was interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartialEpoch {
    /// The epoch.
    pub epoch: usize,
    /// The number of its batches that were trained on or skipped.
    pub batch: usize,
    /// The number of all its batches.
    pub batches: usize,
}

/// The final results of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Outcome {
    /// The epoch of the best model; 0 is the model that the run continued from. `None` if no epoch was completed.
    pub best_epoch: Option<usize>,
    /// If no epoch was completed, the place at which the run was interrupted: the best model is the one of that
    /// moment.
    pub partial_epoch: Option<PartialEpoch>,
    /// The best model's loss on the validation text, in nats per token.
    pub best_valid: Option<f64>,
    /// Its loss on the test text.
    pub best_test: Option<f64>,
    /// The number of optimizer steps.
    pub steps: u64,
    /// The number of training tokens.
    pub tokens: u64,
    /// Seconds spent on training steps.
    pub training_s: f64,
    /// Seconds of the training steps in this process, since it started or resumed the run, that it waited for the gradients
    /// of the processes that train with it.
    pub waiting_s: f64,
    /// Total time in seconds: training steps, evaluation, and everything else.
    pub elapsed_s: f64,
    /// Whether the run was asked to stop before its end.
    pub interrupted: bool,
    /// Why the run ended; `None` if it was interrupted.
    pub end: Option<RunEnd>,
}

impl Outcome {
    /// Training tokens per second of training steps; `None` if there were none.
    pub fn training_tokens_per_s(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.tokens as f64 / self.training_s)
    }

    /// Training tokens per second of the total time; `None` if there were none.
    pub fn tokens_per_s(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.tokens as f64 / self.elapsed_s)
    }
}
