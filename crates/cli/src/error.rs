//! Errors: those of the command itself, and how all of them are printed.
//!
//! ```text
//! error: could not load model `runs/ptb/best.safetensors`     what was wanted
//!   cause: tensor `rnn.0.weight_hh` has shape …               why it failed, one line per step
//!    hint: …                                                  what to do, where that is sure
//! ```
//!
//! This is one file so that the texts of all errors and their hints can be read side by side. Not here: exit codes
//! (`exit`).

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rondo_convert::ConvertError;
use rondo_data::{DataError, NAMED_CORPORA, Split, nearest};
use rondo_infer::InferError;
use rondo_infer::lattice::LatticeFault;
use rondo_infer::rescore::LineFault;
use rondo_nn::NnError;
use rondo_runs::{Compact, RunsError};
use rondo_serve::ServeError;
use rondo_train::settings::Field;
use rondo_train::{Quantity, TrainError};

use crate::console;
use crate::describe::in_shell;
use crate::exit::{Cause, Failure};
use crate::output;
use crate::terminal::shown;

/// What the command itself refuses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// Several processes were started for a command that one process runs.
    #[error("`rondo {name}` runs in one process, but {size} have been started")]
    NotDivided { name: &'static str, size: usize },
    /// The weight of a word is no number.
    #[error("`{found}` is no weight: a line is a word, a tab and a number above 0")]
    NoWeight { found: String },
    /// An option cannot be divided among processes.
    #[error("`{flag}` works in one process only, but several have been started")]
    FlagNotDivided { flag: &'static str },
    /// A build without MPI was started by `mpirun`.
    #[cfg(not(feature = "mpi"))]
    #[error(
        "this build of Rondo does not support MPI, so the processes that `mpirun` starts cannot work together"
    )]
    NoMpi,
    /// The corpus has no text of this kind.
    #[error("{corpus} has no {split} text")]
    NoSplit { corpus: String, split: Split },
    /// A split was asked for, but not of what.
    #[error("there is no `plan.toml` next to `{}` to say which corpus the {split} text is from", model.display())]
    NoPlan { model: PathBuf, split: Split, flag: &'static str },
    /// Running text was to be read as words, but the model knows none.
    #[error("`{}` is a model of {tokens}: only texts for models of words can be tokenized as running text", model.display())]
    NotOfWords { model: PathBuf, tokens: String },
    /// The texts have nothing to evaluate.
    #[error("{origin} has {tokens} tokens, too few to evaluate: the first token is only context")]
    TooShort { origin: String, tokens: usize },
    /// More texts were asked for than a beam search finds.
    #[error("`--samples` is {samples}, but `--beam` finds at most {beams}")]
    MoreThanBeams { samples: usize, beams: usize },
    /// A model has its own vocabulary.
    #[error("`--vocab-size` is for presets only: the model in `{}` has its own vocabulary", model.display())]
    VocabSizeOfModel { model: PathBuf },
    /// A table of items, but not in which column the texts are.
    #[error("`{origin}` is a table, but `--text-column` does not say which column contains the text")]
    NoTextColumn { origin: String, known: Vec<String> },
    /// A bucket is to be written to a file that is being filtered.
    #[error("the bucket `{}` would replace a text that is read: `--out` must be another prefix", path.display())]
    OverInput { path: PathBuf },
    /// A file to write exists already.
    #[cfg(feature = "tokenizers")]
    #[error("`{}` already exists", path.display())]
    Exists { path: PathBuf },
    /// Other machines could use the server without a key.
    #[error("the address {host} can be reached from other machines, so clients need API keys")]
    NoKeys { host: std::net::IpAddr },
    /// A file of keys has none.
    #[error("`{}` contains no API key", file.display())]
    EmptyKeyFile { file: PathBuf },
    /// A preset is to be written like a model.
    #[error("the preset `{preset}` has no weights to write: it is only the sizes of a model")]
    NoWeights { preset: &'static str },
    /// A model is to be replaced by itself in another format.
    #[error("`{}` would be replaced by itself with other weights: `--out` must be another file", path.display())]
    OverItself { path: PathBuf },
    /// Buckets are asked for, and something about them is not said.
    #[error("`--buckets` does not say {what}: `{flags}` does")]
    BucketsWithout { what: &'static str, flags: &'static str },
    /// A line to filter is not a record with the field.
    #[error("line {line} of `{origin}` {reason}")]
    FilterRecord { origin: String, line: u64, reason: String },
    /// A text has bytes that are no text.
    #[error("line {line} of `{origin}` is not UTF-8 text, or has a NUL byte")]
    NotText { origin: String, line: u64 },
    /// The items of a document are not together.
    #[error(
        "line {line} of `{origin}` continues the document `{document}`, but other documents came in between"
    )]
    DividedDocument { origin: String, line: u64, document: String },
    /// The files of items have different columns.
    #[error(
        "`{origin}` has other columns than the file before it: {}, not {}",
        all_of(found),
        all_of(expected)
    )]
    OtherColumns { origin: String, found: Vec<String>, expected: Vec<String> },
    /// Stdout cannot be written: it is closed, or its disk is full.
    #[error("could not write to stdout")]
    Stdout { source: std::io::Error },
    /// A file of results cannot be written.
    #[error("could not write `{}`", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// A flag names a token that is not in the vocabulary.
    #[error("`{flag}`: the model's vocabulary has no token `{token}`")]
    UnknownToken { flag: &'static str, token: String, nearest: Option<String> },
    /// A bias of a token cannot be read.
    #[error("`--logit-bias` must be a token and a number, such as `the:-2.5`, but is `{text}`")]
    LogitBias { text: String },
    /// Texts are to end with their line, but the model has no line end.
    #[error("`{flag}` needs a line end, but the model's vocabulary has none")]
    NoLineEnd { flag: &'static str },
    /// A weight is given for a score that the list does not have.
    #[error("no score of the list is named `{name}`; it has {}", all_of(known))]
    UnknownScore { name: String, known: Vec<String>, nearest: Option<String> },
    /// Lists of several files would be printed without their ids.
    #[error("the lines of {files} lists of SRILM have no ids: printed together, they cannot be told apart")]
    ListsWithoutIds { files: usize },
    /// A flag has no meaning for the format that is read.
    #[error("`{flag}` is for {formats}")]
    FlagOfFormat { flag: &'static str, formats: &'static str },
    /// The value of a flag is out of its range.
    #[error("`{flag}` must be {expected}")]
    FlagValue { flag: &'static str, expected: &'static str },
    /// A character of a line is not in the vocabulary.
    #[error(
        "{origin}, line {line}: `{}` is not in the model's vocabulary, which has no unknown token",
        shown(token)
    )]
    MissingToken { origin: String, line: u64, token: String },
    /// Something has ended a run before its time.
    #[error("the run in `{}` has stopped", folder.display())]
    Stopped { folder: PathBuf, step: Option<u64>, source: Box<TrainError> },
    /// The loss or the gradient of a run is not finite.
    #[error("the run in `{}` has diverged{}", folder.display(), at_checkpoint(checkpoint.as_ref()))]
    Diverged {
        folder: PathBuf,
        /// Its last checkpoint, and the number of steps there.
        checkpoint: Option<(PathBuf, u64)>,
        /// The learning rate to try next, and its present value.
        learning_rate: f64,
        present: f64,
        /// The present maximum of the gradient norm.
        clip_norm: Option<f64>,
        source: Box<TrainError>,
    },
    /// A picture is wanted in a format that there is none of.
    #[error("cannot draw `{}`: plots are written as SVG, to a file that ends in `.svg`", path.display())]
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

/// Names in backticks.
fn all_of(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => format!("`{one}`"),
        [names @ .., last] => format!("`{}` and `{last}`", names.join("`, `")),
    }
}

/// Says which checkpoint there is.
fn at_checkpoint(checkpoint: Option<&(PathBuf, u64)>) -> String {
    match checkpoint {
        Some((path, step)) => format!("; its last checkpoint is `{}`, step {step}", path.display()),
        None => "; it has no checkpoint".to_owned(),
    }
}

/// Prints an error and says what to exit with.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if output::is_closed_pipe(error) {
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
    Failure::of(error).into()
}

/// What the user can do, where that is sure.
fn hint(cause: &Cause) -> Option<String> {
    if let Some(error) = cause.downcast_ref() {
        return match error {
            ServeError::DuplicateName(_) => Some("`NAME=PATH` gives a model another name".to_owned()),
            ServeError::Listen { .. } => Some("`--port` names another port; 0 is any free one".to_owned()),
            _ => None,
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            CliError::NotDivided { .. } => {
                Some("start it without `mpirun`; `train`, `eval` and `score` run in several processes".to_owned())
            }
            CliError::FlagNotDivided { flag: "-" } => {
                Some("save the text to a file that all processes can read".to_owned())
            }
            CliError::FlagNotDivided { .. } => Some("start the command without `mpirun`".to_owned()),
            #[cfg(not(feature = "mpi"))]
            CliError::NoMpi => Some(
                "`cargo install --locked --path crates/cli --features mpi` builds one that does, with the MPI library \
                 and libclang"
                    .to_owned(),
            ),
            CliError::NoPlan { flag, .. } => Some(format!("`{flag}` names the text to read")),
            CliError::PictureFormat { .. } => {
                Some("`rsvg-convert` or a browser converts SVG to PNG".to_owned())
            }
            CliError::Stopped { folder, step, .. } => {
                let folder = folder.display();
                let command = format!("`rondo train --resume --out {folder}`");
                Some(match step {
                    Some(step) => format!("after fixing this, {command} resumes from step {step}"),
                    None => format!("after fixing this, {command} starts from the beginning"),
                })
            }
            CliError::Diverged { folder, learning_rate, present, clip_norm, .. } => {
                let folder = in_shell(&folder.display().to_string());
                let clip = match clip_norm {
                    Some(norm) => format!("a `--clip-norm` below {norm}"),
                    None => "gradient clipping (`--clip-norm`)".to_owned(),
                };
                let [learning_rate, present] = [*learning_rate, *present].map(Compact);
                Some(format!(
                    "`rondo train --plan {folder} --learning-rate {learning_rate}` starts again with a lower learning \
                     rate than {present}; {clip} or smaller initial weights (`--init-recurrent`) can also help"
                ))
            }
            CliError::NotOfWords { .. } => {
                Some("without `--tokenizer`, the text is read with the model's own tokenizer".to_owned())
            }
            CliError::UnknownColumn { nearest: Some(nearest), .. }
            | CliError::UnknownToken { nearest: Some(nearest), .. }
            | CliError::UnknownScore { nearest: Some(nearest), .. }
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
            CliError::NoTextColumn { known, .. } => Some(match known.as_slice() {
                [] => "its records have no fields".to_owned(),
                known => format!("its columns are {}", all_of(known)),
            }),
            CliError::NotText { .. } => Some(
                "`--lossy` reads invalid bytes as U+FFFD; `iconv` converts a text from another encoding"
                    .to_owned(),
            ),
            #[cfg(feature = "tokenizers")]
            CliError::Exists { .. } => Some("`--out` names another file".to_owned()),
            CliError::DividedDocument { .. } => Some("sort the items by document".to_owned()),
            CliError::OtherColumns { .. } => {
                Some("a table of surprisals has one header: make a table of each file".to_owned())
            }
            CliError::NoKeys { .. } | CliError::EmptyKeyFile { .. } => Some(
                "`--api-key-file FILE` has one key per line; `RONDO_API_KEYS` has them separated by commas"
                    .to_owned(),
            ),
            CliError::FilterRecord { .. }
            | CliError::BucketsWithout { .. }
            | CliError::NoWeights { .. }
            | CliError::OverItself { .. }
            | CliError::OverInput { .. }
            | CliError::Write { .. }
            | CliError::NoSplit { .. }
            | CliError::Stdout { .. }
            | CliError::TooShort { .. }
            | CliError::MoreThanBeams { .. }
            | CliError::VocabSizeOfModel { .. }
            | CliError::UnknownToken { nearest: None, .. }
            | CliError::LogitBias { .. }
            | CliError::NoLineEnd { .. }
            | CliError::FlagValue { .. }
            | CliError::NoWeight { .. }
            | CliError::UnknownScore { nearest: None, .. } => None,
            CliError::ListsWithoutIds { .. } => {
                Some("`--best` and `--json` print ids; without them, give one list at a time".to_owned())
            }
            CliError::FlagOfFormat { .. } => Some("`--format` names the format".to_owned()),
            CliError::MissingToken { .. } => Some(
                "without `--strict`, such a line has probability 0, and the others are scored".to_owned(),
            ),
        };
    }
    if let Some(error) = cause.downcast_ref() {
        return match error {
            TrainError::NonFinite { .. } => Some(
                "a lower `--learning-rate` or `--clip-norm` can keep values finite; `--on-nan` sets how to continue"
                    .to_owned(),
            ),
            TrainError::Fixed { run, setting, now, .. } => Some(instead_of_changing(run, setting, now)),
            TrainError::FewerEpochs { run, wanted, fewest, .. } => {
                let run = in_shell(&run.display().to_string());
                Some(format!(
                    "the fewest is `--epochs {fewest}`; `rondo train --plan {run} --epochs {wanted}` starts a new \
                     run with fewer epochs"
                ))
            }
            TrainError::FixedLength { run, setting, now, .. } => {
                let flag = Field::find(setting).map(Field::flag).unwrap_or_default();
                let run = in_shell(&run.display().to_string());
                Some(format!(
                    "with `--schedule constant` the run continues at its current rate; `rondo train --from {run} --{flag} \
                     {now}` trains its best model further in a new run"
                ))
            }
            TrainError::Quantized { .. } => Some(
                "`--from` takes the model that it was made from; `rondo quantize` then quantizes the result"
                    .to_owned(),
            ),
            TrainError::RecipeNeedsText { .. } => Some("`--data` names it".to_owned()),
            TrainError::NoBestWeights { .. } => {
                Some("resume the run without `--reload-best` until an epoch is the best so far".to_owned())
            }
            TrainError::NoGoodCheckpoint { .. } => Some(
                "if they are removed, the run starts from the beginning; `--from` continues training its best model in \
                 another folder"
                    .to_owned(),
            ),
            TrainError::CheckpointVersion { .. } => {
                Some("`provenance.json` names the version of rondo that wrote it".to_owned())
            }
            TrainError::Diverged { what: Quantity::Loss | Quantity::GradientNorm, .. } => Some(
                "a lower `--dynamic-learning-rate` or a `--dynamic-clip-norm` can keep values finite"
                    .to_owned(),
            ),
            TrainError::SamplePrefix { .. } => {
                Some("`--sample-prefix` sets the text that samples start with".to_owned())
            }
            TrainError::InFile { error, .. } => hint(error.as_ref()),
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
    if let Some(error) = cause.downcast_ref() {
        return hint_on_conversion(error);
    }
    if let Some(error) = cause.downcast_ref() {
        return hint_on_model_file(error);
    }
    hint_on_data(cause.downcast_ref()?)
}

/// How to get what a changed setting of a resumed run would give.
fn instead_of_changing(run: &Path, setting: &str, now: &str) -> String {
    let run = in_shell(&run.display().to_string());
    let flag = Field::find(setting).map_or_else(|| setting.to_owned(), Field::flag);
    let value = now.split(' ').map(in_shell).collect::<Vec<_>>().join(" ");
    let section = setting.split('.').next().unwrap_or_default();
    match (setting, section) {
        ("training.from", _) => {
            format!(
                "without `--resume`, `rondo train --from {value}` starts a new run with the weights of that model"
            )
        }
        // The weights have the shape of the model, belong to the entries of the vocabulary, and are initialized already.
        (_, "model" | "text" | "init") => format!(
            "the trained weights do not fit; `rondo train --plan {run} --{flag} {value}` starts a new run with the \
             other settings of this one, from random weights"
        ),
        _ => format!(
            "`rondo train --from {run} --{flag} {value}` starts a new run with the best weights of this one and its \
             other settings"
        ),
    }
}

fn hint_on_inference(error: &InferError) -> Option<String> {
    let hint = match error {
        InferError::ListLine { fault: LineFault::UnknownFormat, .. } => {
            "`--format` names the format of a list that cannot be recognized by its first line"
        }
        InferError::Lattice { fault: LatticeFault::TooLarge { .. }, .. } => {
            "leave out `--exact`: merged and limited histories are hardly ever worse"
        }
        InferError::LatticeLine { fault: LatticeFault::NoWords { .. }, .. } => {
            "`--words` names the table of the words and their numbers"
        }
        InferError::DifferentTokens { what, .. } if *what != "an ensemble" => {
            "`--by word` and `--by character` compare models with different tokens"
        }
        InferError::NeedsDistribution { .. } => {
            "leave out `--approximate`; `rondo surprisal --by token` and `--by character`, and whole sentences, do not need it"
        }
        InferError::NoNormalizer { .. } => {
            "`rondo normalizer fit MODEL` fits one; without `--approximate`, probabilities are exact"
        }
        InferError::PairColumns { .. } => {
            "`sentence_good` and `sentence_bad` name the columns in the first line of the file"
        }
        InferError::NoModel { .. } => "a run saves its first model at the end of its first epoch",
        InferError::OtherVocabulary { .. }
        | InferError::VocabularySize { .. }
        | InferError::NoVocabulary(_) => "`--vocab` names the vocabulary that the model was trained with",
        InferError::EmptyPrefix => "`--prefix TEXT` gives the model a text to continue",
        InferError::NonFiniteLogits => {
            "train it again with a lower `--learning-rate`, stronger clipping (`--clip-norm`) or smaller initial weights"
        }
        InferError::Data(error) => return hint_on_data(error),
        InferError::Model(error) => return hint_on_model_file(error),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_on_model_file(error: &NnError) -> Option<String> {
    let hint = match error {
        NnError::Format { .. } => {
            "if the file is incomplete, copy or download it again; `rondo convert` reads models of other programs"
        }
        NnError::Damaged { .. } => "copy or download the file again",
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_on_runs(error: &RunsError) -> Option<String> {
    let hint = match error {
        RunsError::RunExists { .. } => {
            "`--resume` continues it; for another run, `--out` names another folder"
        }
        RunsError::NoRun { .. } => "a new run is started without `--resume`, which continues a run",
        RunsError::NoRuns { .. } => {
            "`rondo train` creates runs in the folder `runs`; the arguments name other folders"
        }
        RunsError::OtherCorpus { .. } => {
            "`--data` sets where the run's texts are; to train its model on another text, `rondo train --from RUN \
             --data TEXT` starts a new run"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_on_conversion(error: &ConvertError) -> Option<String> {
    let hint = match error {
        ConvertError::BeforeTorch16 { path } => {
            let path = path.display();
            return Some(format!(
                "PyTorch saves it in the new format: python3 -c \"import torch; torch.save(torch.load('{path}', \
                 map_location='cpu', weights_only=False), 'new.pt')\""
            ));
        }
        ConvertError::TorchScript { .. } => {
            "save the weights alone: `torch.save(model.state_dict(), 'model.pt')`"
        }
        ConvertError::Nonlinearity { .. } => "`--cell rnn_tanh` or `--cell rnn_relu` says which",
        ConvertError::NoVocabulary { .. } => {
            "`--vocab-list FILE` names a list of its tokens, `--vocab-from-corpus DIR` the texts that it was trained on"
        }
        ConvertError::NoTokenizer { .. } => {
            "`--tokenizer` says how: words, moses, chars or bytes, or the file of a tokenizer"
        }
        ConvertError::OwnVocabulary { .. } => "omit `--vocab-list` and `--vocab-from-corpus`",
        ConvertError::VocabularySize { .. } => {
            "the vocabulary must be that of the model, with its special tokens"
        }
        ConvertError::Exists { .. } => "`--out` names another folder",
        ConvertError::AlreadyConverted { .. } => {
            "`--to pytorch` or `--to onnx` writes it for other programs; every command opens it as it is"
        }
        ConvertError::Data(error) => return hint_on_data(error),
        ConvertError::Runs(error) => return hint_on_runs(error),
        ConvertError::Infer(error) => return hint_on_inference(error),
        _ => return None,
    };
    Some(hint.to_owned())
}

fn hint_on_data(error: &DataError) -> Option<String> {
    let name = match error {
        DataError::UnknownToken { .. } => {
            return Some(
                "`rondo train --from MODEL --extend-vocab` adds new tokens to a model's vocabulary"
                    .to_owned(),
            );
        }
        DataError::InvalidUtf8 { .. } => {
            return Some(
                "`iconv` converts a text from another encoding; `--lossy` reads invalid bytes as U+FFFD"
                    .to_owned(),
            );
        }
        DataError::Compressed { origin, command, .. } => {
            let origin = in_shell(origin);
            return Some(format!("`{command} {origin} | rondo …` passes the text on, with `-` as the file"));
        }
        DataError::JsonArray { origin } => {
            let origin = in_shell(origin);
            return Some(format!("`jq -c '.[]' {origin} > texts.jsonl` writes one object per line"));
        }
        DataError::ListedWord { .. } => {
            return Some("a word list has one word per line, without counts or spaces".to_owned());
        }
        DataError::Quotes { .. } => {
            return Some(
                "within a quoted field, quotes are doubled; `--quoting none` reads them as part of the text"
                    .to_owned(),
            );
        }
        DataError::SameText { .. } => return Some("remove or rename one of the two files".to_owned()),
        DataError::AmbiguousSplit { .. } => {
            return Some("`--train`, `--valid` and `--test` name the files of each split".to_owned());
        }
        DataError::NoTrainingText { .. } => {
            return Some("`--train FILE` names the training text".to_owned());
        }
        DataError::TokenizerFile { .. } => {
            return Some(
                "it must be a `tokenizer.json` of Hugging Face, or a `.model` of SentencePiece; `rondo tokenizer train` \
                 makes one"
                    .to_owned(),
            );
        }
        DataError::NoTokenizers { .. } => {
            return Some(
                "`cargo install --locked --path crates/cli --features tokenizers` builds a command that has them"
                    .to_owned(),
            );
        }
        DataError::Missing { path } => path.file_name()?.to_str()?,
        _ => return None,
    };
    let nearest = nearest(name, NAMED_CORPORA.iter().map(|corpus| corpus.name))?;
    Some(if nearest == name {
        format!(
            "`{name}` is also the name of a corpus, which is read alone: `--data {name}` without other texts"
        )
    } else {
        format!("the nearest corpus name is `{nearest}`")
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use rondo_data::DataError;
    use rondo_train::{Plan, Settings, Tried};

    use super::*;

    /// Fails unless the error, as it is and with a context, has a hint that begins like this; none if it is empty.
    #[track_caller]
    fn check<E: std::error::Error + Send + Sync + 'static>(expected: &str, error: impl Fn() -> E) {
        let plain = anyhow::Error::new(error());
        for error in [plain, anyhow::Error::new(error()).context("could not do it")] {
            let hint = error.chain().find_map(hint).unwrap_or_default();
            assert!(hint.starts_with(expected) && hint.is_empty() == expected.is_empty(), "{hint:?}");
        }
    }

    fn unknown_token() -> DataError {
        let codec = rondo_data::TextCodec::new(
            rondo_data::Tokenizer::words(),
            rondo_data::Vocab::from_tokens("test", ["a"], None).unwrap(),
        );
        codec.prompt("b").unwrap_err()
    }

    #[test]
    fn errors_of_the_command_have_their_hints() {
        let (model, split) = (PathBuf::from("m"), Split::Valid);
        for flag in ["--data", "--tune-on"] {
            let expected = format!("`{flag}` names the text");
            check(&expected, || CliError::NoPlan { model: model.clone(), split, flag });
        }
        check("without `--tokenizer`", || CliError::NotOfWords {
            model: model.clone(),
            tokens: String::new(),
        });
        check("`rsvg-convert`", || CliError::PictureFormat { path: model.clone() });
        check("", || CliError::NoSplit { corpus: String::new(), split });
        let stopped = |step| {
            let source =
                TrainError::Io { action: "write", path: "f".into(), source: io::Error::other("full") };
            CliError::Stopped { folder: "run".into(), step, source: Box::new(source) }
        };
        check("after fixing this, `rondo train --resume --out run` resumes from step 3", || stopped(Some(3)));
        check("after fixing this, `rondo train --resume --out run` starts from", || stopped(None));
    }

    #[test]
    fn a_diverged_run_names_its_checkpoint_and_what_to_change() {
        let diverged = |checkpoint, clip_norm| CliError::Diverged {
            folder: "my run".into(),
            checkpoint,
            learning_rate: 2.0,
            present: 20.0,
            clip_norm,
            source: Box::new(TrainError::NoUsableModel { epochs: 1, text: "validation" }),
        };
        let checkpoint = || Some((PathBuf::from("my run/c"), 40));
        let message = diverged(checkpoint(), None).to_string();
        assert_eq!(message, "the run in `my run` has diverged; its last checkpoint is `my run/c`, step 40");
        assert_eq!(
            diverged(None, None).to_string(),
            "the run in `my run` has diverged; it has no checkpoint"
        );
        let start = "`rondo train --plan 'my run' --learning-rate 2` starts again with a lower learning rate than 20; ";
        check(&format!("{start}a `--clip-norm` below 0.25 or"), || diverged(None, Some(0.25)));
        check(&format!("{start}gradient clipping (`--clip-norm`) or"), || diverged(None, None));
        check("train it again with a lower `--learning-rate`", || InferError::NonFiniteLogits);
    }

    #[test]
    fn errors_of_training_have_their_hints() {
        check("`--from` takes the model that it was made from", || TrainError::Quantized {
            path: "m".into(),
        });
        check("`--data` names it", || TrainError::RecipeNeedsText { name: "log-keys".into() });
        check("a lower `--learning-rate`", || TrainError::NonFinite {
            what: Quantity::Loss,
            found: f64::NAN,
            epoch: 1,
            step: 1,
            tried: Tried::Nothing,
            best: None,
        });
        let diverged = |what| move || TrainError::Diverged { what, found: f64::NAN, tokens: 1 };
        check("a lower `--dynamic-learning-rate`", diverged(Quantity::Loss));
        check("a lower `--dynamic-learning-rate`", diverged(Quantity::GradientNorm));
        check("", diverged(Quantity::MeanGradient));
        let (setting, before, now) = ("training.seed".to_owned(), "1".to_owned(), "2".to_owned());
        check("`rondo train --from run --seed 2` starts a new run", || TrainError::Fixed {
            run: "run".into(),
            setting: setting.clone(),
            before: before.clone(),
            now: now.clone(),
        });
        check("with `--schedule constant` the run continues", || TrainError::FixedLength {
            run: "run".into(),
            setting: "training.epochs",
            before: 3,
            now: 4,
        });
        let no_checkpoint = || TrainError::NoCheckpoint { path: "c".into(), reason: String::new() };
        check("if they are removed", || TrainError::NoGoodCheckpoint {
            path: "run".into(),
            newest: Box::new(no_checkpoint()),
        });
        check("", no_checkpoint);
        check("`provenance.json` names", || TrainError::CheckpointVersion {
            path: "c".into(),
            found: "9".to_owned(),
            expected: "1",
        });
        // Not the hint of what is wrong with the prefix.
        let prefix = || TrainError::SamplePrefix { prefix: "b".to_owned(), source: unknown_token() };
        check("`--sample-prefix` sets", prefix);
        let settings = Settings::parse("test", "[training]\nepochs = 0").unwrap();
        check("", || Plan::new(&settings).unwrap_err());
    }

    #[test]
    fn errors_of_the_crates_below_have_their_hints_in_those_of_the_crates_above_too() {
        check("`--prefix TEXT` gives the model", || InferError::EmptyPrefix);
        let no_model = || InferError::NoModel { folder: "run".into(), file: "best.safetensors" };
        check("a run saves its first model", no_model);
        check("a run saves its first model", || TrainError::Infer(no_model()));
        let size = || InferError::VocabularySize { vocab: "v".into(), found: 1, expected: 2 };
        check("`--vocab` names", size);
        check("`--vocab` names", || TrainError::Infer(size()));
        check("`--vocab` names", || InferError::OtherVocabulary {
            vocab: "v".into(),
            found: String::new(),
            expected: String::new(),
        });
        check("`--vocab` names", || {
            InferError::NoVocabulary(DataError::Missing { path: "vocab.json".into() })
        });
        let exists = || RunsError::RunExists { path: "run".into(), file: "plan.toml".to_owned() };
        check("`--resume` continues it", exists);
        check("`--resume` continues it", || TrainError::Runs(exists()));
        check("a new run is started without", || RunsError::NoRun { path: "run".into(), file: "plan.toml" });
        check("`rondo train --from MODEL --extend-vocab`", unknown_token);
        check("`rondo train --from MODEL --extend-vocab`", || TrainError::Data(unknown_token()));
        check("`rondo train --from MODEL --extend-vocab`", || InferError::Data(unknown_token()));
        check("`rondo train --from MODEL --extend-vocab`", || {
            TrainError::Infer(InferError::Data(unknown_token()))
        });
        let missing = |path: &str| DataError::Missing { path: path.into() };
        check("the nearest corpus name is `wikitext-2`", || missing("data/wikitext2"));
        check("`wikitext-2` is also the name of a corpus, which is read alone", || missing("wikitext-2"));
        check("", || missing("poems"));
        let damaged = || NnError::Damaged {
            path: "best.safetensors".into(),
            found: "1f".to_owned(),
            expected: "2e".to_owned(),
        };
        check("copy or download the file again", damaged);
        check("copy or download the file again", || InferError::Model(damaged()));
    }
}
