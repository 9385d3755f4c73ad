//! A text encoded line by line.

use std::io::BufRead;

use super::Encoder;
use crate::{DataError, Result, tokenize::Scanner};

/// One line of a text in tokens and ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedLine {
    /// The number of the line, from 1.
    pub number: u64,
    /// The tokens as they stand in the text, unknown ones too, and the end-of-line token where there is one.
    ///
    /// For characters and bytes the line end is a token of its line. A blank line that the tokeniser skips
    /// has no token at all.
    pub tokens: Vec<String>,
    /// The id of each token.
    pub ids: Vec<u32>,
    /// How many of the tokens are not in the vocabulary.
    pub out_of_vocab_tokens: u64,
}

/// The lines of a text, encoded one at a time: see [`Encoder::lines`].
///
/// Gives an item for each line, blank and skipped ones included; ends after an error. One line is held in
/// memory at a time.
#[derive(Debug)]
pub struct Lines<'a, R> {
    encoder: Encoder<'a>,
    origin: &'a str,
    reader: R,
    scanner: Scanner<'a>,
    line: Vec<u8>,
    done: bool,
}

impl<'a, R: BufRead> Lines<'a, R> {
    pub(super) fn new(encoder: Encoder<'a>, reader: R, origin: &'a str) -> Self {
        let scanner = Scanner::new(encoder.tokenizer, origin);
        Self { encoder, origin, reader, scanner, line: Vec::new(), done: false }
    }

    fn next_line(&mut self) -> Result<Option<EncodedLine>> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        read.map_err(|source| DataError::Read { origin: self.origin.to_owned(), source })?;

        let number = self.scanner.line();
        let mut line = EncodedLine { number, tokens: Vec::new(), ids: Vec::new(), out_of_vocab_tokens: 0 };
        let mut visit = |token: &str, number| {
            line.ids.push(self.encoder.known_or_unknown(token, self.origin, number)?);
            line.out_of_vocab_tokens += u64::from(self.encoder.vocab.id(token).is_none());
            line.tokens.push(token.to_owned());
            Ok(())
        };
        self.scanner.feed(&self.line, &mut visit)?;
        if self.line.last() != Some(&b'\n') {
            self.done = true;
            self.scanner.finish(&mut visit)?;
        }
        // At the end there may be nothing after the last line end, or nothing but a byte-order mark.
        Ok((self.scanner.lines() == number).then_some(line))
    }
}

impl<R: BufRead> Iterator for Lines<'_, R> {
    type Item = Result<EncodedLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let line = self.next_line();
        self.done |= line.is_err();
        line.transpose()
    }
}
