//! What a run does: every setting filled in and checked.
//!
//! ```text
//! Settings ─▶ Plan::new ─▶ Plan ─▶ trainer
//!                           └─▶ Plan::settings ─▶ plan.toml ─▶ Settings ─▶ the same Plan
//! ```
//!
//! A run that continues a model has `Plan::continuing` in place of `Plan::new`, both times.
//!
//! Promises: a plan says all that a run depends on, except the texts and the model that it continues; made from its own
//! settings again, and for the same model, it is the same. Not here: reading texts, and with them the vocabulary's size ([`ModelPlan::config`] is given it).

use std::path::PathBuf;

use rondo_data::{BatchOrder, CorpusOptions, LastBatch, Tokenizer, Vocab};
use rondo_kernels::Precision;
use rondo_nn::{ActivationPenalty, Biases, Cell, Dropout, Initialization, Input, RnnLmConfig};

use crate::settings::{CheckpointEvery, ClipUnit, LossReduction, Settings, StepDivisor};
use crate::{AveragingRule, Result, ScheduleRule};

mod continuing;
mod resolve;
mod to_settings;

/// All that a run depends on, but for the texts themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// What is read, and how it becomes tokens.
    pub text: TextPlan,
    /// The model but for the size of its vocabulary.
    pub model: ModelPlan,
    /// How the parameters begin.
    pub init: Initialization,
    /// How the text is walked through, and how often.
    pub training: TrainingPlan,
    /// How losses become gradients and gradients become steps.
    pub optimization: OptimizationPlan,
    /// How validation and test text are evaluated.
    pub evaluation: EvaluationPlan,
    /// What is generated after each epoch.
    pub sample: SamplePlan,
}

/// What is read, and how it becomes tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct TextPlan {
    /// Where the texts come from.
    pub corpus: CorpusChoice,
    /// How they become tokens and ids.
    pub options: CorpusOptions,
}

/// Where texts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorpusChoice {
    /// The generated language that comes with the program.
    BuiltIn,
    /// A corpus known by its name.
    Named {
        /// Its name.
        name: String,
        /// The folder it is said to be in; otherwise it is looked for. If its files are not there, what is
        /// there is read instead, and the plan of the run says [`Own`](CorpusChoice::Own).
        data: Option<PathBuf>,
    },
    /// The user's own texts: a folder or a file, or several files. The paths are absolute.
    Own(Vec<PathBuf>),
}

/// The model but for the size of its vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPlan {
    /// How a token enters the network.
    pub input: Input,
    /// The recurrent cell of every layer.
    pub cell: Cell,
    /// The width of each layer, the one nearest the input first.
    pub hidden_sizes: Vec<usize>,
    /// How many bias vectors a layer has.
    pub biases: Biases,
    /// Whether the decoder's weight is the embedding's.
    pub tied: bool,
    /// What is dropped in training, and where.
    pub dropout: Dropout,
}

/// How the text is walked through, and how often.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingPlan {
    /// The model to go on from, if it is not a new one: a model file or the folder of a run, as an absolute path.
    pub from: Option<PathBuf>,
    /// Whether the words of the training text are added to that model's vocabulary.
    pub extend_vocab: bool,
    /// How often to go through the training text.
    pub epochs: usize,
    /// `B`, the columns that are read side by side.
    pub batch_size: usize,
    /// `T`, the steps of a batch.
    pub bptt: usize,
    /// What becomes of a last batch that is not full.
    pub last_batch: LastBatch,
    /// Whether batches are of random length around `bptt`, and the learning rate scaled with it.
    pub variable_bptt: bool,
    /// In which order the batches come.
    pub batch_order: BatchOrder,
    /// The most batches of an epoch.
    pub max_batches: Option<usize>,
    /// Whether a batch begins with the state that the one before ended with, instead of zeros.
    pub carry_state: bool,
    /// How often a checkpoint is written within epochs.
    pub checkpoint_every: CheckpointEvery,
    /// What becomes of a loss or gradient that is not a finite number.
    pub non_finite: NonFiniteRule,
    /// Batches from one report to the next; none within an epoch if `None`.
    pub log_every: Option<usize>,
    /// What [`MovingLoss`](crate::MovingLoss) is made with.
    pub moving_loss_decay: f64,
    /// The seed of everything random.
    pub seed: u64,
    /// The threads to compute with.
    pub threads: usize,
    /// What the factors of matrix products are rounded to, where the device can.
    pub precision: Precision,
}

/// What becomes of a loss or gradient that is not a finite number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NonFiniteRule {
    /// The run ends with an error.
    Stop,
    /// The step is not taken, and the carried state is forgotten.
    Skip,
    /// Training goes on from the last checkpoint with a lower learning rate.
    Rollback {
        /// How often, before the run ends with an error after all.
        times: usize,
        /// What the learning rate is multiplied by.
        factor: f64,
    },
}

/// How losses become gradients and gradients become steps.
///
/// In the published scripts these differ in ways that the learning rate and the clip are made for, so each of
/// them is a choice: the loss is reduced ([`gradient_scale`](OptimizationPlan::gradient_scale)), its gradient
/// clipped (`clip_value`, then [`clip_norm_limit`](OptimizationPlan::clip_norm_limit)), and the step divided
/// ([`step_scale`](OptimizationPlan::step_scale)).
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizationPlan {
    /// The rule that turns gradients into steps.
    pub optimizer: OptimizerPlan,
    /// The learning rate of the first epoch.
    pub learning_rate: f64,
    /// Weight decay; 0 is off.
    pub weight_decay: f64,
    /// Whether the sum or the mean of a batch's losses is differentiated.
    pub loss_reduction: LossReduction,
    /// What the clipped gradient is divided by.
    pub step_divisor: StepDivisor,
    /// The largest norm of the gradient of all parameters together.
    pub clip_norm: Option<ClipNorm>,
    /// The largest absolute value of an element of the gradient.
    pub clip_value: Option<f64>,
    /// What the activations of the last layer are penalized by.
    pub penalty: ActivationPenalty,
    /// How the learning rate changes from epoch to epoch.
    pub schedule: ScheduleRule,
    /// When the weights begin to be averaged.
    pub averaging: AveragingRule,
}

/// A rule that turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerPlan {
    /// Stochastic gradient descent.
    Sgd {
        /// The share of the last step that is added to the next; 0 is off.
        momentum: f64,
    },
    /// Adam.
    Adam {
        /// The decay of the average of gradients.
        beta1: f64,
        /// The decay of the average of squared gradients.
        beta2: f64,
        /// What keeps it from dividing by 0.
        epsilon: f64,
        /// Whether weight decay stands apart from the gradient (AdamW) instead of being added to it.
        decoupled: bool,
    },
}

/// A limit on the norm of the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipNorm {
    /// The limit in its unit.
    pub limit: f64,
    /// What the limit is counted in.
    pub unit: ClipUnit,
}

/// How validation and test text are evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationPlan {
    /// Epochs from one evaluation on validation text to the next.
    pub every: usize,
    /// The columns that a text is cut into.
    pub batch_size: usize,
    /// The steps of a batch.
    pub bptt: usize,
}

/// What is generated after each epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplePlan {
    /// What each sample begins with; no prefixes, no samples.
    pub prefixes: Vec<String>,
    /// The tokens of a sample after its prefix.
    pub length: usize,
    /// The temperature of the draws.
    pub temperature: f64,
}

impl Plan {
    /// Fills in every setting that is missing, and checks all of them.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`](crate::TrainError::OutOfRange) for a value that makes no sense,
    /// [`TrainError::NoEffect`](crate::TrainError::NoEffect) for one that another rules out,
    /// [`TrainError::UnknownPreset`](crate::TrainError::UnknownPreset), and
    /// [`TrainError::Model`](crate::TrainError::Model) if the sizes of the model do not fit together.
    pub fn new(settings: &Settings) -> Result<Plan> {
        resolve::plan(settings)
    }

    /// The plan that goes on training a model: as [`Plan::new`], but that the model's shape is kept (its dropout may
    /// be changed), with its tokenizer (a text for a model of words may also be running text) and vocabulary, to which the training text's words are added if the settings
    /// say so.
    ///
    /// # Errors
    /// As [`Plan::new`], and [`TrainError::OtherModel`](crate::TrainError::OtherModel) if the settings ask for another
    /// shape or tokenizer.
    pub fn continuing(
        settings: &Settings,
        config: &RnnLmConfig,
        tokenizer: &Tokenizer,
        vocab: Vocab,
    ) -> Result<Plan> {
        continuing::plan(settings, config, tokenizer, vocab)
    }

    /// All settings that the plan depends on. [`Plan::new`] makes the same plan from them, and for a plan made by
    /// [`Plan::continuing`] that function does, given the same model.
    pub fn settings(&self) -> Settings {
        to_settings::settings(self)
    }

    /// The plan as a settings file that repeats the run.
    ///
    /// # Errors
    /// [`TrainError::PlanText`](crate::TrainError::PlanText) if TOML cannot hold it, such as a path that is
    /// not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        let settings = self.settings().to_toml()?;
        Ok(format!("# All settings of a run; given as a recipe, this file repeats it.\n\n{settings}"))
    }

    /// Whether the epoch, counted from 1, ends with an evaluation on validation text.
    pub fn evaluates_after(&self, epoch: usize) -> bool {
        epoch.is_multiple_of(self.evaluation.every) || epoch == self.training.epochs
    }
}

impl ModelPlan {
    /// The configuration over a vocabulary of `vocab_size` tokens.
    pub fn config(&self, vocab_size: usize) -> RnnLmConfig {
        let ModelPlan { input, cell, ref hidden_sizes, biases, tied, dropout } = *self;
        RnnLmConfig { vocab_size, input, cell, hidden_sizes: hidden_sizes.clone(), biases, tied, dropout }
    }
}

impl OptimizationPlan {
    /// What the gradient of a batch's summed losses is multiplied by, for a batch of `steps` by `batch_size`
    /// tokens.
    pub fn gradient_scale(&self, steps: usize, batch_size: usize) -> f64 {
        match self.loss_reduction {
            LossReduction::Mean => 1.0 / (steps * batch_size) as f64,
            LossReduction::Sum => 1.0,
        }
    }

    /// The largest norm that the gradient may have, for batches of `bptt` by `batch_size` tokens. A batch that
    /// is shorter than `bptt` has the limit of a full one, as in the published scripts.
    pub fn clip_norm_limit(&self, bptt: usize, batch_size: usize) -> Option<f64> {
        self.clip_norm.map(|ClipNorm { limit, unit }| match unit {
            ClipUnit::One => limit,
            ClipUnit::Batch => limit * batch_size as f64,
            ClipUnit::Tokens => limit * (bptt * batch_size) as f64,
        })
    }

    /// What the clipped gradient is multiplied by.
    pub fn step_scale(&self, batch_size: usize) -> f64 {
        match self.step_divisor {
            StepDivisor::One => 1.0,
            StepDivisor::Batch => 1.0 / batch_size as f64,
        }
    }
}

#[cfg(test)]
mod tests;
