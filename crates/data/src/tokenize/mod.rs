//! Cuts text into tokens as it streams by, and joins tokens to text again.
//!
//! ```text
//! "a b\n\nc"   words   a b <eos> <eos> c <eos>     white space splits; each line ends in <eos>, blank ones
//!                                                 and a last one without line end included
//!              chars   a ␠ b ⏎ ⏎ c                Unicode scalar values, line ends included
//!              bytes   a ␠ b <0x0A> <0x0A> c      any file at all; see [`bytes`](Tokenizer::bytes)
//!
//! "It's a\ndog.\n\nGood."   moses  It 's a dog . <eos> Good . <eos>    sentences, whatever their lines; see [`moses`](Tokenizer::moses)
//! ```
//!
//! | in the text | words | chars | bytes |
//! |---|---|---|---|
//! | invalid UTF-8, NUL bytes | an error with the place, or U+FFFD where that is asked for | the same | tokens |
//! | a byte-order mark at the start | nothing | nothing | tokens |
//! | a carriage return before a line end | white space | a token | a token |
//! | a last line without line end | a line as all others | no line end | no line end |
//!
//! Promises: memory is bounded by the longest token, for running text by a megabyte, not by the text or its lines.
//! Not here: ids (`codec`), cleaning of any kind: texts are taken as they are.

use serde::{Deserialize, Serialize};

mod bytes;
mod chars;
mod decode;
mod kind;
mod moses;
mod read;
mod running;
mod scanner;
mod tokenizer;
mod words;

pub(crate) use decode::Decoder;
pub(crate) use kind::Joiner;
pub(crate) use read::{Reading, read_tokens};
pub(crate) use scanner::Scanner;
pub use tokenizer::{Tokenizer, TokenizerKind, TokenizerOptions};

/// What becomes of lines without a word.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlankLines {
    /// They give an end-of-line token like all others.
    #[default]
    Keep,
    /// They give nothing.
    Skip,
}

/// What was read of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextStats {
    /// Length of the source in bytes, whatever was dropped of it included.
    pub bytes: u64,
    /// SHA-256 of these bytes, in 64 hexadecimal digits.
    pub sha256: String,
    /// Unicode scalar values, without byte-order mark and dropped tail.
    pub chars: u64,
    /// Lines of the same, a last one without line end included.
    pub lines: u64,
    /// Tokens, end-of-line tokens included.
    pub tokens: u64,
    /// Invalid sequences and NUL bytes that were taken for U+FFFD, each for one; 0 unless the text was read lossily.
    pub replaced: u64,
}

impl BlankLines {
    /// Its name in recipes, flags and model files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Skip => "skip",
        }
    }
}

#[cfg(test)]
mod tests;
