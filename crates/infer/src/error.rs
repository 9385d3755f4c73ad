//! What can go wrong when a model is used.

use std::path::PathBuf;

use rondo_data::DataError;
use rondo_nn::NnError;

use crate::rescore::LineFault;

/// The result of something in this crate.
pub type Result<T> = std::result::Result<T, InferError>;

/// Why a text could not be evaluated, scored or generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// Something is wrong with the text.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The model or its device has failed.
    #[error(transparent)]
    Model(#[from] NnError),
    /// A text has no token to predict: its first one is only read.
    #[error("a text of {tokens} tokens cannot be evaluated: it takes one to read and one to predict")]
    TextTooShort {
        /// Its length.
        tokens: usize,
    },
    /// A token is none of the model's.
    #[error("id {id} is not in the model's vocabulary of {vocab_size} tokens")]
    IdOutOfRange {
        /// The token.
        id: u32,
        /// How many tokens the model knows.
        vocab_size: usize,
    },
    /// The caller wanted no more.
    #[error("stopped after {done_tokens} of {total_tokens} tokens")]
    Stopped {
        /// How many tokens were predicted by then.
        done_tokens: u64,
        /// How many there are.
        total_tokens: u64,
    },
    /// A size that must be at least one is zero.
    #[error("`{name}` must be at least 1")]
    ZeroSize {
        /// The name of the size.
        name: &'static str,
    },
    /// A temperature is negative, infinite or no number.
    #[error("`temperature` must be at least 0 and finite, but is {found}")]
    Temperature {
        /// The temperature asked for.
        found: f32,
    },
    /// A share of the probability is none.
    #[error("`top_p` must be above 0 and at most 1, but is {found}")]
    TopP {
        /// The share asked for.
        found: f32,
    },
    /// A share of the likeliest token's probability is none.
    #[error("`min_p` must be at least 0 and at most 1, but is {found}")]
    MinP {
        /// The share asked for.
        found: f32,
    },
    /// A repetition penalty is not above 0, infinite or NaN.
    #[error("`repetition_penalty` must be above 0 and finite, but is {found}")]
    RepetitionPenalty {
        /// The penalty asked for.
        found: f32,
    },
    /// A setting is infinite or NaN.
    #[error("`{name}` must be finite, but is {found}")]
    NotFinite {
        /// The name of the setting.
        name: &'static str,
        /// Its value.
        found: f32,
    },
    /// A stream is asked for that is not running.
    #[error("stream {id} is not running")]
    NoStream {
        /// The stream.
        id: u64,
    },
    /// A stop string has no character.
    #[error("a stop string is empty: every text would stop at its beginning")]
    EmptyStopString,
    /// The folder holds no run, or one that has not come far enough.
    #[error("`{}` holds no model: there is no `{file}` in it", folder.display())]
    NoModel {
        /// The folder.
        folder: PathBuf,
        /// The model that was looked for.
        file: &'static str,
    },
    /// A model could not be opened.
    #[error("could not load model `{}`", path.display())]
    Open {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        source: NnError,
    },
    /// A model file without a vocabulary of its own has none beside it.
    #[error("the model has no vocabulary beside it")]
    NoVocabulary(#[source] DataError),
    /// A codec has another number of tokens than the model.
    #[error("the codec has {found} tokens, the model was made for {expected}")]
    CodecSize {
        /// The tokens of the codec.
        found: usize,
        /// The tokens of the model.
        expected: usize,
    },
    /// A hypothesis of a list cannot be read.
    #[error("the hypothesis in line {line} cannot be read")]
    Hypothesis {
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        source: DataError,
    },
    /// States and the tokens that they are to read do not pair up.
    #[error("{states} states cannot read {tokens} tokens: each reads one")]
    Unpaired {
        /// How many states there are.
        states: usize,
        /// How many tokens there are.
        tokens: usize,
    },
    /// A vocabulary is not the one that the model was trained with.
    #[error(
        "`{}` is another vocabulary than the model's: its fingerprint is {found}, the model's is {expected}",
        vocab.display()
    )]
    OtherVocabulary {
        /// Where it comes from.
        vocab: PathBuf,
        /// Its fingerprint.
        found: String,
        /// The fingerprint of the model's.
        expected: String,
    },
    /// A vocabulary has another size than the model's.
    #[error("`{}` has {found} tokens, the model was made for {expected}", vocab.display())]
    VocabularySize {
        /// Where it comes from.
        vocab: PathBuf,
        /// Its size.
        found: usize,
        /// The size of the model's.
        expected: usize,
    },
    /// A file could not be written.
    #[error(transparent)]
    Runs(#[from] rondo_runs::RunsError),
    /// A length penalty is negative, infinite or no number.
    #[error("`length_penalty` must be at least 0 and finite, but is {found}")]
    LengthPenalty {
        /// The exponent asked for.
        found: f64,
    },
    /// The sharpness of a neural cache is negative, infinite or no number.
    #[error("`theta` must be at least 0 and finite, but is {found}")]
    Theta {
        /// The sharpness asked for.
        found: f64,
    },
    /// The share of a neural cache leaves the model none, or is no share.
    #[error("`lambda` must be at least 0 and below 1, but is {found}")]
    Lambda {
        /// The share asked for.
        found: f64,
    },
    /// A neural cache was to be tuned without anything to try.
    #[error("there is no `{name}` to try")]
    EmptyGrid {
        /// What there is none of.
        name: &'static str,
    },
    /// There is nothing left to draw.
    #[error("all {vocab_size} tokens of the vocabulary are forbidden")]
    AllForbidden {
        /// How many tokens the model knows.
        vocab_size: usize,
    },
    /// A line of a list cannot be read.
    #[error("{origin}, line {line}: {fault}")]
    ListLine {
        /// The list.
        origin: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        fault: LineFault,
    },
    /// A list has nothing in it.
    #[error("{origin} is empty: it holds no {what}")]
    EmptyList {
        /// The list.
        origin: String,
        /// What it should hold.
        what: &'static str,
    },
    /// There is nothing to continue.
    #[error("the prefix has no token: a model needs one to read before it can predict the next")]
    EmptyPrefix,
    /// A model's predictions are no probabilities.
    #[error("the model's predictions are not finite: its parameters are damaged, or diverged in training")]
    NonFiniteLogits,
}
