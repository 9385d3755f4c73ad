//! The positions in a text where a sentence can end, each with the surrounding words.

use std::ops::Range;

use super::words::{is_non_word, is_sentence_end};
use crate::moses::is_space;

/// A position where a sentence can end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Context {
    /// The previous word, the mark, and the following word or punctuation mark.
    pub(super) words: Range<usize>,
    /// The end of the mark.
    pub(super) end: usize,
    /// The start of the next sentence, if there is one: the next word, or the punctuation after the mark.
    pub(super) next: usize,
}

/// Iterates over the positions of a text; if one word has several, only the last counts.
pub(super) struct Contexts<'t> {
    text: &'t str,
    at: usize,
    /// The previous position and its mark; it counts if the next position is in another word.
    held: Option<(Context, usize)>,
}

impl<'t> Contexts<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, at: 0, held: None }
    }

    /// The next mark that is followed by punctuation, or by whitespace and a word, regardless of the words.
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
            // The previous word starts after the last ASCII whitespace since the previous mark; whitespace right
            // at that position does not count, as in NLTK.
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
