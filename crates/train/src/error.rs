//! Errors from reading settings, training, resuming and evaluating.

use std::path::PathBuf;

use rondo_collective::CollectiveError;
use rondo_data::{DataError, or_nearest};
use rondo_kernels::{AvailableMemory, Bytes};
use rondo_nn::NnError;

use crate::Quantity;
use crate::settings::ResetState;

/// A `Result` with [`TrainError`].
pub type Result<T> = std::result::Result<T, TrainError>;

/// Why a run could not be planned, started, recorded or resumed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// An approximate normalizer is to sum no fewer tokens than there are.
    #[error(
        "the vocabulary has {vocab_size} tokens, no more than the {frequent} that an approximate normalizer sums exactly"
    )]
    SmallVocabulary {
        /// The size of the vocabulary.
        vocab_size: usize,
        /// The number of tokens that are summed exactly.
        frequent: usize,
    },
    /// A model is to be trained further whose weights have been quantized.
    #[error("`{}` cannot be trained further: its weights are int8, for using the model only", path.display())]
    Quantized {
        /// The model file.
        path: PathBuf,
    },
    /// A settings file is not valid TOML, or contains an unknown key or an invalid value.
    #[error("`{origin}`, line {line}: {reason}")]
    Settings {
        /// The file, or the name of the embedded recipe.
        origin: String,
        /// The line of the error, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A value in a settings file is invalid, or does not go together with others.
    #[error("`{origin}`, line {line}: {error}")]
    InFile {
        /// The file, or the name of the embedded recipe.
        origin: String,
        /// The line of the setting, from 1.
        line: usize,
        /// What is wrong with it.
        error: Box<TrainError>,
    },
    /// A recipe has no `[recipe]` table.
    #[error("`{origin}` has no `[recipe]` table with the recipe's name and description")]
    NoIntroduction {
        /// The file, or the name of the embedded recipe.
        origin: String,
    },
    /// There is no recipe with this name.
    #[error("unknown recipe `{name}`, expected {}{}", listed(known), or_nearest(name, known.iter().copied()))]
    UnknownRecipe {
        /// The requested name.
        name: String,
        /// The names of all recipes.
        known: Vec<&'static str>,
    },
    /// A recipe is for texts of the user's, and none is given.
    #[error("the recipe `{name}` needs a text to train on")]
    RecipeNeedsText {
        /// The name of the recipe.
        name: String,
    },
    /// A recipe cannot be verified because it states no expected perplexities.
    #[error("the recipe `{name}` states no perplexities to verify")]
    NothingToVerify {
        /// The name of the recipe.
        name: String,
    },
    /// A run cannot be verified against a recipe because its settings differ from the recipe's.
    #[error("the run `{}` does not follow the recipe: `{setting}` is {}, but {} in the recipe", path.display(), or_unset(found), or_unset(expected))]
    OtherPlan {
        /// The folder of the run.
        path: PathBuf,
        /// The path of the first setting that differs.
        setting: String,
        /// Its value in the run; empty if unset.
        found: String,
        /// Its value in the recipe; empty if unset.
        expected: String,
    },
    /// A run cannot be compared or verified because it is not finished.
    #[error("the run `{}` is not finished: it has completed {epochs} of {wanted} epochs", path.display())]
    Unfinished {
        /// The folder of the run.
        path: PathBuf,
        /// The number of completed epochs.
        epochs: usize,
        /// The number of epochs in its plan.
        wanted: usize,
    },
    /// A value cannot be parsed as the type of its setting.
    #[error("invalid value `{text}` for `{setting}`: {reason}")]
    Value {
        /// The path of the setting, such as `model.cell`.
        setting: String,
        /// The text that was given.
        text: String,
        /// What was expected.
        reason: String,
    },
    /// The value of a setting is out of range.
    #[error("`{setting}` must be {expected}, but is {found}")]
    OutOfRange {
        /// The path of the setting, such as `training.batch_size`.
        setting: &'static str,
        /// Its value.
        found: String,
        /// The allowed values, to complete "must be …".
        expected: &'static str,
    },
    /// A run does not fit in memory.
    #[error("the run needs about {} of memory, but only {} can be used ({}): reduce {reduce}", Bytes(*needed), Bytes(available.bytes), available.limit)]
    NotEnoughMemory {
        /// The bytes that the run needs.
        needed: u64,
        /// The bytes that can be allocated.
        available: AvailableMemory,
        /// The settings to reduce.
        reduce: &'static str,
    },
    /// A setting was given that has no effect in combination with the other settings.
    #[error("`{setting}` has no effect unless {condition}")]
    NoEffect {
        /// The path of the setting, such as `optimization.momentum`.
        setting: &'static str,
        /// The condition under which it has an effect.
        condition: &'static str,
    },
    /// The state is to be reset before each line, but the texts have no line ends.
    #[error("`training.reset_state` is `{reset_state}`, but the vocabulary has no line end")]
    NoLineEnds {
        /// The setting.
        reset_state: ResetState,
    },
    /// The corpus of a run was in the memory of the program that trained, and has not been passed.
    #[error("the corpus of the run was in memory and cannot be read again: pass it again, or give a text")]
    NotInMemory,
    /// A corpus in memory does not have the tokenizer and vocabulary of the model to continue from.
    #[error("the corpus in memory has another tokenizer or vocabulary than the model to continue from")]
    OtherCodec,
    /// The state is to be reset before each line, but the model cannot do that.
    #[error("the model cannot be trained on independent lines: it does not implement `Model::can_reset`")]
    CannotReset,
    /// There is no model preset with this name.
    #[error("unknown preset `{name}`, expected {}{}", listed(known), or_nearest(name, known.iter().copied()))]
    UnknownPreset {
        /// The requested name.
        name: String,
        /// The names of all presets.
        known: Vec<&'static str>,
    },
    /// There is no workload with this name.
    #[error("unknown workload `{name}`, expected {}", listed(known))]
    UnknownWorkload {
        /// The requested name.
        name: String,
        /// The names of all workloads.
        known: Vec<&'static str>,
    },
    /// A setting contradicts the model to continue from.
    #[error("`{setting}` is `{found}`, but the model to continue from has `{expected}`")]
    OtherModel {
        /// The path of the setting, such as `model.hidden_size`.
        setting: &'static str,
        /// Its value in the settings.
        found: String,
        /// Its value in the model.
        expected: String,
    },
    /// The prefix of a sample cannot be encoded with the model's vocabulary.
    #[error("cannot generate a sample from the prefix `{prefix}`")]
    SamplePrefix {
        /// The prefix in the settings.
        prefix: String,
        /// Why it cannot be encoded.
        source: DataError,
    },
    /// The requested device is not available.
    #[error(transparent)]
    Device(#[from] rondo_kernels::DeviceError),
    /// The model's configuration is invalid, or a model or tensor file cannot be used.
    #[error(transparent)]
    Model(#[from] NnError),
    /// The processes that train together cannot communicate.
    #[error(transparent)]
    Collective(#[from] CollectiveError),
    /// The devices of the processes that train together differ.
    #[error(
        "the processes that train together compute with {first} and with {other}: set `RONDO_CPU`, `training.device` and `training.precision` to what all of them have"
    )]
    DifferentDevices {
        /// The device of the first process.
        first: String,
        /// Another device.
        other: String,
    },
    /// A text can be read by one process only.
    #[error("`{}` can be read by one process only: save the text to a file that all processes can read", path.display())]
    NotShared {
        /// Stdin or a named pipe.
        path: PathBuf,
    },
    /// A batch has fewer columns than it is to be divided into.
    #[error(
        "a batch of {batch_size} sequences cannot be divided among {processes} processes in {accumulate} parts each: increase `training.batch_size`, or reduce `training.accumulate` or the number of processes"
    )]
    TooManyParts {
        /// The batch size.
        batch_size: usize,
        /// The number of processes.
        processes: usize,
        /// The number of parts of each process's columns.
        accumulate: usize,
    },
    /// A text cannot be read, or is too short for the plan.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A file in a run's folder cannot be used.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
    /// A model cannot be evaluated or sampled from.
    #[error(transparent)]
    Infer(#[from] rondo_infer::InferError),
    /// Training stopped because a value became NaN or infinite.
    #[error("the {what} became {found} at step {step} (epoch {epoch}){}{}", given_up(*tried), kept(best.as_deref()))]
    NonFinite {
        /// Which value.
        what: Quantity,
        /// Its value.
        found: f64,
        /// The epoch, from 1.
        epoch: usize,
        /// The number, from 1, of the step that was not taken; for the loss on a text, the number of steps before.
        step: u64,
        /// What was tried before the run stopped.
        tried: Tried,
        /// The file of the best model so far, if there is one.
        best: Option<PathBuf>,
    },
    /// The run has ended, and no evaluation gave a finite loss.
    #[error(
        "none of the {epochs} epochs had a finite loss on the {text} text, so no model was saved as the best"
    )]
    NoUsableModel {
        /// The number of epochs.
        epochs: usize,
        /// `validation` or `test`: the text that was evaluated.
        text: &'static str,
    },
    /// A file is not a usable checkpoint, or a folder contains none.
    #[error("no usable checkpoint in `{}`: {reason}", path.display())]
    NoCheckpoint {
        /// The file or folder.
        path: PathBuf,
        /// Why the checkpoint cannot be used.
        reason: String,
    },
    /// A checkpoint has a format version that this program does not read.
    #[error("`{}` has checkpoint format version {found}, but this program reads version {expected}", path.display())]
    CheckpointVersion {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: String,
        /// The version that this program reads.
        expected: &'static str,
    },
    /// All checkpoints in the folder of a run are damaged.
    #[error("all checkpoints in `{}` are damaged", path.display())]
    NoGoodCheckpoint {
        /// The folder.
        path: PathBuf,
        /// The error of the newest checkpoint.
        #[source]
        newest: Box<TrainError>,
    },
    /// A setting cannot be changed when a run is resumed.
    #[error("cannot change `{setting}` from {} to {} when resuming a run", or_unset(before), or_unset(now))]
    Fixed {
        /// The folder of the run.
        run: PathBuf,
        /// The path of the setting, such as `model.hidden_size`.
        setting: String,
        /// Its value in the run; empty if unset.
        before: String,
        /// The requested value; empty if unset.
        now: String,
    },
    /// A run cannot be resumed with fewer epochs than it already has.
    #[error("cannot reduce `training.epochs` to {wanted}: the run has already {}", progress_of(*fewest, *has_begun))]
    FewerEpochs {
        /// The folder of the run.
        run: PathBuf,
        /// The requested number of epochs.
        wanted: usize,
        /// The number of epochs that the run already has, including one that has begun.
        fewest: usize,
        /// Whether the last of them has begun but is not completed.
        has_begun: bool,
    },
    /// A run whose learning rate decays over its whole length cannot be resumed with another length.
    #[error(
        "cannot change `{setting}` from {before} to {now} when resuming a run: its learning rate decays over the whole run"
    )]
    FixedLength {
        /// The folder of the run.
        run: PathBuf,
        /// The path of the setting: `training.epochs` or `training.max_steps`.
        setting: &'static str,
        /// Its number of epochs or steps.
        before: u64,
        /// The requested number.
        now: u64,
    },
    /// A run cannot be resumed with `reload_best`, because its best weights are not available.
    #[error("cannot turn on `optimization.reload_best`: the weights of the best epoch, {epoch}, are not in `{}`", path.display())]
    NoBestWeights {
        /// The file of the best model.
        path: PathBuf,
        /// The best epoch so far.
        epoch: usize,
    },
    /// A run cannot be verified against a recipe because a setting was changed while it was trained.
    #[error("the run `{}` does not follow the recipe: `{setting}` was changed at step {step}", path.display())]
    ChangedPlan {
        /// The folder of the run.
        path: PathBuf,
        /// The path of the setting.
        setting: String,
        /// The number of steps before the change.
        step: u64,
    },
    /// A value became NaN or infinite during dynamic evaluation, or all gradients are zero.
    #[error("the {what} is {found} after {tokens} tokens of dynamic evaluation")]
    Diverged {
        /// Which value.
        what: Quantity,
        /// Its value.
        found: f64,
        /// The number of tokens processed so far.
        tokens: u64,
    },
    /// The plan cannot be written as TOML.
    #[error("could not write the plan as TOML")]
    PlanText(#[from] toml::ser::Error),
    /// A file or folder could not be created, read or written.
    #[error("could not {action} `{}`", path.display())]
    Io {
        /// `read`, `create`, `replace`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error from the operating system.
        source: std::io::Error,
    },
    /// No band of the recipe has this name.
    #[error("the recipe `{recipe}` has no band `{name}`{}", bands(known))]
    UnknownBand {
        /// The name of the recipe.
        recipe: String,
        /// The name that was asked for.
        name: String,
        /// The names of its bands.
        known: Vec<String>,
    },
}

/// The names as listed in a message: a single name, or `one of …`.
pub(crate) fn listed(names: &[&str]) -> String {
    match names {
        [name] => format!("`{name}`"),
        names => format!("one of `{}`", names.join("`, `")),
    }
}

/// Says which names of bands there are.
fn bands(known: &[String]) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    if known.is_empty() {
        ": its bands have no names".to_owned()
    } else {
        format!(", expected {}", listed(&known))
    }
}

/// What a run tried after a value became NaN or infinite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// Nothing: the plan says to stop.
    Nothing,
    /// It skipped this many steps in a row.
    Skips(u64),
    /// It rolled back to a checkpoint this many times.
    Rollbacks(usize),
}

fn given_up(tried: Tried) -> String {
    match tried {
        Tried::Nothing => String::new(),
        Tried::Skips(steps) => format!(", after {steps} skipped steps in a row"),
        Tried::Rollbacks(1) => ", after one rollback to a checkpoint".to_owned(),
        Tried::Rollbacks(times) => format!(", after {times} rollbacks to a checkpoint"),
    }
}

/// Says how far a run is.
fn progress_of(epochs: usize, has_begun: bool) -> String {
    match (epochs, has_begun) {
        (epoch, true) => format!("begun epoch {epoch}"),
        (1, false) => "completed one epoch".to_owned(),
        (epochs, false) => format!("completed {epochs} epochs"),
    }
}

/// The value in backticks, or `unset` if it is empty.
pub(crate) fn or_unset(value: &str) -> String {
    if value.is_empty() { "unset".to_owned() } else { format!("`{value}`") }
}

/// Says where the best model is.
fn kept(best: Option<&std::path::Path>) -> String {
    match best {
        Some(path) => format!("; the best model so far is saved in `{}`", path.display()),
        None => "; no usable model was saved".to_owned(),
    }
}

impl TrainError {
    /// The path of the setting that is at fault, such as `model.hidden_size`, if it is a single one.
    pub(crate) fn setting(&self) -> Option<String> {
        match self {
            TrainError::OutOfRange { setting, .. }
            | TrainError::NoEffect { setting, .. }
            | TrainError::OtherModel { setting, .. } => Some((*setting).to_owned()),
            TrainError::UnknownPreset { .. } => Some("model.preset".to_owned()),
            TrainError::Data(DataError::UnknownCorpus { .. }) => Some("text.corpus".to_owned()),
            TrainError::Model(NnError::Config { field, .. }) => Some(format!("model.{field}")),
            _ => None,
        }
    }

    /// Makes the error of a file operation, for `map_err`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| TrainError::Io { action, path, source }
    }
}
