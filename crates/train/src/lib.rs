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
//! - [`MovingLoss`]: the smoothed training loss.
//! - [`Checkpoint`]: a state of a run to go on from, and [`resumed_plan`] what may be another then.
//! - [`Comparison`]: whether two runs gave the same numbers.
//! - [`Trainer`]: the loop, watched and stopped by an [`Observer`].
//! - [`Session`]: all of it, from settings to a trained model.
//! - [`evaluate_dynamically`]: evaluation that goes on learning.
//! - [`throughput`]: how fast all of this is, held against what the machine can do.
//!
//! The feature `plot` draws `curve.svg` after each epoch. Not here: the folder of a run and the records in it
//! ([`rondo_runs`]), flags, printing, HTTP.

mod averaging;
mod checkpoint;
mod dynamic;
mod error;
mod loss_sum;
mod moving_loss;
mod nearest;
mod observer;
mod optimizer;
mod plan;
mod progress;
mod provenance;
pub mod recipes;
mod reproduce;
mod resume;
mod sample;
mod schedule;
mod session;
pub mod settings;
mod step;
pub mod throughput;
mod trainer;

pub use averaging::{Averaging, AveragingProgress, AveragingRule};
pub use checkpoint::Checkpoint;
pub use dynamic::{DynamicEvaluation, DynamicRule, GradientRms, evaluate_dynamically};
pub use error::{Result, TrainError, Tried};
pub use moving_loss::MovingLoss;
pub use observer::{BatchReport, EpochReport, Event, Observer, Outcome};
pub use optimizer::{Clip, Optimizer, OptimizerOptions};
pub use plan::{
    ClipNorm, CorpusChoice, EvaluationPlan, ModelPlan, NonFiniteRule, OptimizationPlan, OptimizerPlan, Plan,
    SamplePlan, TextPlan, TrainingPlan,
};
pub use provenance::fingerprint;
pub use recipes::Recipe;
pub use reproduce::{Comparison, Difference, require_finished};
pub use resume::resumed_plan;
pub use rondo_runs::{Change, CorpusFingerprint, Perplexity, RunFolder, RunsError};
pub use schedule::{Decision, Schedule, ScheduleRule, Validation};
pub use session::{
    BUILT_IN, DATA_VARIABLE, FoundCorpus, MIRROR_VARIABLE, Note, Session, SessionOptions, SettingsSource,
    Trained, default_places,
};
pub use settings::Settings;
pub use step::{NonFinite, Quantity, StepOutcome, StepTerms, Tokens, TrainingStep};
pub use trainer::Trainer;
