//! What the libraries for subwords have in common.

use std::fmt::Debug;
use std::ops::Range;

/// Why a tokenizer cannot be used.
#[derive(Debug)]
pub(super) struct Failure(pub(super) String);

/// A tokenizer of some library.
pub(super) trait Engine: Debug + Send + Sync {
    /// The tokens in the order of their ids.
    fn tokens(&self) -> &[String];

    /// The token that replaces what is not in the vocabulary, if there is one.
    fn unknown(&self) -> Option<&str>;

    /// Appends the ids of a line, which has no line ending.
    fn encode(&self, line: &str, ids: &mut Vec<u32>) -> Result<(), Failure>;

    /// The id of each token of a line, and the part of the line that it stands for. `None` if the parts are not known.
    fn spans(&self, line: &str) -> Option<Vec<(u32, Range<usize>)>>;

    /// The text of some tokens.
    fn decode(&self, tokens: &[String]) -> String;

    /// The bytes of a token, if these do not depend on the tokens around it.
    fn bytes(&self, token: &str) -> Option<Vec<u8>>;
}
