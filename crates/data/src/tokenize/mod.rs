//! Tokenizes streaming text, and joins tokens to text again.
//!
//! ```text
//! "a b\n\nc"   words   a b <eos> <eos> c <eos>     split at whitespace; <eos> ends each line, including
//!                                                 blank lines and a last line without line ending
//!              chars   a ␠ b ⏎ ⏎ c                Unicode scalar values, including line endings
//!              bytes   a ␠ b <0x0A> <0x0A> c      any file; see [`bytes`](Tokenizer::bytes)
//!
//! "Hello world\n"   subwords   Hello Ġworld Ċ        a tokenizer from a file; with the feature `tokenizers`
//!
//! "It's a\ndog.\n\nGood."   moses  It 's a dog . <eos> Good . <eos>    sentences, across lines; see [`moses`](Tokenizer::moses)
//! ```
//!
//! | in the text | words, subwords | chars | bytes |
//! |---|---|---|---|
//! | invalid UTF-8, NUL bytes | an error with the position, or U+FFFD on request | the same | tokens |
//! | a byte-order mark at the start | skipped | skipped | tokens |
//! | a carriage return before a line ending | skipped | a token | a token |
//! | a last line without line ending | a line like all others | no line ending | no line ending |
//!
//! Promises: memory is bounded by the longest token (for running text, by a megabyte; for subwords, by 64 kB), not by the
//! text or its lines.
//! Texts of a corpus are tokenized by several threads (`pool`), in chunks that end where lines do (`chunks`).
//!
//! Not here: ids (`codec`), cleaning of any kind except Unicode normalization and the form of words on request: texts are
//! used as they are.

use serde::{Deserialize, Serialize};

mod align;
mod bytes;
mod chars;
mod choice;
mod chunks;
mod decode;
mod kind;
mod moses;
mod normalize;
mod pool;
mod read;
mod running;
mod scanner;
#[cfg(feature = "tokenizers")]
mod subwords;
mod tokenizer;
mod word_form;
mod words;

pub use choice::TokenizerChoice;
pub(crate) use chunks::{Border, CHUNK_BYTES, Chunks, Position, Reading, TextEnd};
pub(crate) use decode::Decoder;
pub(crate) use kind::Joiner;
pub use normalize::Normalization;
pub(crate) use pool::{ChunkCounts, ChunkOf, SHORT_BYTES, Texts, Tokenized, Work};
pub(crate) use read::read_tokens;
pub(crate) use scanner::Scanner;
#[cfg(feature = "tokenizers")]
pub use subwords::{BpeOptions, train_bpe};
pub use tokenizer::{Tokenizer, TokenizerKind, TokenizerOptions};
pub use word_form::Punctuation;

/// How blank lines are handled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BlankLines {
    /// They give an end-of-line token like all other lines.
    #[default]
    Keep,
    /// They give no tokens.
    Skip,
}

/// Statistics of a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextStats {
    /// The size of the text in bytes, decompressed, including dropped characters.
    pub bytes: u64,
    /// The SHA-256 of these bytes, as 64 hexadecimal digits.
    pub sha256: String,
    /// The number of Unicode scalar values, normalized, without a byte-order mark and dropped characters.
    pub chars: u64,
    /// The number of lines in these characters, including a last line without line ending.
    pub lines: u64,
    /// The number of tokens, including end-of-line tokens.
    pub tokens: u64,
    /// The number of invalid sequences and NUL bytes that were replaced by U+FFFD; 0 unless the text was read
    /// lossily.
    pub replaced: u64,
}

impl BlankLines {
    /// The name in recipes, flags and model files.
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
