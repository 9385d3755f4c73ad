//! Splits running text into sentences, by the Punkt system.
//!
//! ```text
//! "Mr. Hyde left at 5 p.m. on Monday. He was late."      text
//!                                    ┴                   the full stops of `Mr.` and `p.m.` belong to them
//! ```
//!
//! A full stop ends a sentence unless the word before it is an abbreviation, an initial or an ordinal number. Which
//! words are abbreviations is learnt from text without help: an abbreviation is short, seldom without its full stop,
//! and often followed by a small letter. [`Punkt::train`] learns from a text; [`Punkt::english`] is a list of
//! abbreviations and of words that begin sentences, built in; [`Punkt::read_tables`] reads what others have learnt.
//!
//! *Source*: Kiss & Strunk 2006, as NLTK has it (`nltk.tokenize.punkt`, with its realignment of quotation marks).
//! Agreement with NLTK 3.10.4, measured by `tests/own_text.rs`: see `golden/README.md`, section *Own text*.
//!
//! Promises: sentences are parts of the text, in order; between them stands white space alone, so no character of a
//! word is lost.
//! Not here: words ([`moses`](crate::moses)), paragraphs and what is read at a time ([`tokenize`](crate::tokenize)).

mod context;
mod decide;
mod english;
mod tables;
mod train;
mod words;

use std::ops::Range;

use rustc_hash::{FxHashMap, FxHashSet};

use context::Contexts;

/// What is known of a language's abbreviations and sentences.
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
    /// Words, in small letters and without their last full stop, that are abbreviations.
    pub abbreviations: FxHashSet<String>,
    /// Words that belong together although a full stop stands between them: `##number##` for a number before it.
    pub collocations: FxHashSet<(String, String)>,
    /// Words, in small letters, that often begin sentences.
    pub starters: FxHashSet<String>,
    /// Where each word, in small letters, was seen with a capital and without.
    pub orthography: FxHashMap<String, Orthography>,
}

/// Where a word was seen with a capital and where without: a set of the constants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Orthography(pub u8);

impl Orthography {
    /// With a capital at the beginning of a sentence.
    pub const BEGIN_UPPER: Self = Self(1 << 1);
    /// With a capital inside a sentence.
    pub const INSIDE_UPPER: Self = Self(1 << 2);
    /// With a capital where a sentence may begin.
    pub const UNKNOWN_UPPER: Self = Self(1 << 3);
    /// With a small letter at the beginning of a sentence.
    pub const BEGIN_LOWER: Self = Self(1 << 4);
    /// With a small letter inside a sentence.
    pub const INSIDE_LOWER: Self = Self(1 << 5);
    /// With a small letter where a sentence may begin.
    pub const UNKNOWN_LOWER: Self = Self(1 << 6);
    /// With a capital anywhere.
    pub const UPPER: Self = Self(Self::BEGIN_UPPER.0 | Self::INSIDE_UPPER.0 | Self::UNKNOWN_UPPER.0);
    /// With a small letter anywhere.
    pub const LOWER: Self = Self(Self::BEGIN_LOWER.0 | Self::INSIDE_LOWER.0 | Self::UNKNOWN_LOWER.0);

    /// Whether the two sets have a member in common.
    #[must_use]
    pub fn any_of(self, of: Self) -> bool {
        self.0 & of.0 != 0
    }
}

impl Punkt {
    /// The sentences of `text`, without the white space around them.
    ///
    /// A closing quotation mark or bracket belongs to the sentence that it closes.
    pub fn split<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        self.ranges(text).into_iter().map(move |range| &text[range])
    }

    /// Where the sentences of `text` begin and end, in bytes.
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

/// Moves closing punctuation from the beginning of a sentence to the end of the one before.
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
        // White space that a piece begins with, after punctuation that was moved, is no part of it.
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

/// How much of a sentence's beginning closes the one before.
struct Closing {
    punctuation: usize,
    with_space: usize,
}

/// The closing punctuation that `sentence` begins with, if white space, a double dash or nothing follows it.
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
