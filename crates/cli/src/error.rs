//! Errors: those of the command itself, and how all of them are printed.
//!
//! ```text
//! error: could not load model `runs/ptb/best.safetensors`     what was wanted
//!   cause: tensor `rnn.0.weight_hh` has shape …               why it failed, one line a step
//!    hint: …                                                  what to do, where that is sure
//! ```

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use rondo_data::{DataError, NAMED_CORPORA, Split};
use rondo_infer::InferError;
use rondo_kernels::DeviceError;
use rondo_nn::NnError;
use rondo_runs::RunsError;
use rondo_train::TrainError;

use crate::console;

/// What the command itself refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The corpus has no text of this kind.
    #[error("{corpus} has no {split} text")]
    NoSplit { corpus: String, split: Split },
    /// A split was asked for, but not of what.
    #[error("there is no `plan.toml` beside `{}` that says which corpus to take the {split} text of", model.display())]
    NoPlan { model: PathBuf, split: Split, flag: &'static str },
    /// Running text was to be read as words, but the model knows none.
    #[error("`{}` is a model of {tokens}: only texts for models of words can be cut as running text", model.display())]
    NotOfWords { model: PathBuf, tokens: String },
    /// The texts have nothing to evaluate.
    #[error("{origin} has {tokens} tokens, too few to evaluate: the first of a text is only read")]
    TooShort { origin: String, tokens: usize },
    /// More texts were asked for than a beam search finds.
    #[error("`--samples` is {samples}, but `--beam` finds no more than {beams}")]
    MoreThanBeams { samples: usize, beams: usize },
    /// A line of a list cannot be read.
    #[error("{origin}, line {line}: {reason}")]
    Line { origin: String, line: usize, reason: String },
    /// Something has ended a run before its time.
    #[error("the run in `{}` has stopped", folder.display())]
    Stopped { folder: PathBuf, step: Option<u64>, source: TrainError },
    /// A picture is wanted in a format that there is none of.
    #[error("cannot draw `{}`: pictures are written as SVG, in a file that ends in `.svg`", path.display())]
    PictureFormat { path: PathBuf },
    /// A table has no such column.
    #[error("no column is named `{name}`")]
    UnknownColumn { name: String, nearest: Option<String> },
    /// No setting has this name.
    #[error("`--group-by` needs the name of a setting, but is `{name}`")]
    UnknownKey { name: String, nearest: Option<String> },
    /// The runs of a group differ in the seed, so it cannot name groups.
    #[error("`--group-by` cannot be `seed`: a group consists of runs that differ only in their seeds")]
    GroupBySeed,
    /// There is nothing to take means of.
    #[error("none of {runs} runs is finished and has a perplexity, so there is nothing to group")]
    NoGroups { runs: usize },
}

/// Prints an error and says what to exit with.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if is_closed_pipe(error) {
        // Whoever reads our output has had enough, as `head` does: that is no failure.
        return ExitCode::SUCCESS;
    }
    console::error_text(&shown(&format!("error: {error}")));
    for cause in error.chain().skip(1) {
        console::error_text(&shown(&format!("  cause: {cause}")));
    }
    if let Some(hint) = error.chain().find_map(hint) {
        console::error_text(&format!("   hint: {hint}"));
    }
    ExitCode::from(if error.chain().any(is_wrong_usage) { 2 } else { 1 })
}

/// A message fit for a terminal: what it quotes from a file might move the cursor, or worse.
pub(crate) fn shown(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    for char in message.chars() {
        if char.is_control() && char != '\n' {
            shown.extend(char.escape_debug());
        } else {
            shown.push(char);
        }
    }
    shown
}

type Cause = dyn std::error::Error + 'static;

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Whether it is what the user wrote that is at fault, and not what was found in the world.
fn is_wrong_usage(cause: &Cause) -> bool {
    match cause.downcast_ref() {
        Some(
            TrainError::Settings { .. }
            | TrainError::UnknownRecipe { .. }
            | TrainError::UnknownBand { .. }
            | TrainError::UnknownWorkload { .. }
            | TrainError::Value { .. }
            | TrainError::OutOfRange { .. }
            | TrainError::NoEffect { .. }
            | TrainError::Fixed { .. }
            | TrainError::UnknownPreset { .. }
            | TrainError::OtherModel { .. }
            | TrainError::Model(NnError::Config { .. }),
        ) => return true,
        Some(TrainError::Data(error)) => return matches!(error, DataError::UnknownCorpus { .. }),
        Some(TrainError::Device(error)) => return is_unknown_device(error),
        _ => {}
    }
    let unusable_number = |error: &InferError| {
        matches!(
            error,
            InferError::Temperature { .. }
                | InferError::TopP { .. }
                | InferError::MinP { .. }
                | InferError::RepetitionPenalty { .. }
                | InferError::NotFinite { .. }
                | InferError::EmptyStopString
                | InferError::LengthPenalty { .. }
                | InferError::Theta { .. }
                | InferError::Lambda { .. }
                | InferError::ZeroSize { .. }
                | InferError::AllForbidden { .. }
                | InferError::EmptyPrefix
        )
    };
    matches!(cause.downcast_ref(), Some(DataError::UnknownCorpus { .. }))
        || cause.downcast_ref().is_some_and(is_unknown_device)
        || cause.downcast_ref().is_some_and(unusable_number)
        || matches!(
            cause.downcast_ref(),
            Some(
                CliError::NoPlan { .. }
                    | CliError::MoreThanBeams { .. }
                    | CliError::PictureFormat { .. }
                    | CliError::NotOfWords { .. }
                    | CliError::UnknownColumn { .. }
                    | CliError::UnknownKey { .. }
                    | CliError::GroupBySeed
            )
        )
}

fn is_unknown_device(error: &DeviceError) -> bool {
    matches!(error, DeviceError::UnknownInstructionSet { .. } | DeviceError::MissingInstructionSet { .. })
}

/// What the user can do, where that is sure.
fn hint(cause: &Cause) -> Option<String> {
    if let Some(error) = cause.downcast_ref() {
        return match error {
            CliError::NoPlan { flag: "--data", .. } => Some("`--data` names the corpus".to_owned()),
            CliError::NoPlan { flag, .. } => Some(format!("`{flag}` names a text to take instead")),
            CliError::PictureFormat { .. } => Some("`rsvg-convert` and browsers make PNG of SVG".to_owned()),
            CliError::Stopped { folder, step, .. } => {
                let folder = folder.display();
                let command = format!("`rondo train --resume --out {folder}`");
                Some(match step {
                    Some(step) => format!("once that is mended, {command} goes on from step {step}"),
                    None => format!("once that is mended, {command} begins again"),
                })
            }
            CliError::NotOfWords { .. } => {
                Some("without `--tokenizer` the text is read as the model's own".to_owned())
            }
            CliError::UnknownColumn { nearest: Some(nearest), .. }
            | CliError::UnknownKey { nearest: Some(nearest), .. } => {
                Some(format!("did you mean `{nearest}`?"))
            }
            CliError::UnknownColumn { nearest: None, .. } => {
                Some("`rondo runs --help` lists the columns".to_owned())
            }
            CliError::UnknownKey { nearest: None, .. } => {
                Some("`rondo train --help-all` lists the settings".to_owned())
            }
            CliError::GroupBySeed => Some("name the setting to compare, such as `cell`".to_owned()),
            CliError::NoGroups { .. } => {
                Some("`rondo runs` without `--group-by` shows their status".to_owned())
            }
            CliError::NoSplit { .. }
            | CliError::TooShort { .. }
            | CliError::MoreThanBeams { .. }
            | CliError::Line { .. } => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            TrainError::NonFinite { .. } => Some(
                "a lower `--learning-rate` or a `--clip-norm` keeps numbers finite; `--on-nan` says how to go on"
                    .to_owned(),
            ),
            TrainError::Fixed { .. } => {
                Some("`--plan` begins another run with this one's settings, and flags win over them".to_owned())
            }
            TrainError::NoGoodCheckpoint { .. } => Some(
                "without them the run begins anew; `--from` goes on training its best model in another folder"
                    .to_owned(),
            ),
            TrainError::CheckpointVersion { .. } => {
                Some("the version of rondo that wrote it is in `provenance.json`".to_owned())
            }
            TrainError::Diverged { what: "loss" | "gradient norm", .. } => Some(
                "a lower `--dynamic-learning-rate` or a `--dynamic-clip-norm` keeps numbers finite"
                    .to_owned(),
            ),
            TrainError::SamplePrefix { .. } => {
                Some("`--sample-prefix` sets the text that samples continue".to_owned())
            }
            TrainError::Runs(error) => hint_on_runs(error),
            TrainError::Data(error) => hint_on_data(error),
            TrainError::Infer(error) => hint_on_inference(error),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return hint_on_runs(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return hint_on_inference(error);
    }
    hint_on_data(cause.downcast_ref()?)
}

fn hint_on_inference(error: &InferError) -> Option<String> {
    let hint = match error {
        InferError::NoModel { .. } => "a run has one at the end of its first epoch",
        InferError::OtherVocabulary { .. }
        | InferError::VocabularySize { .. }
        | InferError::NoVocabulary(_) => "`--vocab` names the vocabulary that the model was trained with",
        InferError::Data(error) => return hint_on_data(error),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_on_runs(error: &RunsError) -> Option<String> {
    let hint = match error {
        RunsError::RunExists { .. } => {
            "`--resume` goes on with it; for another run, `--out` names another folder"
        }
        RunsError::NoRun { .. } => "a run is begun without `--resume`, and gone on with by it",
        RunsError::NoRuns { .. } => {
            "`rondo train` creates runs in the folder `runs`; the arguments name other folders"
        }
        RunsError::OtherCorpus { .. } => "`--data` says where the run's texts are",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_on_data(error: &DataError) -> Option<String> {
    let name = match error {
        DataError::UnknownToken { .. } => {
            return Some("`rondo train --from MODEL --extend-vocab` adds new tokens to a model's".to_owned());
        }
        DataError::InvalidUtf8 { .. } => {
            return Some(
                "`iconv` converts a text of another encoding; `--lossy` reads it with U+FFFD for what is no \
                 character"
                    .to_owned(),
            );
        }
        DataError::UnknownCorpus { name, .. } => name.clone(),
        DataError::Missing { path } => path.file_name()?.to_str()?.to_owned(),
        _ => return None,
    };
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&name, known);
    let known = NAMED_CORPORA.iter().map(|corpus| corpus.name).filter(|known| likeness(known) >= 0.5);
    let nearest = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    Some(format!("the nearest name of a corpus is `{nearest}`"))
}
