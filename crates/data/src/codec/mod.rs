//! Encodes text to ids and decodes ids to text: a tokenizer and a vocabulary in one value.
//!
//! ```text
//! text ──▶ tokenizer (which also normalizes) ──▶ tokens ──▶ vocabulary ──▶ ids      encode, lines, prompt
//! text ◀── joiner ◀───────────────────────────── tokens ◀── vocabulary ◀── ids      decode, decoder
//! text ◀── parts ◀────────────────────────────── tokens                             align
//! ```
//!
//! Promises: encoding a text line by line, or running text sentence by sentence, gives exactly the same ids as
//! encoding it as a whole; no other code in the library turns tokens into text. Not here: building a vocabulary
//! from a text (`corpus`).

use std::borrow::Cow;
use std::io::BufRead;
use std::ops::Range;
use std::sync::Arc;

use crate::{Result, TextSource, TextStats, TokenIds, Tokenizer, Vocab, tokenize, vocab};

mod decoder;
mod json;
mod lines;
mod tokens;

pub use decoder::{Spacing, TextDecoder};
pub(crate) use json::{FORMAT, VERSION};
pub use lines::{EncodedLine, LineEncoder, Lines};
pub use tokens::Tokens;

/// A tokenizer and a vocabulary, which encode text to ids and decode ids to text. Cheap to clone.
///
/// ```
/// use rondo_data::{TextCodec, Tokenizer, Vocab};
///
/// let vocab = Vocab::from_tokens("example", ["<unk>", "<eos>", "the", "cat"], Some("<unk>"))?;
/// let codec = TextCodec::new(Tokenizer::default(), vocab);
///
/// let encoded = codec.encode("the cat\nthe dog\n")?;
/// assert_eq!(encoded.ids, [2, 3, 1, 2, 0, 1]);
/// assert_eq!(encoded.report.out_of_vocab_tokens, 1);
/// assert_eq!(codec.decode(&encoded.ids)?, "the cat\nthe <unk>\n");
///
/// assert_eq!(codec.encode_prefix("the cat")?, [2, 3]); // not a finished line
/// assert_eq!(codec.prompt("the cat")?, [1, 2, 3]); // at the start of a line
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextCodec {
    tokenizer: Tokenizer,
    vocab: Arc<Vocab>,
    lossy: bool,
}

/// The ids of a text and statistics about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// One id per token.
    pub ids: Vec<u32>,
    /// Statistics about the text.
    pub report: TextReport,
}

/// Statistics about one text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextReport {
    /// The path of the file, or the name of the source.
    pub origin: String,
    /// Bytes, characters, lines, tokens.
    pub stats: TextStats,
    /// The number of tokens with the unknown token's id: `<unk>` in the text itself, or an out-of-vocabulary token.
    pub unknown_tokens: u64,
    /// The number of out-of-vocabulary tokens among them.
    pub out_of_vocab_tokens: u64,
}

impl TextCodec {
    /// Creates a codec that rejects bytes that are not text.
    #[must_use]
    pub fn new(tokenizer: Tokenizer, vocab: Vocab) -> Self {
        Self { tokenizer, vocab: Arc::new(vocab), lossy: false }
    }

    /// A codec with the vocabulary that comes with a tokenizer, if one does; see [`Tokenizer::open`].
    ///
    /// # Errors
    /// As [`Tokenizer::vocab`].
    pub fn of_tokenizer(tokenizer: Tokenizer) -> Result<Option<Self>> {
        Ok(tokenizer.vocab()?.map(|vocab| Self::new(tokenizer, vocab)))
    }

    /// The same vocabulary with a different tokenizer, for texts that must be split into these tokens in a
    /// different way. Texts are normalized as before, since the tokens of the vocabulary are.
    #[must_use]
    pub fn with_tokenizer(&self, tokenizer: Tokenizer) -> Self {
        let tokenizer = tokenizer.with_normalization(self.tokenizer.normalization());
        Self { tokenizer, ..self.clone() }
    }

    /// The text as the tokenizer normalizes it before splitting it into tokens.
    #[must_use]
    pub fn normalized<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.tokenizer.normalization().normalize(text)
    }

    /// The same codec, with the counts of the tokens from the id `first` on set to those of a text; see
    /// [`Vocab::counts`].
    pub(crate) fn counted_from(mut self, first: usize, text: &TokenIds) -> Result<Self> {
        Arc::make_mut(&mut self.vocab).count_from(first, text)?;
        Ok(self)
    }

    /// Sets whether invalid UTF-8 and NUL bytes are replaced by U+FFFD instead of being an error. A byte
    /// tokenizer accepts all bytes in either case.
    #[must_use]
    pub fn lossy(self, lossy: bool) -> Self {
        Self { lossy, ..self }
    }

    /// Whether invalid UTF-8 and NUL bytes are replaced instead of being an error.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        self.lossy
    }

    /// A text as it is read: with U+FFFD for what this codec replaces by it.
    #[must_use]
    pub fn as_read<'a>(&self, text: &'a [u8]) -> Cow<'a, [u8]> {
        if !self.lossy || self.is_of_bytes() {
            return Cow::Borrowed(text);
        }
        Cow::Owned(String::from_utf8_lossy(text).replace('\0', "\u{fffd}").into_bytes())
    }

    /// The tokenizer.
    #[must_use]
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The vocabulary.
    #[must_use]
    pub fn vocab(&self) -> &Vocab {
        &self.vocab
    }

    /// The id of the token that ends each line of a text, if it is in the vocabulary: the tokenizer's end-of-line
    /// token for words, the line feed for characters and bytes.
    #[must_use]
    pub fn line_end(&self) -> Option<u32> {
        self.vocab.id(self.tokenizer.line_end()?)
    }

    /// The id of the unknown token, which replaces out-of-vocabulary tokens.
    #[must_use]
    pub fn unknown_id(&self) -> Option<u32> {
        self.vocab.unknown_id()
    }

    /// The name of one token: `token`, `character` or `byte`.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        self.tokenizer.unit()
    }

    /// Whether tokens are words, as opposed to characters or bytes.
    #[must_use]
    pub fn is_of_words(&self) -> bool {
        self.tokenizer.is_of_words()
    }

    /// The bytes of `text`, which is one line without its line ending, that each of its `tokens` stands for. Tokens that
    /// are parted, joined, lowercased or normalized are found by their letters. A line end stands for nothing, at the end
    /// of the text. Invalid UTF-8 stands for U+FFFD.
    ///
    /// ```
    /// use rondo_data::{TextCodec, Tokenizer, Vocab};
    ///
    /// let vocab = Vocab::from_tokens("example", ["<unk>", "<eos>"], Some("<unk>"))?;
    /// let codec = TextCodec::new(Tokenizer::moses(), vocab);
    /// let line = codec.line_encoder("my.txt").encode(b"It's  late.")?;
    /// assert_eq!(line.tokens, ["It", "'s", "late", ".", "<eos>"]);
    /// assert_eq!(codec.align(&line.text, &line.tokens), Ok(vec![0..2, 2..4, 6..10, 10..11, 11..11]));
    /// # Ok::<(), rondo_data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// The index of the first token that does not match the text; if there is more text than tokens, their number.
    pub fn align(&self, text: &[u8], tokens: &Tokens) -> std::result::Result<Vec<Range<usize>>, usize> {
        let tokens: Vec<String> = tokens.iter().map(str::to_owned).collect();
        self.tokenizer.align(text, &tokens)
    }

    /// The tokens that end the word before them, if words consist of tokens that do not tell where a word ends: those
    /// that begin with whitespace, and the line end. Of bytes, this is the whitespace of ASCII. None if tokens are words.
    #[must_use]
    pub fn separators(&self) -> Vec<u32> {
        self.with_text(|text| text.first().is_some_and(|&first| self.is_space(first, text)))
    }

    /// The tokens that are nothing but whitespace, or the line end. None if tokens are words.
    #[must_use]
    pub fn blanks(&self) -> Vec<u32> {
        let is_blank = |text: &[u8]| String::from_utf8_lossy(text).chars().all(char::is_whitespace);
        self.with_text(|text| !text.is_empty() && is_blank(text))
    }

    /// Whether a text begins with whitespace.
    fn is_space(&self, first: u8, text: &[u8]) -> bool {
        if first.is_ascii() || self.is_of_bytes() {
            return matches!(first, b'\t'..=b'\r' | b' ');
        }
        let first = text.utf8_chunks().next().and_then(|chunk| chunk.valid().chars().next());
        first.is_some_and(char::is_whitespace)
    }

    /// The tokens whose text, after a word, is one of these; none if tokens are words.
    fn with_text(&self, is_one: impl Fn(&[u8]) -> bool) -> Vec<u32> {
        if self.is_of_words() {
            return vec![];
        }
        let texts = self.texts_after_word();
        (0..).zip(texts).filter(|(_, text)| is_one(text)).map(|(id, _)| id).collect()
    }

    /// The text that each token, in the order of their ids, adds to a text that ends in a word.
    #[must_use]
    pub fn texts_after_word(&self) -> Vec<Vec<u8>> {
        let word = self.word();
        self.vocab.tokens().map(|token| self.text_after(word, token)).collect()
    }

    /// What a token stands for: for one of subwords, the text that it adds to a text that ends in a word; for others, the
    /// token itself. `None` if there is no token with this id.
    #[must_use]
    pub fn token_text(&self, id: u32) -> Option<Cow<'_, str>> {
        let token = self.vocab.token(id)?;
        if !self.is_of_subwords() {
            return Some(Cow::Borrowed(token));
        }
        let text = self.text_after(self.word(), token);
        Some(Cow::Owned(String::from_utf8_lossy(&text).into_owned()))
    }

    /// A token that is a word, or the beginning of one.
    fn word(&self) -> Option<&str> {
        self.vocab.tokens().find(|token| self.join([token]).starts_with(char::is_alphanumeric))
    }

    /// The text that a token adds to the one of `word`.
    fn text_after(&self, word: Option<&str>, token: &str) -> Vec<u8> {
        let (mut decoder, mut text) = (self.decoder(Spacing::AsRead), Vec::new());
        word.into_iter().for_each(|word| decoder.push_token(word, &mut text));
        let before = text.len();
        decoder.push_token(token, &mut text);
        text.split_off(before)
    }

    /// Whether tokens are words and parts of words, of a tokenizer that was read from a file.
    #[must_use]
    pub fn is_of_subwords(&self) -> bool {
        self.tokenizer.kind().is_none()
    }

    /// Whether tokens are bytes.
    #[must_use]
    pub fn is_of_bytes(&self) -> bool {
        self.tokenizer.unit() == "byte"
    }

    /// Encodes a text.
    ///
    /// # Errors
    /// See [`encode_reader`](Self::encode_reader).
    pub fn encode(&self, text: &str) -> Result<Encoded> {
        self.encode_reader(text.as_bytes(), "the text")
    }

    /// Encodes a whole text; `origin` is its name in errors and in the report.
    ///
    /// # Errors
    /// The errors of [`Tokenizer::for_each_token`]; [`DataError::UnknownToken`](crate::DataError::UnknownToken)
    /// for an out-of-vocabulary token if the vocabulary has no unknown token.
    pub fn encode_reader(&self, reader: impl BufRead, origin: &str) -> Result<Encoded> {
        let mut ids = Vec::new();
        let report = self.append(reader, origin, 0, &mut ids)?;
        Ok(Encoded { ids, report })
    }

    /// Encodes a whole text as [`encode_reader`](Self::encode_reader) does, but if the vocabulary has no unknown token,
    /// out-of-vocabulary tokens are left out. The report counts them.
    ///
    /// # Errors
    /// The errors of [`Tokenizer::for_each_token`].
    pub fn encode_known(&self, reader: impl BufRead, origin: &str) -> Result<Encoded> {
        let mut ids = Vec::new();
        let report =
            self.append_with(reader, origin, 0, &mut ids, |token, _| Ok(self.vocab.id_or_unknown(token)))?;
        Ok(Encoded { ids, report })
    }

    /// Encodes a whole text from its source.
    ///
    /// # Errors
    /// The errors of [`encode_reader`](Self::encode_reader); [`DataError::Missing`](crate::DataError::Missing) if
    /// the file does not exist.
    pub fn encode_source(&self, source: &TextSource) -> Result<Encoded> {
        self.encode_reader(source.open()?, &source.origin())
    }

    /// Encodes a prefix that is to be continued: its last line, or its last sentence in running text, gets no
    /// end-of-line token unless it ends in a line ending.
    ///
    /// # Errors
    /// See [`encode_reader`](Self::encode_reader).
    pub fn encode_prefix(&self, prefix: &str) -> Result<Vec<u32>> {
        self.encode_prefix_bytes(prefix.as_bytes())
    }

    /// [`encode_prefix`](Self::encode_prefix) of bytes: any bytes with a byte tokenizer, UTF-8 with the others.
    ///
    /// # Errors
    /// See [`encode_reader`](Self::encode_reader).
    pub fn encode_prefix_bytes(&self, prefix: &[u8]) -> Result<Vec<u32>> {
        const ORIGIN: &str = "the prefix";
        let mut ids = Vec::new();
        let mut scanner = tokenize::Scanner::new(&self.tokenizer, ORIGIN, self.lossy);
        let mut visit = |token: &str, line| {
            ids.push(self.known_or_unknown(token, ORIGIN, line)?);
            Ok(())
        };
        scanner.feed(prefix, &mut visit)?;
        scanner.finish_open(&mut visit)?;
        Ok(ids)
    }

    /// Encodes a prompt at the start of a line: the [line-end token](Self::line_end), if there is one, followed
    /// by the [prefix](Self::encode_prefix). The result is empty only if the prompt is empty and there is no
    /// line-end token.
    ///
    /// # Errors
    /// See [`encode_reader`](Self::encode_reader).
    pub fn prompt(&self, prompt: &str) -> Result<Vec<u32>> {
        Ok(self.line_end().into_iter().chain(self.encode_prefix(prompt)?).collect())
    }

    /// Encodes a text lazily, line by line; `origin` is its name in errors.
    pub fn lines<R: BufRead>(&self, reader: R, origin: &str) -> Lines<R> {
        Lines::new(self.clone(), reader, origin)
    }

    /// An encoder of lines that are each answered on their own: never split, merged or dropped. Running text is not
    /// split into sentences; each line gets a line end, if the vocabulary has one; a token that has no id does not end
    /// the job; a word that is spelled like the line end is a word. `origin` is the name of the text in errors.
    ///
    /// ```
    /// use rondo_data::{TextCodec, Tokenizer, Vocab};
    ///
    /// let vocab = Vocab::from_tokens("example", ["a", "b", "\n"], None)?;
    /// let mut lines = TextCodec::new(Tokenizer::chars(), vocab).line_encoder("my.txt");
    /// assert_eq!(lines.encode(b"ab")?.ids, [0, 1, 2]);
    /// assert_eq!(lines.encode(b"a\xc3\xa9\n")?.missing, ["é"]);
    /// assert_eq!(lines.encode(b"")?.ids, [2]);
    /// # Ok::<(), rondo_data::DataError>(())
    /// ```
    #[must_use]
    pub fn line_encoder(&self, origin: &str) -> LineEncoder {
        LineEncoder::new(self, origin)
    }

    /// Decodes ids to text, spaced [as it was read](Spacing::AsRead). Bytes that are not UTF-8 become U+FFFD; use a
    /// [`decoder`](Self::decoder) to get the exact bytes.
    ///
    /// # Errors
    /// [`DataError::IdOutOfRange`](crate::DataError::IdOutOfRange) for an id that is not in the vocabulary.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        let (mut decoder, mut text) = (self.decoder(Spacing::AsRead), Vec::new());
        ids.iter().try_for_each(|&id| decoder.push(id, &mut text))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Joins tokens to text, spaced [as it was read](Spacing::AsRead). The tokens do not have to be in the
    /// vocabulary.
    pub fn join<T: AsRef<str>>(&self, tokens: impl IntoIterator<Item = T>) -> String {
        let (mut decoder, mut text) = (self.decoder(Spacing::AsRead), Vec::new());
        tokens.into_iter().for_each(|token| decoder.push_token(token.as_ref(), &mut text));
        String::from_utf8_lossy(&text).into_owned()
    }

    /// A decoder that takes ids one at a time.
    #[must_use]
    pub fn decoder(&self, spacing: Spacing) -> TextDecoder {
        TextDecoder::new(self.clone(), spacing)
    }

    /// Appends the ids of a text, without its last `drop_tail_chars` characters, to `ids`.
    pub(crate) fn append(
        &self,
        reader: impl BufRead,
        origin: &str,
        drop_tail_chars: u64,
        ids: &mut Vec<u32>,
    ) -> Result<TextReport> {
        let missing = |token: &str, line| self.known_or_unknown(token, origin, line).map(Some);
        self.append_with(reader, origin, drop_tail_chars, ids, missing)
    }

    /// [`append`](Self::append), where `missing` gives the id of an out-of-vocabulary token, or leaves it out.
    pub(crate) fn append_with(
        &self,
        reader: impl BufRead,
        origin: &str,
        drop_tail_chars: u64,
        ids: &mut Vec<u32>,
        missing: impl Fn(&str, u64) -> Result<Option<u32>>,
    ) -> Result<TextReport> {
        let vocab = self.vocab();
        let (mut unknown_tokens, mut out_of_vocab_tokens) = (0, 0);
        let reading = tokenize::Reading { drop_tail_chars, lossy: self.lossy };
        let stats = tokenize::read_tokens(&self.tokenizer, reader, origin, reading, |token, line| {
            let id = if let Some(id) = vocab.id(token) {
                Some(id)
            } else {
                out_of_vocab_tokens += 1;
                missing(token, line)?
            };
            unknown_tokens += u64::from(id.is_some() && vocab.unknown_id() == id);
            ids.extend(id);
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
