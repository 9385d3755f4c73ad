//! The handle to a tokenizer of any kind, its options, and its JSON form.

use std::fmt;
use std::io::{BufRead, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::kind::{Alignment, AnyKind, Cutter, DEFAULT_EOS, Entry, Joiner, KINDS, Named, Span};
use super::{
    BlankLines, Border, Normalization, Punctuation, Reading, TextStats, bytes, chars, moses, read_tokens,
    words,
};
#[cfg(not(feature = "tokenizers"))]
use crate::error::NO_TOKENIZERS;
use crate::error::read_error;
use crate::moses::Joints;
use crate::{DataError, Result, Vocab, VocabOptions};

/// The name of tokenizers that were read from files.
pub(super) const SUBWORDS: &str = "subwords";

/// The key of the normalization in a tokenizer's JSON.
const NORMALIZATION: &str = "normalization";

/// A tokenizer: splits text into tokens and joins tokens to text. Cheap to clone.
///
/// ```
/// use rondo_data::Tokenizer;
///
/// let mut tokens = Vec::new();
/// Tokenizer::words().for_each_token("a b\nc".as_bytes(), "example", |token, line| {
///     tokens.push(format!("{line}:{token}"));
///     Ok(())
/// })?;
/// assert_eq!(tokens, ["1:a", "1:b", "1:<eos>", "2:c", "2:<eos>"]);
///
/// let lowercase = Tokenizer::moses().with_lowercase(true);
/// assert_eq!((lowercase.name(), lowercase.options().lowercase), ("moses", Some(true)));
/// # Ok::<(), rondo_data::DataError>(())
/// ```
#[derive(Clone)]
pub struct Tokenizer {
    kind: AnyKind,
    /// How texts are normalized first; bytes are not.
    normalization: Normalization,
}

/// The kind of a tokenizer that has a name, such as `words`; see the table in [`tokenize`](super).
#[derive(Clone, Copy)]
pub struct TokenizerKind(pub(super) &'static Named);

/// The options of a tokenizer. `None` means the default, or that the tokenizer does not have the option.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TokenizerOptions {
    /// For words: how blank lines are handled.
    pub blank_lines: Option<BlankLines>,
    /// For running text: whether lines are joined and split into sentences. If not, each line is a sentence, except
    /// blank lines.
    pub sentences: Option<bool>,
    /// For running text: how hyphens, commas and periods inside words and numbers are split.
    pub joints: Option<Joints>,
    /// For words and running text: whether the text is lowercased.
    pub lowercase: Option<bool>,
    /// For words: whether punctuation at their ends is removed; inside a word (`don't`, `well-known`) it stays.
    pub punctuation: Option<Punctuation>,
    /// For words: the token that replaces numbers, which are digits with single separators between them; an empty string
    /// keeps them.
    pub number_token: Option<String>,
    /// For all except bytes: how the text is normalized.
    pub normalization: Option<Normalization>,
}

impl TokenizerOptions {
    /// These options, with the options of `others` for those that are `None`.
    fn or(self, others: Self) -> Self {
        Self {
            blank_lines: self.blank_lines.or(others.blank_lines),
            sentences: self.sentences.or(others.sentences),
            joints: self.joints.or(others.joints),
            lowercase: self.lowercase.or(others.lowercase),
            punctuation: self.punctuation.or(others.punctuation),
            number_token: self.number_token.or(others.number_token),
            normalization: self.normalization.or(others.normalization),
        }
    }
}

impl Tokenizer {
    /// Words separated by whitespace, with `<eos>` after every line, including blank lines.
    #[must_use]
    pub fn words() -> Self {
        TokenizerKind(words::NAMED).tokenizer(&TokenizerOptions::default())
    }

    /// Words and punctuation of running text, with `<eos>` after every sentence. Hyphens and case are kept.
    #[must_use]
    pub fn moses() -> Self {
        TokenizerKind(moses::NAMED).tokenizer(&TokenizerOptions::default())
    }

    /// Unicode scalar values, including line endings.
    #[must_use]
    pub fn chars() -> Self {
        TokenizerKind(chars::NAMED).tokenizer(&TokenizerOptions::default())
    }

    /// Bytes, for any file.
    ///
    /// A printable ASCII byte, including the space, is written as itself; any other byte is written as `<0x0A>`: six
    /// characters with two uppercase hexadecimal digits. The two forms are distinct, so joining bytes is exact.
    #[must_use]
    pub fn bytes() -> Self {
        TokenizerKind(bytes::NAMED).tokenizer(&TokenizerOptions::default())
    }

    /// Opens the file of a tokenizer for subwords: a `tokenizer.json` of Hugging Face (BPE, WordPiece, unigram) or a
    /// `.model` of SentencePiece. It comes with its [vocabulary](Self::vocab).
    ///
    /// # Errors
    /// [`DataError::Missing`] and [`DataError::Read`](crate::DataError::Read); as [`from_bytes`](Self::from_bytes).
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let origin = path.display().to_string();
        let bytes = std::fs::read(path).map_err(|source| match source.kind() {
            ErrorKind::NotFound => DataError::Missing { path: path.to_owned() },
            _ => read_error(&origin, source),
        })?;
        Self::from_bytes(&origin, bytes)
    }

    /// A tokenizer for subwords, from the contents of its [file](Self::open); `origin` is its name in errors.
    ///
    /// # Errors
    /// [`DataError::TokenizerFile`] for a file that is damaged or of another kind; the errors of [`Vocab::from_tokens`];
    /// [`DataError::NoTokenizers`] without the feature `tokenizers`.
    pub fn from_bytes(origin: &str, bytes: Vec<u8>) -> Result<Self> {
        #[cfg(feature = "tokenizers")]
        return Ok(Self::of(super::subwords::open(origin, bytes)?, None));
        #[cfg(not(feature = "tokenizers"))]
        {
            drop(bytes);
            Err(DataError::NoTokenizers { origin: origin.to_owned() })
        }
    }

    /// Sets the token after each line or sentence, or removes it. Has no effect for characters and bytes.
    #[must_use]
    pub fn with_eos(&self, eos: Option<&str>) -> Self {
        Self { kind: self.kind.with(eos, &self.options()), ..self.clone() }
    }

    /// Sets the options that are not `None`; options that the tokenizer does not have are ignored.
    #[must_use]
    pub fn with_options(&self, options: TokenizerOptions) -> Self {
        let options = options.or(self.options());
        Self::of(self.kind.with(self.eos(), &options), options.normalization)
    }

    /// Sets [`TokenizerOptions::blank_lines`].
    #[must_use]
    pub fn with_blank_lines(&self, blank_lines: BlankLines) -> Self {
        self.with_options(TokenizerOptions { blank_lines: Some(blank_lines), ..TokenizerOptions::default() })
    }

    /// Sets [`TokenizerOptions::sentences`].
    #[must_use]
    pub fn with_sentences(&self, sentences: bool) -> Self {
        self.with_options(TokenizerOptions { sentences: Some(sentences), ..TokenizerOptions::default() })
    }

    /// Sets [`TokenizerOptions::joints`].
    #[must_use]
    pub fn with_joints(&self, joints: Joints) -> Self {
        self.with_options(TokenizerOptions { joints: Some(joints), ..TokenizerOptions::default() })
    }

    /// Sets [`TokenizerOptions::lowercase`].
    #[must_use]
    pub fn with_lowercase(&self, lowercase: bool) -> Self {
        self.with_options(TokenizerOptions { lowercase: Some(lowercase), ..TokenizerOptions::default() })
    }

    /// Sets [`TokenizerOptions::punctuation`].
    ///
    /// ```
    /// use rondo_data::{Punctuation, Tokenizer};
    ///
    /// let words = Tokenizer::words().with_lowercase(true).with_punctuation(Punctuation::Remove).with_number_token("<num>");
    /// let mut tokens = Vec::new();
    /// words.for_each_token("“Don’t pay $1,234.50 — or <unk>!”".as_bytes(), "example", |token, _| {
    ///     tokens.push(token.to_owned());
    ///     Ok(())
    /// })?;
    /// assert_eq!(tokens, ["don’t", "pay", "<num>", "or", "<unk>", "<eos>"]);
    /// # Ok::<(), rondo_data::DataError>(())
    /// ```
    #[must_use]
    pub fn with_punctuation(&self, punctuation: Punctuation) -> Self {
        self.with_options(TokenizerOptions { punctuation: Some(punctuation), ..TokenizerOptions::default() })
    }

    /// Sets [`TokenizerOptions::number_token`].
    #[must_use]
    pub fn with_number_token(&self, token: &str) -> Self {
        let number_token = Some(token.to_owned());
        self.with_options(TokenizerOptions { number_token, ..TokenizerOptions::default() })
    }

    /// Sets [`TokenizerOptions::normalization`].
    #[must_use]
    pub fn with_normalization(&self, normalization: Normalization) -> Self {
        let normalization = Some(normalization);
        self.with_options(TokenizerOptions { normalization, ..TokenizerOptions::default() })
    }

    /// A tokenizer of this kind, which may not be one for normalized texts.
    fn of(kind: AnyKind, normalization: Option<Normalization>) -> Self {
        let normalization = normalization.filter(|_| kind.is_normalizable()).unwrap_or_default();
        Self { kind, normalization }
    }

    /// Its kind; `None` for a tokenizer that was read from a file.
    #[must_use]
    pub fn kind(&self) -> Option<TokenizerKind> {
        TokenizerKind::from_name(self.name())
    }

    /// The name of its kind; `subwords` for a tokenizer that was read from a file.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.kind.entry().name
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> TokenizerOptions {
        let normalization = self.kind.is_normalizable().then_some(self.normalization);
        TokenizerOptions { normalization, ..self.kind.options() }
    }

    /// How texts are normalized before they are split.
    #[must_use]
    pub fn normalization(&self) -> Normalization {
        self.normalization
    }

    /// Whether tokens are words, which can be split in other ways than at whitespace.
    #[must_use]
    pub fn is_of_words(&self) -> bool {
        self.kind.is_of_words()
    }

    /// The name of one token: `token`, `character` or `byte`.
    #[must_use]
    pub fn unit(&self) -> &'static str {
        self.kind.unit()
    }

    /// The token added after each line or sentence, if there is one.
    #[must_use]
    pub fn eos(&self) -> Option<&str> {
        self.kind.eos()
    }

    /// The token for a line ending, if there is one: the end-of-line token for words, the line feed for
    /// characters and bytes.
    #[must_use]
    pub fn line_end(&self) -> Option<&str> {
        self.kind.line_end()
    }

    /// Whether text is split into sentences, independently of lines.
    pub(crate) fn is_by_sentences(&self) -> bool {
        self.kind.is_by_sentences()
    }

    /// Where a text can be cut into parts that are tokenized independently.
    pub(crate) fn border(&self) -> Border {
        if self.is_by_sentences() { Border::BlankLine } else { Border::Line }
    }

    /// The default vocabulary options for its tokens.
    pub(crate) fn vocab_options(&self) -> VocabOptions {
        self.kind.vocab_options()
    }

    /// The vocabulary that comes with a tokenizer that was read from a file, and with its end-of-line token.
    ///
    /// # Errors
    /// The errors of [`Vocab::from_tokens`], if its tokens are none.
    pub fn vocab(&self) -> Result<Option<Vocab>> {
        self.kind.vocab()
    }

    /// The usual name (`tokenizer.json` or `tokenizer.model`) and the contents of the file that it was read from, if it was.
    #[must_use]
    pub fn file(&self) -> Option<(&'static str, &[u8])> {
        self.kind.file()
    }

    /// How the tokens of a text are found in it.
    pub(super) fn alignment(&self) -> Alignment {
        self.kind.entry().alignment
    }

    /// See [`Kind::spans`](super::kind::Kind::spans).
    pub(super) fn spans(&self, line: &str) -> Option<Vec<Span>> {
        self.kind.spans(line)
    }

    /// Creates a joiner at the start of a text.
    pub(crate) fn joiner(&self) -> Box<dyn Joiner> {
        self.kind.joiner()
    }

    pub(super) fn cutter(&self) -> Cutter {
        self.kind.cutter()
    }

    /// Tokenizes the whole text and calls `visit` with each token and its line number (starting at 1), in order.
    ///
    /// `origin` is the name of the text in errors.
    ///
    /// # Errors
    /// [`DataError::Read`](crate::DataError::Read); for words and characters also
    /// [`DataError::InvalidUtf8`](crate::DataError::InvalidUtf8) and
    /// [`DataError::Binary`](crate::DataError::Binary); and any error returned by `visit`, which stops the reading.
    pub fn for_each_token(
        &self,
        reader: impl BufRead,
        origin: &str,
        visit: impl FnMut(&str, u64) -> Result<()>,
    ) -> Result<TextStats> {
        read_tokens(self, reader, origin, Reading::default(), visit)
    }

    /// Formats the tokenizer as JSON, as in model files: its kind and all its options.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Not with serde, whose serializers can fail.
        let fields = self.fields().map(|(key, value)| format!("{}:{value}", Value::from(key)));
        format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, Value)> {
        // Without normalization, the JSON and its hash are those of versions that had none.
        let normalized = (self.normalization != Normalization::None)
            .then(|| (NORMALIZATION, self.normalization.name().into()));
        std::iter::once(("kind", self.name().into())).chain(self.kind.fields()).chain(normalized)
    }
}

/// The entry with this name in model files, or what is wrong with it.
fn entry(name: &str) -> std::result::Result<&'static Entry, String> {
    if name == SUBWORDS {
        #[cfg(feature = "tokenizers")]
        return Ok(super::subwords::ENTRY);
        #[cfg(not(feature = "tokenizers"))]
        return Err(format!("its tokenizer is for subwords, and {NO_TOKENIZERS}"));
    }
    let known = TokenizerKind::from_name(name).map(|TokenizerKind(named)| named.entry);
    known.ok_or_else(|| {
        let names: Vec<String> = TokenizerKind::NAMES.iter().map(|name| format!("`{name}`")).collect();
        format!("unknown variant `{name}`, expected one of {}", names.join(", "))
    })
}

impl TokenizerKind {
    /// The names of all kinds.
    pub const NAMES: &'static [&'static str] = &{
        let mut names = [""; KINDS.len()];
        let mut index = 0;
        while index < KINDS.len() {
            names[index] = KINDS[index].entry.name;
            index += 1;
        }
        names
    };

    /// The kind with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        KINDS.into_iter().find(|kind| kind.entry.name == name).map(TokenizerKind)
    }

    /// The name in recipes, flags and model files.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.0.entry.name
    }

    /// Creates a tokenizer of this kind. Options that the kind does not have are ignored.
    #[must_use]
    pub fn tokenizer(self, options: &TokenizerOptions) -> Tokenizer {
        Tokenizer::of((self.0.make)(Some(DEFAULT_EOS), options), options.normalization)
    }

    /// Creates a tokenizer of this kind whose tokens match the vocabulary, as far as its options can be inferred
    /// from it; `eos` is the token after each line or sentence.
    #[must_use]
    pub fn fitted(self, vocab: &Vocab, eos: Option<&str>, options: &TokenizerOptions) -> Tokenizer {
        Tokenizer::of((self.0.fit)(vocab, eos, options), options.normalization)
    }
}

impl Default for Tokenizer {
    /// [`Tokenizer::words`].
    fn default() -> Self {
        Self::words()
    }
}

impl fmt::Display for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tokenizer").field(&self.kind).field(&self.normalization).finish()
    }
}

impl PartialEq for Tokenizer {
    fn eq(&self, other: &Self) -> bool {
        (Arc::ptr_eq(&self.kind, &other.kind) && self.normalization == other.normalization)
            || self.fields().eq(other.fields())
    }
}

impl Eq for Tokenizer {}

impl Serialize for Tokenizer {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.fields() {
            map.serialize_entry(key, &value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Tokenizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let name = fields.remove("kind").ok_or_else(|| D::Error::missing_field("kind"))?;
        let name = name.as_str().ok_or_else(|| D::Error::custom("the field `kind` is not a string"))?;
        let entry = entry(name).map_err(D::Error::custom)?;
        let normalization = match fields.remove(NORMALIZATION) {
            Some(value) => Some(Normalization::deserialize(value).map_err(D::Error::custom)?),
            None => None,
        };
        Ok(Tokenizer::of((entry.read)(fields).map_err(D::Error::custom)?, normalization))
    }
}

impl Default for TokenizerKind {
    /// Words.
    fn default() -> Self {
        Self(words::NAMED)
    }
}

impl PartialEq for TokenizerKind {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for TokenizerKind {}

impl fmt::Display for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for TokenizerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenizerKind").field(&self.name()).finish()
    }
}
