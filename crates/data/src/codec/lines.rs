//! Encodes a text line by line.

use std::collections::VecDeque;
use std::io::BufRead;

use super::TextCodec;
use crate::{DataError, Result, tokenize::Scanner};

/// One line of a text, or one sentence of running text, as tokens and ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedLine {
    /// The line number, starting at 1; for a sentence, the number of its first line.
    pub number: u64,
    /// The tokens as they are in the text, including out-of-vocabulary tokens, and the end-of-line token if there
    /// is one.
    ///
    /// For characters and bytes, the line ending is a token of its line. A blank line that the tokenizer skips has no
    /// tokens.
    pub tokens: Vec<String>,
    /// The id of each token.
    pub ids: Vec<u32>,
    /// The number of out-of-vocabulary tokens.
    pub out_of_vocab_tokens: u64,
}

impl EncodedLine {
    /// Appends the tokens of `next`.
    pub fn append(&mut self, mut next: Self) {
        self.tokens.append(&mut next.tokens);
        self.ids.append(&mut next.ids);
        self.out_of_vocab_tokens += next.out_of_vocab_tokens;
    }

    fn new(number: u64) -> Self {
        Self { number, tokens: Vec::new(), ids: Vec::new(), out_of_vocab_tokens: 0 }
    }

    fn push(&mut self, codec: &TextCodec, token: &str, origin: &str, number: u64) -> Result<()> {
        self.ids.push(codec.known_or_unknown(token, origin, number)?);
        self.out_of_vocab_tokens += u64::from(codec.vocab.id(token).is_none());
        self.tokens.push(token.to_owned());
        Ok(())
    }
}

/// An iterator over the encoded lines of a text; see [`TextCodec::lines`].
///
/// It yields an item for each line, including blank and skipped lines, and ends after an error. One line is in memory
/// at a time. If running text is split into sentences, it yields an item for each sentence, once the paragraph is
/// complete (or an item for the paragraph, if the tokenizer has no end-of-sentence token).
#[derive(Debug)]
pub struct Lines<R> {
    codec: TextCodec,
    origin: String,
    reader: R,
    scanner: Scanner,
    line: Vec<u8>,
    /// Complete sentences to yield, if the text is split into sentences.
    sentences: VecDeque<EncodedLine>,
    /// The sentence that the next token belongs to.
    open: EncodedLine,
    done: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(codec: TextCodec, reader: R, origin: &str) -> Self {
        let scanner = Scanner::new(&codec.tokenizer, origin, codec.lossy);
        let origin = origin.to_owned();
        let (sentences, open) = (VecDeque::new(), EncodedLine::new(1));
        Self { codec, origin, reader, scanner, line: Vec::new(), sentences, open, done: false }
    }

    fn next_line(&mut self) -> Result<Option<EncodedLine>> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        read.map_err(|source| DataError::Read { origin: self.origin.clone(), source })?;

        let number = self.scanner.line();
        let mut line = EncodedLine::new(number);
        let mut visit = |token: &str, number| line.push(&self.codec, token, &self.origin, number);
        self.scanner.feed(&self.line, &mut visit)?;
        if self.line.last() != Some(&b'\n') {
            self.done = true;
            self.scanner.finish(&mut visit)?;
        }
        // At the end of the text, there can be nothing after the last line ending, or only a byte-order mark.
        Ok((self.scanner.lines() == number).then_some(line))
    }

    fn next_sentence(&mut self) -> Result<Option<EncodedLine>> {
        while self.sentences.is_empty() && !self.done {
            let read = self.read_sentences();
            self.done |= read.is_err();
            read?;
        }
        Ok(self.sentences.pop_front())
    }

    /// Reads a line, which can complete a paragraph and therefore several sentences.
    fn read_sentences(&mut self) -> Result<()> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        read.map_err(|source| DataError::Read { origin: self.origin.clone(), source })?;
        let Self { codec, origin, sentences, open, .. } = self;
        let eos = codec.tokenizer.eos();
        let mut visit = |token: &str, number| {
            if open.tokens.is_empty() {
                open.number = number;
            }
            open.push(codec, token, origin, number)?;
            if eos == Some(token) {
                sentences.push_back(std::mem::replace(open, EncodedLine::new(number)));
            }
            Ok(())
        };
        self.scanner.feed(&self.line, &mut visit)?;
        if self.line.last() != Some(&b'\n') {
            self.done = true;
            self.scanner.finish(&mut visit)?;
        }
        if eos.is_none() && !self.open.tokens.is_empty() {
            self.sentences.push_back(std::mem::replace(&mut self.open, EncodedLine::new(0)));
        }
        Ok(())
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<EncodedLine>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.codec.tokenizer.is_by_sentences() {
            return self.next_sentence().transpose();
        }
        if self.done {
            return None;
        }
        let line = self.next_line();
        self.done |= line.is_err();
        line.transpose()
    }
}
