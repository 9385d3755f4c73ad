//! Texts to ids, through a vocabulary that stands already: for evaluation, scoring and prefixes.
//!
//! Promises: reading a text line by line, or running text sentence by sentence, gives the very ids that reading it
//! whole gives.
//! Not here: building a vocabulary from the text (`corpus`).

use std::io::BufRead;

use crate::{Result, TextSource, TextStats, Tokenizer, Vocab, tokenize, vocab};

mod lines;

pub use lines::{EncodedLine, Lines};

/// Turns texts into ids with one tokeniser and one vocabulary.
///
/// ```
/// use rondo_data::{Encoder, Tokenizer, Vocab};
///
/// let vocab = Vocab::from_tokens("example", ["<unk>", "<eos>", "the", "cat"], Some("<unk>"))?;
/// let tokenizer = Tokenizer::default();
/// let encoder = Encoder::new(&vocab, &tokenizer);
///
/// let encoded = encoder.encode_reader("the cat\nthe dog\n".as_bytes(), "example")?;
/// assert_eq!(encoded.ids, [2, 3, 1, 2, 0, 1]);
/// assert_eq!(encoded.report.out_of_vocab_tokens, 1);
///
/// assert_eq!(encoder.encode_prefix("the cat")?, [2, 3]); // not a finished line
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Encoder<'a> {
    vocab: &'a Vocab,
    tokenizer: &'a Tokenizer,
    lossy: bool,
}

/// The ids of a text and what was found while reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// One id per token.
    pub ids: Vec<u32>,
    /// What was read.
    pub report: TextReport,
}

/// What was found in one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextReport {
    /// The path of the file, or the name of the source.
    pub origin: String,
    /// Bytes, characters, lines, tokens.
    pub stats: TextStats,
    /// Tokens that have the unknown token's id, whether the text says `<unk>` itself or another unknown word.
    pub unknown_tokens: u64,
    /// Those of them that are not in the vocabulary.
    pub out_of_vocab_tokens: u64,
}

impl<'a> Encoder<'a> {
    /// An encoder; it copies nothing.
    #[must_use]
    pub fn new(vocab: &'a Vocab, tokenizer: &'a Tokenizer) -> Self {
        Self { vocab, tokenizer, lossy: false }
    }

    /// The same encoder, that takes what is no text, invalid UTF-8 and NUL bytes, for U+FFFD if `lossy`, instead of
    /// refusing it. Bytes are what they are either way.
    #[must_use]
    pub fn lossy(self, lossy: bool) -> Self {
        Self { lossy, ..self }
    }

    /// Encodes all of `reader`; `origin` names it in errors and in the report.
    ///
    /// # Errors
    /// As [`Tokenizer::for_each_token`]; [`DataError::UnknownToken`](crate::DataError::UnknownToken) for a
    /// token that is not in a vocabulary without unknown token.
    pub fn encode_reader(&self, reader: impl BufRead, origin: &str) -> Result<Encoded> {
        let mut ids = Vec::new();
        let report = self.append(reader, origin, 0, &mut ids)?;
        Ok(Encoded { ids, report })
    }

    /// Encodes all of a source.
    ///
    /// # Errors
    /// As [`encode_reader`](Self::encode_reader); [`DataError::Missing`](crate::DataError::Missing) if the
    /// file does not exist.
    pub fn encode_source(&self, source: &TextSource) -> Result<Encoded> {
        self.encode_reader(source.open()?, &source.origin())
    }

    /// Encodes the beginning of a text that is to be continued: its last line, or the last sentence of running text,
    /// gets no end-of-line token unless it has a line end.
    ///
    /// # Errors
    /// As [`encode_reader`](Self::encode_reader).
    pub fn encode_prefix(&self, prefix: &str) -> Result<Vec<u32>> {
        const ORIGIN: &str = "the prefix";
        let mut ids = Vec::new();
        let mut scanner = tokenize::Scanner::new(self.tokenizer, ORIGIN, self.lossy);
        let mut visit = |token: &str, line| {
            ids.push(self.known_or_unknown(token, ORIGIN, line)?);
            Ok(())
        };
        scanner.feed(prefix.as_bytes(), &mut visit)?;
        scanner.finish_open(&mut visit)?;
        Ok(ids)
    }

    /// Encodes `reader` line by line as the iterator is asked for them; `origin` names it in errors.
    pub fn lines<R: BufRead>(&self, reader: R, origin: &'a str) -> Lines<'a, R> {
        Lines::new(*self, reader, origin)
    }

    /// Appends the ids of `reader`, without its last `drop_tail_chars` characters, to `ids`.
    pub(crate) fn append(
        &self,
        reader: impl BufRead,
        origin: &str,
        drop_tail_chars: u64,
        ids: &mut Vec<u32>,
    ) -> Result<TextReport> {
        let (mut unknown_tokens, mut out_of_vocab_tokens) = (0, 0);
        let reading = tokenize::Reading { drop_tail_chars, lossy: self.lossy };
        let stats = tokenize::read_tokens(self.tokenizer, reader, origin, reading, |token, line| {
            let id = if let Some(id) = self.vocab.id(token) {
                id
            } else {
                out_of_vocab_tokens += 1;
                self.known_or_unknown(token, origin, line)?
            };
            unknown_tokens += u64::from(self.vocab.unknown_id() == Some(id));
            ids.push(id);
            Ok(())
        })?;
        Ok(TextReport { origin: origin.to_owned(), stats, unknown_tokens, out_of_vocab_tokens })
    }

    fn known_or_unknown(&self, token: &str, origin: &str, line: u64) -> Result<u32> {
        self.vocab.id_or_unknown(token).ok_or_else(|| vocab::unknown_token(token, origin, line))
    }
}

#[cfg(test)]
mod tests;
