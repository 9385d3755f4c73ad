//! What can go wrong when a model is used.

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
