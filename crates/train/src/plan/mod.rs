//! The plan of a run: all settings, with defaults filled in and values checked.
//!
//! ```text
//! Settings ─▶ Plan::new ─▶ Plan ─▶ trainer
//!                           └─▶ Plan::settings ─▶ plan.toml ─▶ Settings ─▶ the same Plan
//! ```
//!
//! A run that continues a model uses `Plan::continuing` instead of `Plan::new`, both times.
//!
//! Promises: a plan contains everything that a run depends on except the texts and the model that it continues; a plan
//! made from its own settings, for the same model, is the same plan. Not here: reading texts, and thus the vocabulary
//! size (an argument of [`ModelPlan::config`]).

use std::path::PathBuf;

use rondo_data::{BatchOrder, CorpusOptions, LastBatch, Tokenizer, Vocab};
use rondo_kernels::{DeviceChoice, PrecisionChoice};
use rondo_nn::{
    ActivationPenalty, AdaptiveSoftmax, Biases, Cell, CellOptions, Dropout, Initialization, Input,
    RnnLmConfig,
};

use crate::settings::{
    CheckpointEvery, ClipUnit, LossReduction, OptimizerKind, ResetState, SamplerKind, Settings, StepDivisor,
    TimeLimit,
};
use crate::{AveragingRule, Result, ScheduleRule};
use rondo_runs::Perplexity;

mod continuing;
mod resolve;
mod to_settings;

pub(crate) use resolve::{STDIN, absolute};

/// Everything that a run depends on, except the texts themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The corpus and how it is tokenized.
    pub text: TextPlan,
    /// The model, except the size of its vocabulary.
    pub model: ModelPlan,
    /// How the parameters are initialized.
    pub init: Initialization,
    /// The batches, the number of epochs and other options of the training loop.
    pub training: TrainingPlan,
    /// The optimizer, gradient clipping, regularization and the learning rate schedule.
    pub optimization: OptimizationPlan,
    /// How the validation and test texts are evaluated.
    pub evaluation: EvaluationPlan,
    /// What is generated after each epoch.
    pub sample: SamplePlan,
}

/// The corpus and how it is tokenized.
#[derive(Clone, Debug, PartialEq)]
pub struct TextPlan {
    /// Where the texts come from.
    pub corpus: CorpusChoice,
    /// The tokenizer, the vocabulary and how the texts are split.
    pub options: CorpusOptions,
    /// Where the ids of the texts are kept.
    pub ids: IdsPlace,
}

/// Where the ids of texts are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IdsPlace {
    /// In memory, or in the user's cache folder if the texts are [large](rondo_data::IdStore::LARGE_BYTES).
    #[default]
    Automatic,
    /// In memory.
    Memory,
    /// In files in a folder. Its path is absolute.
    Folder(PathBuf),
}

/// Where texts come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CorpusChoice {
    /// The built-in corpus, which is generated.
    BuiltIn,
    /// A published corpus.
    Named {
        /// Its name.
        name: String,
        /// The folder to find it in; if `None`, the usual places are searched. If the folder does not contain
        /// its files, the texts there are read instead, and the plan of the run says [`Own`](CorpusChoice::Own).
        data: Option<PathBuf>,
    },
    /// A corpus that is in memory: [`SessionOptions::in_memory`](crate::SessionOptions::in_memory).
    InMemory,
    /// The user's own texts: a folder or a file, or several files. The paths are absolute, except `-` for stdin.
    Own(Vec<PathBuf>),
    /// The user's own texts, with one or more files for each split.
    OwnSplits {
        /// The training text.
        train: Vec<PathBuf>,
        /// The validation text; empty if there is none.
        valid: Vec<PathBuf>,
        /// The test text; empty if there is none.
        test: Vec<PathBuf>,
    },
}

/// The model, except the size of its vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPlan {
    /// The input representation of a token.
    pub input: Input,
    /// The recurrent cell of every layer.
    pub cell: Cell,
    /// The hidden size of each layer, starting at the input.
    pub hidden_sizes: Vec<usize>,
    /// What the layers have in addition to their cell.
    pub cell_options: CellOptions,
    /// The number of bias vectors of each layer.
    pub biases: Biases,
    /// Whether the decoder shares its weight with the embedding (weight tying).
    pub tied: bool,
    /// The softmax over the vocabulary.
    pub softmax: SoftmaxPlan,
    /// The dropout probabilities, and where dropout is locked.
    pub dropout: Dropout,
}

/// The softmax over the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub enum SoftmaxPlan {
    /// Over all tokens.
    Full,
    /// In training, over the targets of a batch and a sample of all tokens.
    Sampled(SampledSoftmax),
    /// In two steps: frequent tokens and clusters of the others, then the tokens of a cluster.
    Adaptive {
        /// The frequency ranks at which the clusters begin.
        cutoffs: Vec<usize>,
    },
}

/// The sample of a sampled softmax.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampledSoftmax {
    /// The number of tokens drawn in each step, with replacement; duplicates are removed.
    pub draws: usize,
    /// The distribution that they are drawn from.
    pub sampler: SamplerKind,
}

/// The batches, the number of epochs and other options of the training loop.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingPlan {
    /// The model to continue from, if it is not a new one: a model file or the folder of a run, as an
    /// absolute path.
    pub from: Option<PathBuf>,
    /// Whether the words of the training text are added to that model's vocabulary.
    pub extend_vocab: bool,
    /// The number of passes over the training text.
    pub epochs: usize,
    /// The number of evaluations in a row without improvement after which the run ends.
    pub early_stopping: Option<usize>,
    /// The batch size `B`: the number of columns that the text is divided into.
    pub batch_size: usize,
    /// The number of parts in which the columns of a batch, or those of each process, are computed one after another.
    pub accumulate: usize,
    /// The sequence length `T`: the time steps of a batch, for truncated BPTT.
    pub bptt: usize,
    /// How a last batch that is not full is handled.
    pub last_batch: LastBatch,
    /// Whether batches have random lengths around `bptt`, with the learning rate scaled by the length.
    pub variable_bptt: bool,
    /// The order of the batches in an epoch.
    pub batch_order: BatchOrder,
    /// The maximum number of batches per epoch.
    pub max_batches: Option<usize>,
    /// The maximum number of steps of the run, skipped ones included. The epoch that reaches it ends there.
    pub max_steps: Option<u64>,
    /// The time of the whole run. It decides the number of steps while the run is trained, and is not read otherwise.
    pub time: TimeLimit,
    /// How many tokens an approximate normalizer sums exactly, which is fitted to the best model at the end of the run.
    pub normalizer: Option<usize>,
    /// Where the state is reset to zero.
    pub reset_state: ResetState,
    /// Whether independent lines or paragraphs are read in a new random order in each epoch.
    pub shuffle_lines: bool,
    /// How often a checkpoint is written during an epoch.
    pub checkpoint_every: CheckpointEvery,
    /// What to do when a loss or a gradient is NaN or infinite.
    pub non_finite: NonFiniteRule,
    /// The number of batches between reports; `None` reports only at the end of epochs.
    pub log_every: Option<usize>,
    /// The decay of the [`MovingLoss`](crate::MovingLoss).
    pub moving_loss_decay: f64,
    /// Whether its bias is corrected.
    pub moving_loss_correction: bool,
    /// The random seed.
    pub seed: u64,
    /// The device.
    pub device: DeviceChoice,
    /// The number of threads.
    pub threads: usize,
    /// The precision of the inputs of matrix multiplications, if the device is faster with it.
    pub precision: PrecisionChoice,
}

/// What to do when a loss or gradient is NaN or infinite: a batch's, or the loss on a text at the end of an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NonFiniteRule {
    /// Stop the run with an error.
    Stop,
    /// Skip the step and reset the hidden state to zero. At the end of an epoch: the model is not the best.
    Skip,
    /// Go back to the last checkpoint and continue with a lower learning rate.
    Rollback {
        /// The maximum number of rollbacks before the run stops with an error.
        times: usize,
        /// The factor by which the learning rate is multiplied.
        factor: f64,
    },
}

/// The optimizer, gradient clipping, regularization and the learning rate schedule.
///
/// Published training scripts differ in how they reduce the loss, clip the gradient and scale the step, and
/// their learning rates and clipping limits depend on these choices. So each of them is configurable: the
/// reduction of the loss ([`gradient_scale`](OptimizationPlan::gradient_scale)), gradient clipping
/// (`clip_value`, then [`clip_norm_limit`](OptimizationPlan::clip_norm_limit)), and the division of the
/// clipped gradient ([`step_scale`](OptimizationPlan::step_scale)).
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizationPlan {
    /// The optimizer and its options.
    pub optimizer: OptimizerPlan,
    /// The learning rate of the first epoch.
    pub learning_rate: f64,
    /// Weight decay; 0 is off.
    pub weight_decay: f64,
    /// Whether the mean or the sum of a batch's losses is differentiated.
    pub loss_reduction: LossReduction,
    /// What the clipped gradient is divided by.
    pub step_divisor: StepDivisor,
    /// The maximum gradient norm over all parameters.
    pub clip_norm: Option<ClipNorm>,
    /// The maximum absolute value of a gradient element.
    pub clip_value: Option<f64>,
    /// The activation regularization (AR) and temporal activation regularization (TAR) of the last layer.
    pub penalty: ActivationPenalty,
    /// How the learning rate changes.
    pub schedule: ScheduleRule,
    /// The number of steps at the start of the run over which the learning rate increases.
    pub warmup: u64,
    /// The run ends instead of training an epoch with a lower learning rate. (A schedule that decays over the run has
    /// its own minimum.)
    pub min_learning_rate: Option<f64>,
    /// When averaging of the weights begins.
    pub averaging: AveragingRule,
}

/// An optimizer and its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerPlan {
    /// Stochastic gradient descent.
    Sgd {
        /// The momentum; 0 is off.
        momentum: f64,
    },
    /// Adam.
    Adam {
        /// The decay rate of the average of gradients.
        beta1: f64,
        /// The decay rate of the average of squared gradients.
        beta2: f64,
        /// The term added to the denominator to avoid division by zero.
        epsilon: f64,
        /// Whether weight decay is decoupled from the gradient (AdamW) instead of added to it.
        decoupled: bool,
    },
}

/// A limit on the norm of the gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipNorm {
    /// The limit, in its unit.
    pub limit: f64,
    /// The unit of the limit.
    pub unit: ClipUnit,
}

/// How the validation and test texts are evaluated.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluationPlan {
    /// The number of epochs between evaluations on the validation text.
    pub every: usize,
    /// Whether the current weights are evaluated, too, if their average is.
    pub unaveraged: bool,
    /// The batch size: the number of columns that a text is divided into.
    pub batch_size: usize,
    /// The sequence length: the time steps of a batch.
    pub bptt: usize,
}

/// What is generated after each epoch.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplePlan {
    /// The prefix of each sample; no samples are generated if this is empty.
    pub prefixes: Vec<String>,
    /// The number of tokens to generate after the prefix.
    pub length: usize,
    /// The sampling temperature.
    pub temperature: f64,
}

impl Plan {
    /// Makes a plan from settings: fills in the defaults and checks all values.
    ///
    /// # Errors
    /// [`TrainError::OutOfRange`](crate::TrainError::OutOfRange) for a value out of range,
    /// [`TrainError::NoEffect`](crate::TrainError::NoEffect) for a setting that has no effect because of
    /// another one, [`TrainError::UnknownPreset`](crate::TrainError::UnknownPreset), and
    /// [`TrainError::Model`](crate::TrainError::Model) if the configuration of the model is invalid.
    pub fn new(settings: &Settings) -> Result<Plan> {
        resolve::plan(settings)
    }

    /// Makes the plan of a run that continues training a model. Same as [`Plan::new`], except that the shape
    /// of the model is kept (its dropout may change), as are its tokenizer (a model of words may switch to
    /// the other word tokenizer) and its vocabulary, to which the words of the training text are added if the
    /// settings say so.
    ///
    /// # Errors
    /// Those of [`Plan::new`], and [`TrainError::OtherModel`](crate::TrainError::OtherModel) if the settings
    /// require a different shape or tokenizer.
    pub fn continuing(
        settings: &Settings,
        config: &RnnLmConfig,
        tokenizer: &Tokenizer,
        vocab: Vocab,
    ) -> Result<Plan> {
        continuing::plan(settings, config, tokenizer, vocab)
    }

    /// The settings of the plan, with all values given. [`Plan::new`] makes the same plan from them; for a plan made by
    /// [`Plan::continuing`], that function does, given the same model.
    pub fn settings(&self) -> Settings {
        to_settings::settings(self)
    }

    /// The plan as a settings file that repeats the run.
    ///
    /// # Errors
    /// [`TrainError::PlanText`](crate::TrainError::PlanText) if a value cannot be written as TOML, such as a
    /// path that is not UTF-8.
    pub fn to_toml(&self) -> Result<String> {
        let settings = self.settings().to_toml()?;
        Ok(format!("# All settings of this run. Use this file as a recipe to repeat the run.\n\n{settings}"))
    }

    /// The learning rate that is the default for the plan's cell and optimizer.
    pub fn default_learning_rate(&self) -> f64 {
        let optimizer = match self.optimization.optimizer {
            OptimizerPlan::Sgd { .. } => OptimizerKind::Sgd,
            OptimizerPlan::Adam { decoupled: false, .. } => OptimizerKind::Adam,
            OptimizerPlan::Adam { decoupled: true, .. } => OptimizerKind::AdamW,
        };
        resolve::default_learning_rate(self.model.cell, optimizer)
    }

    /// The perplexity of a mean training loss; `None` with a sampled softmax, whose loss is that among the candidates.
    pub fn training_perplexity(&self, loss: f64) -> Option<Perplexity> {
        (!matches!(self.model.softmax, SoftmaxPlan::Sampled(_))).then(|| Perplexity::from_nll_mean(loss))
    }

    /// Whether the epoch, counted from 1, ends with an evaluation on the validation text.
    pub fn evaluates_after(&self, epoch: usize) -> bool {
        let is_last = epoch == self.training.epochs && !self.training.is_unplanned();
        epoch.is_multiple_of(self.evaluation.every) || is_last
    }
}

impl TrainingPlan {
    /// Whether the run has a limited time and its number of steps is still unknown. Its epochs do not end it then, and its
    /// schedules wait at their beginning.
    pub(crate) fn is_unplanned(&self) -> bool {
        self.time.0.is_some() && self.max_steps.is_none()
    }
}

impl TextPlan {
    /// The part of a plan that these settings decide.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn new(settings: &Settings) -> Result<TextPlan> {
        resolve::text(settings)
    }
}

impl EvaluationPlan {
    /// The part of a plan that the settings of evaluation decide; its defaults are those of training.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn new(settings: &Settings) -> Result<EvaluationPlan> {
        resolve::evaluation(settings)
    }
}

impl ModelPlan {
    /// The model configuration for a vocabulary of `vocab_size` tokens, ordered by frequency.
    pub fn config(&self, vocab_size: usize) -> RnnLmConfig {
        let ModelPlan { input, cell, cell_options, ref hidden_sizes, biases, tied, dropout, ref softmax } =
            *self;
        let adaptive_softmax = match softmax {
            SoftmaxPlan::Adaptive { cutoffs } => Some(AdaptiveSoftmax::new(cutoffs.clone())),
            SoftmaxPlan::Full | SoftmaxPlan::Sampled(_) => None,
        };
        let hidden_sizes = hidden_sizes.clone();
        RnnLmConfig {
            vocab_size,
            input,
            cell,
            hidden_sizes,
            biases,
            tied,
            dropout,
            adaptive_softmax,
            cell_options,
        }
    }
}

impl OptimizationPlan {
    /// The factor that multiplies the gradient of a batch's summed losses, for a batch of this many tokens.
    pub fn gradient_scale(&self, tokens: usize) -> f64 {
        match self.loss_reduction {
            LossReduction::Mean => 1.0 / tokens as f64,
            LossReduction::Sum => 1.0,
        }
    }

    /// The maximum gradient norm for batches of `bptt` by `batch_size` tokens. A batch shorter than `bptt`
    /// has the limit of a full one, as in the published scripts.
    pub fn clip_norm_limit(&self, bptt: usize, batch_size: usize) -> Option<f64> {
        self.clip_norm.map(|ClipNorm { limit, unit }| match unit {
            ClipUnit::One => limit,
            ClipUnit::Batch => limit * batch_size as f64,
            ClipUnit::Tokens => limit * (bptt as f64 * batch_size as f64),
        })
    }

    /// The factor that multiplies the clipped gradient.
    pub fn step_scale(&self, batch_size: usize) -> f64 {
        match self.step_divisor {
            StepDivisor::One => 1.0,
            StepDivisor::Batch => 1.0 / batch_size as f64,
        }
    }
}

#[cfg(test)]
mod tests;
