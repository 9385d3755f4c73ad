//! Splits running text into sentences with the Punkt algorithm.
//!
//! ```text
//! "Mr. Hyde left at 5 p.m. on Monday. He was late."      text
//!                                    ┴                   the periods of `Mr.` and `p.m.` belong to the words
//! ```
//!
//! A period ends a sentence unless the word before it is an abbreviation, an initial or an ordinal number.
//! Abbreviations are learned from text without supervision: an abbreviation is short, rarely occurs without its
//! period, and is often followed by a lowercase letter. [`Punkt::train`] learns from a text; [`Punkt::english`]
//! is a built-in list of abbreviations and sentence starters; [`Punkt::read_tables`] reads parameters that were
//! trained elsewhere.
//!
//! *Source*: Kiss & Strunk 2006, as in NLTK (`nltk.tokenize.punkt`, including its realignment of quotation marks).
//! Agreement with NLTK 3.10.4 is measured by `tests/own_text.rs`; see `golden/README.md`, section *Own text*.
//!
//! Promises: sentences are parts of the text, in order, with only whitespace between them, so no character of a
//! word is lost. Not here: words ([`moses`](crate::moses)), paragraphs and streaming
//! ([`tokenize`](crate::tokenize)).

mod context;
mod decide;
mod english;
mod tables;
mod train;
mod words;

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use context::Contexts;

/// The parameters of a language: its abbreviations, collocations, sentence starters and capitalization.
///
/// ```
/// use rondo_data::sentences::Punkt;
///
/// let text = "Mr. Hyde left at 5 p.m. on Monday. He was late.";
/// let sentences: Vec<_> = Punkt::english().split(text).collect();
/// assert_eq!(sentences, ["Mr. Hyde left at 5 p.m. on Monday.", "He was late."]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Punkt {
    /// Abbreviations, in lowercase and without their final period.
    pub abbreviations: FxHashSet<String>,
    /// Pairs of words that belong together although there is a period between them; `##number##` stands for a number.
    pub collocations: FxHashSet<(String, String)>,
    /// Words, in lowercase, that often start sentences.
    pub starters: FxHashSet<String>,
    /// Where each word, in lowercase, was seen capitalized and where in lowercase.
    pub orthography: FxHashMap<String, Orthography>,
}

/// Where a word was seen capitalized and where in lowercase: a set of the constants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orthography(pub u8);

impl Orthography {
    /// Capitalized at the start of a sentence.
    pub const BEGIN_UPPER: Self = Self(1 << 1);
    /// Capitalized inside a sentence.
    pub const INSIDE_UPPER: Self = Self(1 << 2);
    /// Capitalized where a sentence may start.
    pub const UNKNOWN_UPPER: Self = Self(1 << 3);
    /// Lowercase at the start of a sentence.
    pub const BEGIN_LOWER: Self = Self(1 << 4);
    /// Lowercase inside a sentence.
    pub const INSIDE_LOWER: Self = Self(1 << 5);
    /// Lowercase where a sentence may start.
    pub const UNKNOWN_LOWER: Self = Self(1 << 6);
    /// Capitalized anywhere.
    pub const UPPER: Self = Self(Self::BEGIN_UPPER.0 | Self::INSIDE_UPPER.0 | Self::UNKNOWN_UPPER.0);
    /// Lowercase anywhere.
    pub const LOWER: Self = Self(Self::BEGIN_LOWER.0 | Self::INSIDE_LOWER.0 | Self::UNKNOWN_LOWER.0);

    /// Whether the two sets have a common element.
    #[must_use]
    pub fn any_of(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

impl Punkt {
    /// The sentences of `text`, without the whitespace around them.
    ///
    /// A closing quotation mark or bracket belongs to the sentence that it closes.
    pub fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.ranges(text).into_iter().map(move |range| &text[range])
    }

    /// The byte ranges of the sentences of `text`.
    #[must_use]
    pub fn ranges(&self, text: &str) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = text.len() - text.trim_start().len();
        for context in Contexts::new(text) {
            if self.has_break(&text[context.words.clone()]) {
                pieces.push(start..context.end);
                start = context.next;
            }
        }
        pieces.push(start..text.trim_end().len());
        realign(text, &pieces)
    }

    pub(crate) fn orthography_of(&self, word: &str) -> Orthography {
        self.orthography.get(word).copied().unwrap_or_default()
    }
}

/// Moves closing punctuation from the start of a sentence to the end of the previous one.
fn realign(text: &str, pieces: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut sentences = Vec::with_capacity(pieces.len());
    let mut moved = 0;
    for (index, piece) in pieces.iter().enumerate() {
        let mut sentence = piece.start + moved..piece.end;
        moved = 0;
        if let Some(next) = pieces.get(index + 1)
            && let Some(closing) = closing_len(&text[next.start..next.end.max(next.start)])
        {
            sentence.end = next.start + closing.punctuation;
            moved = closing.with_space;
        }
        // Whitespace at the start of a piece, after punctuation that was moved, does not belong to it.
        if let Some(part) = text.get(sentence.clone()).map(str::trim)
            && !part.is_empty()
        {
            sentence.start += text[sentence.clone()].len() - text[sentence.clone()].trim_start().len();
            sentence.end = sentence.start + part.len();
            sentences.push(sentence);
        }
    }
    sentences
}

/// How much of the start of a sentence closes the previous one.
struct Closing {
    punctuation: usize,
    with_space: usize,
}

/// The closing punctuation at the start of `sentence`, if it is followed by whitespace, a double dash or nothing.
fn closing_len(sentence: &str) -> Option<Closing> {
    let is_closing = |char| {
        matches!(
            char,
            '"' | '\'' | ')' | ']' | '}' | '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '«' | '»'
        )
    };
    let rest = sentence.trim_start_matches(is_closing);
    let punctuation = sentence.len() - rest.len();
    let space = rest.len() - rest.trim_start().len();
    let ends = space > 0 || rest.is_empty() || rest.starts_with("--");
    (punctuation > 0 && ends).then_some(Closing { punctuation, with_space: punctuation + space })
}

#[cfg(test)]
mod tests;
