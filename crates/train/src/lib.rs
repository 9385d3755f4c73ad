//! The training loop of recurrent language models: plans, schedules, metrics, runs.
//!
//! ```text
//! recipe + flags ─▶ Settings ─▶ Plan ─▶ training ─┬─▶ metrics.jsonl, event files, curve.svg
//!                                       Schedule ─┘   best and last model: the RunFolder
//! ```
//!
//! - [`settings`]: what the user wrote, each setting described once ([`FIELDS`](settings::FIELDS)).
//! - [`Plan`]: what a run does, every default filled and checked.
//! - [`recipes`]: the embedded settings of published results.
//! - [`Schedule`]: the learning rate from epoch to epoch, and which epoch is the best.
//! - [`MovingLoss`], [`Perplexity`]: the numbers to look at.
//! - [`metrics`]: records of numbers in `metrics.jsonl` and for TensorBoard.
//! - [`curve`]: pictures of them, of one run or of several.
//! - [`RunFolder`]: the files of a run.
//! - [`Checkpoint`]: a state of a run to go on from, and [`resumed_plan`] what may be another then.
//! - [`Provenance`] and [`Comparison`]: where the numbers of a run come from, and whether two runs have the same.
//! - [`Trainer`]: the loop, watched by an [`Observer`].
//! - [`evaluate_dynamically`]: evaluation that goes on learning.
//! - [`throughput`]: how fast all of this is, held against what the machine can do.
//!
//! Not here: flags, printing, HTTP.

mod averaging;
mod checkpoint;
mod compare;
pub mod curve;
mod dynamic;
mod error;
mod files;
mod loss_sum;
pub mod metrics;
mod moving_loss;
mod nearest;
mod observer;
mod optimizer;
mod perplexity;
mod plan;
mod provenance;
pub mod recipes;
mod resume;
mod run_folder;
mod sample;
mod schedule;
pub mod settings;
mod step;
pub mod throughput;
mod trainer;

pub use averaging::AveragingRule;
pub use checkpoint::Checkpoint;
pub use compare::{Comparison, Difference, require_finished};
pub use dynamic::{DynamicEvaluation, DynamicRule, UsualGradients, evaluate_dynamically};
pub use error::{Result, TrainError, Tried};
pub use files::write_atomically;
pub use moving_loss::MovingLoss;
pub use observer::{BatchReport, EpochReport, Event, Observer, Outcome};
pub use optimizer::{Clip, Optimizer, OptimizerOptions};
pub use perplexity::Perplexity;
pub use plan::{
    ClipNorm, CorpusChoice, EvaluationPlan, ModelPlan, NonFiniteRule, OptimizationPlan, OptimizerPlan, Plan,
    SamplePlan, TextPlan, TrainingPlan,
};
pub use provenance::{CorpusFingerprint, Provenance, Resumption};
pub use recipes::Recipe;
pub use resume::{Change, resumed_plan};
pub use run_folder::{RunFolder, RunLock};
pub use schedule::{Decision, Schedule, ScheduleRule, Validation};
pub use settings::Settings;
pub use step::{NonFinite, StepOutcome, StepTerms, Tokens, TrainingStep};
pub use trainer::Trainer;
