//! The interface of a tokenizer kind, and the registry of kinds.
//!
//! To add a kind, add a file next to this one with a type that implements [`Kind`], an [`Entry`] and a [`Named`], and a
//! line in [`KINDS`]. The entry defines the name in recipes, flags and model files. No other code depends on the kind of a
//! tokenizer. Subwords have no name in recipes and flags: these tokenizers are files.

use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{TokenizerOptions, bytes, chars, moses, words};
use crate::{Result, Vocab, VocabOptions};

/// All kinds, in the order in which they are listed for users.
pub(super) const KINDS: [&Named; 4] = [words::NAMED, moses::NAMED, chars::NAMED, bytes::NAMED];

/// The default end-of-line token for words.
pub(super) const DEFAULT_EOS: &str = "<eos>";

/// A tokenizer of any kind.
pub(super) type AnyKind = Arc<dyn Kind>;

/// How to recognize and read tokenizers of a kind.
pub(super) struct Entry {
    /// Its name in model files.
    pub(super) name: &'static str,
    /// Parses a tokenizer from its JSON object, without the field `kind`.
    pub(super) read: fn(Map<String, Value>) -> serde_json::Result<AnyKind>,
    /// How the tokens of a text are found in it.
    pub(super) alignment: Alignment,
}

/// A kind whose tokenizers can be created from its name and options.
pub(super) struct Named {
    /// Its entry, which has the name in recipes and flags.
    pub(super) entry: &'static Entry,
    /// Creates a tokenizer with this end-of-line token and these options. Options that are `None` get their defaults;
    /// options that the kind does not have are ignored.
    pub(super) make: fn(Option<&str>, &TokenizerOptions) -> AnyKind,
    /// Like `make`, but options that can be inferred from the vocabulary are chosen so that the tokens match it.
    pub(super) fit: fn(&Vocab, Option<&str>, &TokenizerOptions) -> AnyKind,
}

/// A token of a line, and the part of the line that it stands for.
pub(super) type Span = (String, Range<usize>);

/// How the tokens of a text are found in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Alignment {
    /// Each part between whitespace is tokenized independently of the others.
    Chunks,
    /// The tokens have the letters of the text, without whitespace and control characters.
    Letters,
    /// Each token is a character.
    Characters,
    /// Each token is a byte.
    Bytes,
    /// As the tokenizer says.
    #[cfg_attr(not(feature = "tokenizers"), expect(dead_code, reason = "subwords are not compiled"))]
    Own,
}

/// A tokenizer of some kind.
pub(super) trait Kind: Debug + Send + Sync {
    /// The entry of its kind.
    fn entry(&self) -> &'static Entry;

    /// The same tokenizer with this end-of-line token and these options. Options that are `None` get their defaults;
    /// options that the kind does not have are ignored.
    fn with(&self, eos: Option<&str>, options: &TokenizerOptions) -> AnyKind;

    /// The name of one token, in the singular.
    fn unit(&self) -> &'static str {
        "token"
    }

    /// Whether its tokens are words.
    fn is_of_words(&self) -> bool {
        false
    }

    /// Whether texts can be normalized before it reads them.
    fn is_normalizable(&self) -> bool {
        true
    }

    /// Whether it splits text into sentences, independently of lines.
    fn is_by_sentences(&self) -> bool {
        false
    }

    /// The token added after each line or sentence, if there is one.
    fn eos(&self) -> Option<&str> {
        None
    }

    /// The token for a line ending, if there is one.
    fn line_end(&self) -> Option<&str> {
        self.eos()
    }

    /// The default vocabulary options for its tokens.
    fn vocab_options(&self) -> VocabOptions {
        VocabOptions {
            reserved: self.eos().map(str::to_owned).into_iter().collect(),
            ..VocabOptions::default()
        }
    }

    /// The vocabulary that comes with it, if there is one.
    fn vocab(&self) -> Result<Option<Vocab>> {
        Ok(None)
    }

    /// The name and the contents of the file that it was read from, if it was.
    fn file(&self) -> Option<(&'static str, &[u8])> {
        None
    }

    /// The tokens of a line, which has no line ending, and their parts, if it is of the alignment [`Alignment::Own`].
    fn spans(&self, _line: &str) -> Option<Vec<Span>> {
        None
    }

    /// Its options; those that it does not have are `None`.
    fn options(&self) -> TokenizerOptions {
        TokenizerOptions::default()
    }

    /// The fields of its JSON object after `kind`, in order.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// Creates a cutter at the start of a text.
    fn cutter(&self) -> Cutter;

    /// Creates a joiner at the start of a text.
    fn joiner(&self) -> Box<dyn Joiner>;
}

/// Splits a text into tokens.
#[derive(Debug)]
pub(super) enum Cutter {
    /// Takes characters.
    Text(Box<dyn TextCutter>),
    /// Takes bytes, which do not have to be text, and keeps no state.
    Bytes(fn(&[u8], &mut Output<'_>) -> Result<()>),
}

/// Splits characters into tokens.
pub(super) trait TextCutter: Debug + Send {
    /// Takes the next piece of the text, at least one character, which can end anywhere. Counts completed lines.
    fn feed(&mut self, text: &str, out: &mut Output<'_>) -> Result<()>;

    /// Ends the text. `line_open` says whether its last line has no line ending. With `close`, that line gets an
    /// end-of-line token; otherwise the line, or the last sentence in it, is to be continued and gets none.
    fn finish(&mut self, line_open: bool, close: bool, out: &mut Output<'_>) -> Result<()>;

    /// The number of buffered bytes.
    #[cfg(test)]
    fn held_bytes(&self) -> usize;
}

/// Joins tokens to text, one at a time.
pub(crate) trait Joiner: Debug + Send {
    /// Appends the text of `token` to `text`; for words, this includes the space before it.
    fn push(&mut self, token: &str, text: &mut Vec<u8>);
}

/// A callback for each token and its line.
pub(crate) type Visit<'v> = dyn FnMut(&str, u64) -> Result<()> + 'v;

/// Where a cutter sends its tokens, and the statistics of the text.
pub(super) struct Output<'v> {
    visit: &'v mut Visit<'v>,
    counts: &'v mut Counts,
}

/// How much of a text was read.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) chars: u64,
    /// The number of complete lines.
    pub(super) lines: u64,
    pub(super) tokens: u64,
}

impl Counts {
    /// The number of the next or incomplete line, starting at 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }
}

impl<'v> Output<'v> {
    pub(super) fn new(visit: &'v mut Visit<'v>, counts: &'v mut Counts) -> Self {
        Self { visit, counts }
    }

    /// The number of the current line, starting at 1.
    pub(super) fn line(&self) -> u64 {
        self.counts.line()
    }

    /// The number of tokens so far.
    pub(super) fn tokens(&self) -> u64 {
        self.counts.tokens
    }

    /// Ends the current line.
    pub(super) fn end_line(&mut self) {
        self.counts.lines += 1;
    }

    /// Adds a token of the current line.
    #[inline]
    pub(super) fn token(&mut self, token: &str) -> Result<()> {
        self.token_of_line(token, self.counts.line())
    }

    /// Adds a token of a given line, which can already be complete.
    #[inline]
    pub(super) fn token_of_line(&mut self, token: &str, line: u64) -> Result<()> {
        self.counts.tokens += 1;
        (self.visit)(token, line)
    }
}
