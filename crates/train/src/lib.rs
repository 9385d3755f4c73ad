//! Training of recurrent language models: settings, plans, the training loop, dynamic evaluation.
//!
//! ```text
//! recipe + flags ─▶ Settings ─▶ Plan ─▶ training ─┬─▶ metrics.jsonl, event files, curve.svg
//!                                       Schedule ─┘   best and last model: the RunFolder
//! ```
//!
//! - [`settings`]: the user's settings, each described once ([`FIELDS`](settings::FIELDS)).
//! - [`Plan`]: everything a run does, with all defaults filled in and all values checked.
//! - [`recipes`]: embedded settings that reproduce published results.
//! - [`Schedule`]: the learning rate schedule, and which epoch is the best.
//! - [`MovingLoss`]: the smoothed training loss.
//! - [`Checkpoint`]: the saved state of a run; [`resumed_plan`] checks which settings may change on resume.
//! - [`Comparison`]: whether two runs gave the same results.
//! - [`Trainer`]: the training loop; an [`Observer`] receives its events and can stop it.
//! - [`Session`]: the whole run, from settings to a trained model.
//! - [`evaluate_dynamically`]: dynamic evaluation, which updates the weights on the evaluated text.
//! - [`throughput`]: benchmarks of training, evaluation and generation, compared with the limits of the machine.
//!
//! The feature `plot` draws `curve.svg` after each epoch. Not here: run folders and the records in them
//! ([`rondo_runs`]), command-line flags, printing, HTTP.

mod averaging;
mod checkpoint;
mod dynamic;
mod error;
mod exchange;
mod loss_sum;
mod memory;
mod moving_loss;
mod normalizer;
mod observer;
mod optimizer;
mod part;
mod plan;
mod progress;
mod provenance;
mod random;
pub mod recipes;
mod repetition;
mod reproduce;
mod resume;
mod run_end;
mod sample;
mod sampler;
mod schedule;
mod session;
pub mod settings;
mod sizing;
mod step;
pub mod throughput;
mod time_plan;
mod trainer;

pub use averaging::{Averaging, AveragingProgress, AveragingRule};
pub use checkpoint::Checkpoint;
pub use dynamic::{DynamicEvaluation, DynamicLosses, DynamicRule, GradientRms, evaluate_dynamically};
pub use error::{Result, TrainError, Tried};
pub use memory::{CorpusSize, MemoryEstimate};
pub use moving_loss::MovingLoss;
pub use normalizer::{NormalizerOptions, fit_normalizer};
pub use observer::{BatchReport, EpochReport, Event, Observer, Outcome, PartialEpoch};
pub use optimizer::{Clip, Optimizer, OptimizerOptions};
pub use part::{Part, Tokens};
pub use plan::{
    ClipNorm, CorpusChoice, EvaluationPlan, IdsPlace, ModelPlan, NonFiniteRule, OptimizationPlan,
    OptimizerPlan, Plan, SamplePlan, SampledSoftmax, SoftmaxPlan, TextPlan, TrainingPlan,
};
pub use provenance::fingerprint;
pub use recipes::Recipe;
pub use reproduce::{Comparison, Difference, require_finished};
pub use resume::resumed_plan;
pub use rondo_runs::{Change, CorpusFingerprint, Perplexity, RunFolder, RunsError, SettingsChange};
pub use run_end::RunEnd;
pub use sampler::Sampler;
pub use schedule::{Decision, Schedule, ScheduleRule, Validation};
pub use session::{
    BUILT_IN, DATA_VARIABLE, FoundCorpus, IN_MEMORY, MIRROR_VARIABLE, Note, Session, SessionOptions,
    SettingsSource, Trained, default_places,
};
pub use settings::Settings;
pub use step::{NonFinite, Quantity, StepOutcome, StepTerms, TrainingStep};
pub use trainer::Trainer;
