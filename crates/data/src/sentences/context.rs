//! The places of a text where a sentence may end, each with the words around it.

use std::ops::Range;

use super::words::{is_non_word, is_sentence_end};
use crate::moses::is_space;

/// A place where a sentence may end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    /// The word before, the mark, and the word or the punctuation mark after it.
    pub(super) words: Range<usize>,
    /// The end of the mark.
    pub(super) end: usize,
    /// Where the next sentence would begin: at the next word, or at the punctuation after the mark.
    pub(super) next: usize,
}

/// Walks over the places of a text; of several in one word, the last counts.
pub(super) struct Contexts<'t> {
    text: &'t str,
    at: usize,
    /// The place before, and where its mark is: it counts if the next one is in another word.
    held: Option<(Context, usize)>,
}

impl<'t> Contexts<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, held: None }
    }

    /// The next mark that white space and a word follow, or punctuation, whatever the words are.
    fn next_mark(&mut self) -> Option<(usize, Range<usize>, usize)> {
        loop {
            let mark = self.at + self.text[self.at..].find(is_sentence_end)?;
            let end = mark + 1; // All marks are ASCII.
            self.at = end;
            let rest = &self.text[end..];
            let Some(after) = rest.chars().next() else {
                continue;
            };
            if is_non_word(after) {
                return Some((mark, end..end + after.len_utf8(), end));
            }
            let word = rest.trim_start_matches(is_space);
            let start = self.text.len() - word.len();
            if start > end && !word.is_empty() {
                let len = word.find(is_space).unwrap_or(word.len());
                return Some((mark, end..start + len, start));
            }
        }
    }
}

impl Iterator for Contexts<'_> {
    type Item = Context;

    fn next(&mut self) -> Option<Context> {
        while let Some((mark, after, next)) = self.next_mark() {
            let (held_start, held_mark) =
                self.held.as_ref().map_or((0, 0), |(held, mark)| (held.words.start, *mark));
            // The word before begins after the last ASCII white space since the mark before; white space right at
            // that place counts as none, which is how NLTK has it.
            let between = &self.text[held_mark..mark];
            let space = between.rfind([' ', '\t', '\n', '\r', '\u{b}', '\u{c}']).filter(|&space| space > 0);
            let start = space.map_or(held_start, |space| held_mark + space + 1);
            let context = Context { words: start..after.end, end: mark + 1, next };
            let ready = self.held.replace((context, mark));
            if let Some((held, held_mark)) = ready
                && held_mark <= start
            {
                return Some(held);
            }
        }
        self.held.take().map(|(held, _)| held)
    }
}
