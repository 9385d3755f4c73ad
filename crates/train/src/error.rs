//! What can go wrong between a user's settings and a finished run.

use std::path::PathBuf;

use rondo_nn::NnError;

use crate::Quantity;
use crate::nearest::{listed, or_nearest};

/// The result of something in this crate.
pub type Result<T> = std::result::Result<T, TrainError>;

/// Why a run could not be planned, started, recorded or gone on with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A settings file is not TOML, or says what no setting says.
    #[error("`{origin}`, line {line}: {reason}")]
    Settings {
        /// The file, or the name of the embedded recipe.
        origin: String,
        /// The line at fault, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A recipe lacks the table that introduces it.
    #[error("`{origin}` has no `[recipe]` table, which names and describes a recipe")]
    NoIntroduction {
        /// The file, or the name of the embedded recipe.
        origin: String,
    },
    /// No recipe has this name.
    #[error("unknown recipe `{name}`, expected {}{}", listed(known), or_nearest(name, known))]
    UnknownRecipe {
        /// What was asked for.
        name: String,
        /// The recipes that there are.
        known: Vec<&'static str>,
    },
    /// A recipe was to be verified that states no perplexities to reach.
    #[error("the recipe `{name}` does not say what a run must reach")]
    NothingToVerify {
        /// Its name.
        name: String,
    },
    /// A run was to be judged by a recipe, but is by other settings.
    #[error("the run `{}` is another one than the recipe's: `{setting}` is {}, the recipe says {}", path.display(), or_nothing(found), or_nothing(expected))]
    OtherPlan {
        /// The folder of the run.
        path: PathBuf,
        /// The path of the first setting that differs.
        setting: String,
        /// What it is in the run.
        found: String,
        /// What it is in the recipe.
        expected: String,
    },
    /// A run was to be judged that has not come to its end.
    #[error("the run `{}` has come to epoch {epochs} of {wanted}", path.display())]
    Unfinished {
        /// The folder of the run.
        path: PathBuf,
        /// The epochs there are.
        epochs: usize,
        /// The epochs there should be.
        wanted: usize,
    },
    /// A value could not be read as what its setting holds.
    #[error("cannot use `{text}` for `{setting}`: {reason}")]
    Value {
        /// The path of the setting, such as `model.cell`.
        setting: String,
        /// What was written.
        text: String,
        /// What was expected instead.
        reason: String,
    },
    /// A setting is outside what makes sense.
    #[error("`{setting}` is {found}, expected {expected}")]
    OutOfRange {
        /// The path of the setting, such as `training.batch_size`.
        setting: &'static str,
        /// Its value.
        found: String,
        /// What it may be.
        expected: &'static str,
    },
    /// A setting was given that the rest of the settings leaves without any effect.
    #[error("`{setting}` has no effect unless {condition}")]
    NoEffect {
        /// The path of the setting, such as `optimization.momentum`.
        setting: &'static str,
        /// What it would need.
        condition: &'static str,
    },
    /// The named model does not exist.
    #[error("unknown preset `{name}`, expected {}{}", listed(known), or_nearest(name, known))]
    UnknownPreset {
        /// What was asked for.
        name: String,
        /// The presets that there are.
        known: Vec<&'static str>,
    },
    /// No workload has this name.
    #[error("unknown workload `{name}`, expected {}", listed(known))]
    UnknownWorkload {
        /// What was asked for.
        name: String,
        /// The workloads that there are.
        known: Vec<&'static str>,
    },
    /// Settings ask for something that the model to go on from is not.
    #[error("`{setting}` is {found}, but the model to go on from has {expected}")]
    OtherModel {
        /// The path of the setting, such as `model.hidden_size`.
        setting: &'static str,
        /// What the settings say.
        found: String,
        /// What the model has.
        expected: String,
    },
    /// The model cannot read what a sample should continue.
    #[error("no sample can continue `{prefix}`")]
    SamplePrefix {
        /// The prefix in the settings.
        prefix: String,
        /// What is wrong with it.
        source: rondo_data::DataError,
    },
    /// There is no device as asked for.
    #[error(transparent)]
    Device(#[from] rondo_kernels::DeviceError),
    /// The sizes of the model do not fit together, or something else is wrong with it.
    #[error(transparent)]
    Model(#[from] NnError),
    /// A text could not be read, or is too short for the plan.
    #[error(transparent)]
    Data(#[from] rondo_data::DataError),
    /// A file of a run's folder could not be used.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
    /// A model could not be evaluated or sampled from.
    #[error(transparent)]
    Infer(#[from] rondo_infer::InferError),
    /// Training has come to an end that is none: a number is infinite or none at all.
    #[error("the {what} is {found} at step {step} (epoch {epoch}){}{}", given_up(*tried), kept(best.as_deref()))]
    NonFinite {
        /// Which number.
        what: Quantity,
        /// What it is.
        found: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The step, from 1, that was not taken.
        step: u64,
        /// What was tried before the run gave up.
        tried: Tried,
        /// The best model until then, if there is one.
        best: Option<PathBuf>,
    },
    /// A file is no checkpoint.
    #[error("`{}` is no checkpoint of a run: {reason}", path.display())]
    NoCheckpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A checkpoint was written by a program of another kind.
    #[error("`{}` is a checkpoint of version {found}, this program reads version {expected}", path.display())]
    CheckpointVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The version that is read.
        expected: &'static str,
    },
    /// There are checkpoints in the folder of a run, but all of them are damaged.
    #[error("no checkpoint in `{}` can be used", path.display())]
    NoGoodCheckpoint {
        /// The folder.
        path: PathBuf,
        /// What is wrong with the newest.
        #[source]
        newest: Box<TrainError>,
    },
    /// A run was to be resumed with a setting that it cannot change any more.
    #[error(
        "`{setting}` was {} and cannot become {} in a run under way",
        or_nothing(before),
        or_nothing(now)
    )]
    Fixed {
        /// The path of the setting, such as `model.hidden_size`.
        setting: String,
        /// What it was.
        before: String,
        /// What was asked for.
        now: String,
    },
    /// Dynamic evaluation has led to numbers that are infinite or none at all.
    #[error("the {what} is {found} after {tokens} tokens of dynamic evaluation")]
    Diverged {
        /// Which number.
        what: Quantity,
        /// What it is.
        found: f64,
        /// How many tokens had been predicted by then.
        tokens: u64,
    },
    /// The plan could not be written as TOML.
    #[error("could not write the plan as TOML")]
    PlanText(#[from] toml::ser::Error),
    /// A file or folder could not be made, read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// `read`, `create`, `replace`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What a run has tried against numbers that are not finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Nothing: it was to stop.
    Nothing,
    /// It has left out so many steps in a row.
    Skips(u64),
    /// It has gone back to a checkpoint so often.
    Rollbacks(usize),
}

fn given_up(tried: Tried) -> String {
    match tried {
        Tried::Nothing => String::new(),
        Tried::Skips(steps) => format!(", as in the {steps} steps before it"),
        Tried::Rollbacks(1) => ", after going back to a checkpoint once".to_owned(),
        Tried::Rollbacks(times) => format!(", after going back to a checkpoint {times} times"),
    }
}

fn or_nothing(value: &str) -> &str {
    if value.is_empty() { "nothing" } else { value }
}

/// Says where the best model is.
fn kept(best: Option<&std::path::Path>) -> String {
    match best {
        Some(path) => format!("; the best model until then is kept in `{}`", path.display()),
        None => "; no epoch had ended, so there is no model to keep".to_owned(),
    }
}

impl TrainError {
    /// The error of an operation on a file, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| TrainError::Io { action, path, source }
    }
}
