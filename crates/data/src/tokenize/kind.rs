//! What a kind of tokenizer provides, and the registry of the kinds.
//!
//! A new kind is a file beside this one with a type that implements [`Kind`] and an [`Entry`], and a line in
//! [`KINDS`]. The name in recipes, flags and model files comes from there. No other code asks which kind a tokenizer
//! is of.

use std::fmt::Debug;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::{TokenizerOptions, bytes, chars, moses, words};
use crate::{Result, Vocab, VocabOptions};

/// All kinds, in the order in which they are listed to users.
pub(super) const KINDS: [&Entry; 4] = [words::ENTRY, moses::ENTRY, chars::ENTRY, bytes::ENTRY];

/// The end-of-line token of words, unless another one is asked for.
pub(super) const DEFAULT_EOS: &str = "<eos>";

/// A tokenizer of whatever kind.
pub(super) type AnyKind = Arc<dyn Kind>;

/// How tokenizers of a kind are made.
pub(super) struct Entry {
    /// Its name in recipes, flags and model files.
    pub(super) name: &'static str,
    /// A tokenizer with this end-of-line token and these options. Those that are not given have their defaults, those
    /// that the kind does not have are ignored.
    pub(super) make: fn(Option<&str>, &TokenizerOptions) -> AnyKind,
    /// The same, but what can be told from the words of a vocabulary is chosen to give these words.
    pub(super) fit: fn(&Vocab, Option<&str>, &TokenizerOptions) -> AnyKind,
    /// Reads a tokenizer from its JSON object, without the field `kind`.
    pub(super) read: fn(Map<String, Value>) -> serde_json::Result<AnyKind>,
}

/// A tokenizer of some kind.
pub(super) trait Kind: Debug + Send + Sync {
    /// The entry of its kind.
    fn entry(&self) -> &'static Entry;

    /// What one token is called, in the singular.
    fn unit(&self) -> &'static str {
        "token"
    }

    /// Whether its tokens are words.
    fn is_of_words(&self) -> bool {
        false
    }

    /// Whether it splits text into sentences, whatever its lines.
    fn is_by_sentences(&self) -> bool {
        false
    }

    /// The token after each line or sentence, if it adds one.
    fn eos(&self) -> Option<&str> {
        None
    }

    /// The token that stands for a line end, if there is one.
    fn line_end(&self) -> Option<&str> {
        self.eos()
    }

    /// The vocabulary that is usual for its tokens.
    fn vocab_options(&self) -> VocabOptions {
        VocabOptions {
            reserved: self.eos().map(str::to_owned).into_iter().collect(),
            ..VocabOptions::default()
        }
    }

    /// Its options; those that it does not have are `None`.
    fn options(&self) -> TokenizerOptions {
        TokenizerOptions::default()
    }

    /// The fields of its JSON object after `kind`, in order.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// Cuts a text, from its beginning.
    fn cutter(&self) -> Cutter;

    /// Joins tokens to a text, from its beginning.
    fn joiner(&self) -> Box<dyn Joiner>;
}

/// What cuts a text into tokens.
#[derive(Debug)]
pub(super) enum Cutter {
    /// Takes characters.
    Text(Box<dyn TextCutter>),
    /// Takes bytes, which need not be text, and remembers nothing.
    Bytes(fn(&[u8], &mut Output<'_>) -> Result<()>),
}

/// Cuts characters into tokens.
pub(super) trait TextCutter: Debug + Send {
    /// Takes the next piece of the text, which may end anywhere; at least one character. Counts the lines that end.
    fn feed(&mut self, text: &str, out: &mut Output<'_>) -> Result<()>;

    /// Ends the text. `line_open` says whether its last line has no line end; unless `close`, such a line, or the
    /// last sentence in it, is to be continued and gets no end-of-line token.
    fn finish(&mut self, line_open: bool, close: bool, out: &mut Output<'_>) -> Result<()>;

    /// The bytes that are held until more of the text comes.
    #[cfg(test)]
    fn held_bytes(&self) -> usize;
}

/// Joins tokens to text as they come.
pub(crate) trait Joiner: Debug + Send {
    /// Appends to `text` what `token` adds to it; for words that includes the space before it.
    fn push(&mut self, token: &str, text: &mut Vec<u8>);
}

/// What is called with each token and the line it is in.
pub(crate) type Visit<'v> = dyn FnMut(&str, u64) -> Result<()> + 'v;

/// Where a cutter's tokens go, and what is counted of the text.
pub(super) struct Output<'v> {
    visit: &'v mut Visit<'v>,
    counts: &'v mut Counts,
}

/// What has been read of a text.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) chars: u64,
    /// Lines that are complete.
    pub(super) lines: u64,
    pub(super) tokens: u64,
}

impl Counts {
    /// The line that comes next or is not complete, from 1.
    pub(super) fn line(&self) -> u64 {
        self.lines + 1
    }
}

impl<'v> Output<'v> {
    pub(super) fn new(visit: &'v mut Visit<'v>, counts: &'v mut Counts) -> Self {
        Self { visit, counts }
    }

    /// The current line, from 1.
    pub(super) fn line(&self) -> u64 {
        self.counts.line()
    }

    /// How many tokens there have been.
    pub(super) fn tokens(&self) -> u64 {
        self.counts.tokens
    }

    /// Ends the current line.
    pub(super) fn end_line(&mut self) {
        self.counts.lines += 1;
    }

    /// A token of the current line.
    #[inline]
    pub(super) fn token(&mut self, token: &str) -> Result<()> {
        self.token_of_line(token, self.counts.line())
    }

    /// A token of a line that may be complete.
    #[inline]
    pub(super) fn token_of_line(&mut self, token: &str, line: u64) -> Result<()> {
        self.counts.tokens += 1;
        (self.visit)(token, line)
    }
}
