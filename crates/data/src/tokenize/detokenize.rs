//! Joins tokens to text, one at a time.

use super::{BlankLines, Tokenizer, byte::token_byte};
use crate::moses::{Detokenized, Joints};

/// Joins tokens to text as they come.
#[derive(Debug, Clone)]
pub(crate) struct Joiner {
    tokenizer: Tokenizer,
    at_line_start: bool,
    sentence: Detokenized,
}

impl Joiner {
    /// The tokenizer's own way back.
    pub(crate) fn of(tokenizer: &Tokenizer) -> Self {
        let tokenizer = tokenizer.clone();
        Self { tokenizer, at_line_start: true, sentence: Detokenized::default() }
    }

    /// Words as people write them, with a line end for each `eos`.
    pub(crate) fn natural(eos: Option<&str>) -> Self {
        let eos = eos.map(str::to_owned);
        Self::of(&Tokenizer::Moses { eos, sentences: true, joints: Joints::Keep, lowercase: false })
    }

    /// Words with a space between each two, and a line end for each `eos`.
    pub(crate) fn spaced(eos: Option<&str>) -> Self {
        let eos = eos.map(str::to_owned);
        Self::of(&Tokenizer::Words { eos, blank_lines: BlankLines::Keep })
    }

    /// Appends to `text` what `token` adds to it.
    pub(crate) fn push(&mut self, token: &str, text: &mut Vec<u8>) {
        match &self.tokenizer {
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
