//! Cuts text into tokens as it streams by, and joins tokens to text again.
//!
//! ```text
//! "a b\n\nc"   words   a b <eos> <eos> c <eos>     white space splits; each line ends in <eos>, blank ones
//!                                                 and a last one without line end included
//!              chars   a ␠ b ⏎ ⏎ c                Unicode scalar values, line ends included
//!              bytes   a ␠ b <0x0A> <0x0A> c      any file at all; see [`Bytes`](Tokenizer::Bytes)
//!
//! "It's a\ndog.\n\nGood."   moses  It 's a dog . <eos> Good . <eos>    sentences, whatever their lines; see [`Moses`](Tokenizer::Moses)
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

use std::{fmt, io::BufRead};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Result;
use crate::moses::Joints;

mod byte;
mod decode;
mod detokenize;
mod fit;
mod read;
mod running;
mod scanner;

pub(crate) use byte::byte_token;
pub(crate) use decode::Decoder;
pub(crate) use detokenize::Joiner;
pub(crate) use read::{Reading, read_tokens};
pub(crate) use scanner::Scanner;

/// What a token is.
///
/// ```
/// use rondo_data::Tokenizer;
///
/// let mut tokens = Vec::new();
/// Tokenizer::default().for_each_token("a b\nc".as_bytes(), "example", |token, line| {
///     tokens.push(format!("{line}:{token}"));
///     Ok(())
/// })?;
/// assert_eq!(tokens, ["1:a", "1:b", "1:<eos>", "2:c", "2:<eos>"]);
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Tokenizer {
    /// What stands between white space (as Unicode defines it), line by line.
    Words {
        /// The token that follows the last of each line; `None`, written as an empty string, is off.
        #[serde(default = "default_eos", serialize_with = "write_eos", deserialize_with = "read_eos")]
        eos: Option<String>,
        /// What becomes of lines without a word.
        #[serde(default)]
        blank_lines: BlankLines,
    },
    /// Words and punctuation of running text, as the tokeniser of Moses parts them, sentence by sentence.
    ///
    /// Sentences end where [`Punkt`](crate::sentences::Punkt) says, or at a blank line. A paragraph of more than a
    /// megabyte is read in parts.
    Moses {
        /// The token that follows the last of each sentence; `None`, written as an empty string, is off.
        #[serde(default = "default_eos", serialize_with = "write_eos", deserialize_with = "read_eos")]
        eos: Option<String>,
        /// Whether lines are joined and split into sentences; if not, each line is a sentence, and blank ones are
        /// none.
        #[serde(default = "yes")]
        sentences: bool,
        /// What becomes of dashes, commas and points inside words and numbers.
        #[serde(default)]
        joints: Joints,
        /// Whether all letters become small ones.
        #[serde(default)]
        lowercase: bool,
    },
    /// Unicode scalar values, line ends included.
    Chars,
    /// Bytes, of any file.
    ///
    /// A printable ASCII byte is written as itself, space included, any other as `<0x0A>`: six characters,
    /// two upper-case hexadecimal digits. The two kinds cannot be confused, so joining bytes again is exact.
    Bytes,
}

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

impl Default for Tokenizer {
    /// Words, with `<eos>` after every line, blank ones included.
    fn default() -> Self {
        Self::Words { eos: default_eos(), blank_lines: BlankLines::Keep }
    }
}

impl fmt::Display for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Words { .. } => "words",
            Self::Moses { .. } => "moses",
            Self::Chars => "chars",
            Self::Bytes => "bytes",
        })
    }
}

impl Tokenizer {
    /// Running text with `<eos>` after every sentence, dashes kept, letters as they are.
    #[must_use]
    pub fn moses() -> Self {
        Self::Moses { eos: default_eos(), sentences: true, joints: Joints::default(), lowercase: false }
    }

    /// Whether tokens are words, that can be cut in other ways than the text's white space.
    #[must_use]
    pub fn is_of_words(&self) -> bool {
        matches!(self, Self::Words { .. } | Self::Moses { .. })
    }

    /// The token that ends each line or sentence, if there is one.
    #[must_use]
    pub fn eos(&self) -> Option<&str> {
        match self {
            Self::Words { eos, .. } | Self::Moses { eos, .. } => eos.as_deref(),
            Self::Chars | Self::Bytes => None,
        }
    }

    /// The token of a line end, if there is one: the end-of-line token of words, the line feed of characters and bytes.
    #[must_use]
    pub fn line_end(&self) -> Option<&str> {
        match self {
            Self::Words { .. } | Self::Moses { .. } => self.eos(),
            Self::Chars => Some("\n"),
            Self::Bytes => Some("<0x0A>"),
        }
    }

    /// What one token is called: `token`, `character` or `byte`.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        match self {
            Self::Words { .. } | Self::Moses { .. } => "token",
            Self::Chars => "character",
            Self::Bytes => "byte",
        }
    }

    /// Whether text is cut into sentences, whatever its lines.
    pub(crate) fn is_by_sentences(&self) -> bool {
        matches!(self, Self::Moses { sentences: true, .. })
    }

    /// Reads all of `reader` and calls `visit` with each token and its line (from 1), in order.
    ///
    /// `origin` names the text in errors.
    ///
    /// # Errors
    /// [`DataError::Read`](crate::DataError::Read); for words and characters also
    /// [`DataError::InvalidUtf8`](crate::DataError::InvalidUtf8) and
    /// [`DataError::Binary`](crate::DataError::Binary); and what `visit` returns, which ends the reading.
    pub fn for_each_token(
        &self,
        reader: impl BufRead,
        origin: &str,
        visit: impl FnMut(&str, u64) -> Result<()>,
    ) -> Result<TextStats> {
        read_tokens(self, reader, origin, Reading::default(), visit)
    }
}

fn yes() -> bool {
    true
}

fn default_eos() -> Option<String> {
    Some("<eos>".to_owned())
}

// TOML has no null, and leaving the key out means the default: so "none" is written as an empty string.
fn write_eos<S: Serializer>(eos: &Option<String>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(eos.as_deref().unwrap_or_default())
}

fn read_eos<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<String>, D::Error> {
    let eos = String::deserialize(deserializer)?;
    Ok((!eos.is_empty()).then_some(eos))
}

#[cfg(test)]
mod tests;
