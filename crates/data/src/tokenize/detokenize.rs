//! Joins tokens to text, one at a time.

use super::{Tokenizer, byte::token_byte};
use crate::moses::Detokenized;

/// Joins tokens to text as they come, for output that streams.
///
/// ```
/// use rondo_data::{Detokenizer, Tokenizer};
///
/// let tokenizer = Tokenizer::default();
/// let mut detokenizer = Detokenizer::new(&tokenizer);
/// let mut text = Vec::new();
/// for token in ["a", "b", "<eos>", "c"] {
///     detokenizer.push(token, &mut text);
/// }
/// assert_eq!(text, b"a b\nc");
/// ```
#[derive(Debug, Clone)]
pub struct Detokenizer<'t> {
    tokenizer: &'t Tokenizer,
    at_line_start: bool,
    sentence: Detokenized,
}

impl<'t> Detokenizer<'t> {
    /// Begins a text.
    #[must_use]
    pub fn new(tokenizer: &'t Tokenizer) -> Self {
        Self { tokenizer, at_line_start: true, sentence: Detokenized::default() }
    }

    /// Appends to `text` what `token` adds to it; for words that includes the space before it.
    ///
    /// For bytes this may be a part of a character. Tokens that are no character or byte of the text, such as
    /// `<unk>`, are written out.
    pub fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        match self.tokenizer {
            Tokenizer::Words { eos, .. } => {
                if eos.as_deref() == Some(token) {
                    text.push(b'\n');
                    self.at_line_start = true;
                    return;
                }
                if !self.at_line_start {
                    text.push(b' ');
                }
                text.extend_from_slice(token.as_bytes());
                self.at_line_start = false;
            }
            Tokenizer::Moses { eos, .. } => {
                if eos.as_deref() == Some(token) {
                    text.push(b'\n');
                    self.sentence.restart();
                } else {
                    self.sentence.push(token, text);
                }
            }
            Tokenizer::Chars => text.extend_from_slice(token.as_bytes()),
            Tokenizer::Bytes => match token_byte(token) {
                Some(byte) => text.push(byte),
                None => text.extend_from_slice(token.as_bytes()),
            },
        }
    }
}
