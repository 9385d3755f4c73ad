//! Encodes a text line by line.
//!
//! [`Lines`] gives the ids of a text, line by line. [`LineEncoder`] gives a result for each line that somebody wants an
//! answer for: also for a line that cannot be encoded, and always with a line end.

use std::collections::VecDeque;
use std::io::BufRead;

use super::{TextCodec, Tokens};
use crate::error::read_error;
use crate::{Result, tokenize::Scanner};

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
    pub tokens: Tokens,
    /// The id of each token.
    pub ids: Vec<u32>,
    /// The number of out-of-vocabulary tokens.
    pub out_of_vocab_tokens: u64,
    /// The bytes of the line as they are in the text, without its line ending; empty for a sentence, which may span
    /// lines.
    pub text: Vec<u8>,
    /// The number of tokens with the unknown token's id: out-of-vocabulary tokens, and the unknown token in the text
    /// itself.
    pub unknown_tokens: u64,
    /// The out-of-vocabulary tokens that have no id, because the vocabulary has no unknown token. Only a [`LineEncoder`]
    /// leaves them out; elsewhere they are an error.
    pub missing: Vec<String>,
}

impl EncodedLine {
    /// Appends the tokens of `next`.
    pub fn append(&mut self, mut next: Self) {
        self.tokens.extend(next.tokens.iter());
        self.ids.append(&mut next.ids);
        self.out_of_vocab_tokens += next.out_of_vocab_tokens;
        self.text.append(&mut next.text);
        self.unknown_tokens += next.unknown_tokens;
        self.missing.append(&mut next.missing);
    }

    /// The id of each token; `None` for the [missing](Self::missing) ones, which [`ids`](Self::ids) leaves out.
    pub fn token_ids(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        let (mut ids, mut missing) = (self.ids.iter(), self.missing.iter().peekable());
        self.tokens.iter().map(move |token| match missing.next_if(|missing| missing.as_str() == token) {
            Some(_) => None,
            None => ids.next().copied(),
        })
    }

    fn new(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    fn push(&mut self, codec: &TextCodec, token: &str, origin: &str, number: u64) -> Result<()> {
        let id = codec.known_or_unknown(token, origin, number)?;
        self.out_of_vocab_tokens += u64::from(codec.vocab.id(token).is_none());
        self.unknown_tokens += u64::from(codec.unknown_id() == Some(id));
        self.ids.push(id);
        self.tokens.push(token);
        Ok(())
    }

    /// As [`push`](Self::push), but a token that has no id is missing.
    fn push_or_miss(&mut self, codec: &TextCodec, token: &str, is_control: bool) {
        let known = codec.vocab.id(token).filter(|_| !is_control);
        self.tokens.push(token);
        self.out_of_vocab_tokens += u64::from(known.is_none());
        match known.or(codec.unknown_id()) {
            Some(id) => {
                self.unknown_tokens += u64::from(codec.unknown_id() == Some(id));
                self.ids.push(id);
            }
            None => self.missing.push(token.to_owned()),
        }
    }
}

/// Encodes lines that are each answered on their own; see [`TextCodec::line_encoder`].
#[derive(Debug)]
pub struct LineEncoder {
    codec: TextCodec,
    scanner: Scanner,
    number: u64,
    /// Whether the vocabulary has a line end, or the tokenizer makes one of a line feed.
    ends_lines: bool,
}

impl LineEncoder {
    pub(super) fn new(codec: &TextCodec, origin: &str) -> Self {
        let codec = codec.with_tokenizer(codec.tokenizer.with_sentences(false));
        let scanner = Scanner::new(&codec.tokenizer, origin, codec.lossy);
        let ends_lines = codec.is_of_words() || codec.line_end().is_some();
        Self { codec, scanner, number: 0, ends_lines }
    }

    /// Encodes the next line, given with or without its line ending.
    ///
    /// # Errors
    /// [`DataError::InvalidUtf8`](crate::DataError::InvalidUtf8) and [`DataError::Binary`](crate::DataError::Binary)
    /// for bytes that are not text.
    pub fn encode(&mut self, line: &[u8]) -> Result<EncodedLine> {
        self.number += 1;
        let mut encoded = EncodedLine::new(self.number);
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        encoded.text = self.text_of(line);
        // The last token of a line of words is its end. The same word within the line is a word, and not in the vocabulary.
        let (codec, eos) = (&self.codec, self.codec.tokenizer.eos());
        let mut last: Option<String> = None;
        let mut visit = |token: &str, _| {
            match &mut last {
                Some(before) => {
                    encoded.push_or_miss(codec, before, eos == Some(before.as_str()));
                    before.clear();
                    before.push_str(token);
                }
                None => last = Some(token.to_owned()),
            }
            Ok(())
        };
        self.scanner.feed(line, &mut visit)?;
        if self.ends_lines {
            self.scanner.feed(b"\n", &mut visit)?;
        } else {
            self.scanner.flush(&mut visit)?;
        }
        if let Some(last) = last {
            encoded.push_or_miss(&self.codec, &last, false);
        }
        Ok(encoded)
    }

    /// The text of a line as it is, without the byte-order mark of the first one.
    fn text_of(&self, line: &[u8]) -> Vec<u8> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        line.strip_prefix("\u{feff}".as_bytes()).filter(|_| self.number == 1).unwrap_or(line).to_vec()
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
        read.map_err(|source| read_error(&self.origin, source))?;

        let number = self.scanner.line();
        let mut line = EncodedLine::new(number);
        let mut visit = |token: &str, number| line.push(&self.codec, token, &self.origin, number);
        self.scanner.feed(&self.line, &mut visit)?;
        if self.line.last() != Some(&b'\n') {
            self.done = true;
            self.scanner.finish(&mut visit)?;
        }
        let text = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        line.text = text.strip_suffix(b"\r").unwrap_or(text).to_vec();
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
        read.map_err(|source| read_error(&self.origin, source))?;
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
