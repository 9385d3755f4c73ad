//! What can go wrong when a model is used.

use rondo_data::DataError;

/// The result of something in this crate.
pub type Result<T> = std::result::Result<T, InferError>;

/// Why a text could not be evaluated, scored or generated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InferError {
    /// Something is wrong with the text.
    #[error(transparent)]
    Data(#[from] DataError),
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
}
