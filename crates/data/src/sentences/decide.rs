//! Decides whether a sentence ends at a period: first by the word alone, then by the two words around it.

use super::words::{NUMBER, Word, words};
use super::{Orthography, Punkt};

impl Punkt {
    /// Whether a sentence ends before the last word of `text`.
    pub(super) fn has_break(&self, text: &str) -> bool {
        let mut words = words(text);
        for word in &mut words {
            self.annotate(word);
        }
        for index in 1..words.len() {
            let (before, after) = words.split_at_mut(index);
            if let (Some(word), Some(next)) = (before.last_mut(), after.first()) {
                self.reconsider(word, next);
                if word.is_break {
                    return true;
                }
            }
        }
        false
    }

    /// Marks breaks, abbreviations and ellipses by the word alone.
    pub(super) fn annotate(&self, word: &mut Word<'_>) {
        if matches!(word.text, "." | "?" | "!") {
            word.is_break = true;
        } else if word.text.starts_with("..") && word.text.trim_start_matches('.').is_empty() {
            word.is_ellipsis = true;
        } else if word.text.ends_with('.') && !word.text.ends_with("..") {
            let stem = word.text[..word.text.len() - 1].to_lowercase();
            let last_part = stem.rsplit('-').next().unwrap_or(&stem);
            word.is_abbreviation =
                self.abbreviations.contains(&stem) || self.abbreviations.contains(last_part);
            word.is_break = !word.is_abbreviation;
        }
    }

    /// Corrects the marks by the next word.
    fn reconsider(&self, word: &mut Word<'_>, next: &Word<'_>) {
        if !word.ends_in_stop() {
            return;
        }
        let next_kind = next.kind_in_sentence();
        let is_collocation = !self.collocations.is_empty()
            && self.collocations.contains(&(word.kind_without_stop().to_owned(), next_kind.to_owned()));
        if is_collocation {
            word.is_break = false;
            word.is_abbreviation = true;
            return;
        }
        let is_initial = word.is_initial();
        let starts = self.starts_sentence(next);
        if (word.is_abbreviation || word.is_ellipsis) && !is_initial {
            let is_starter = next.begins_upper() && self.starters.contains(next_kind);
            if starts == Some(true) || is_starter {
                word.is_break = true;
                return;
            }
        }
        if is_initial || word.kind_without_stop() == NUMBER {
            // A name: `J. Bach`, if the second word never occurs in lowercase.
            let is_name = starts.is_none()
                && is_initial
                && next.begins_upper()
                && !self.orthography_of(next_kind).any_of(Orthography::LOWER);
            if starts == Some(false) || is_name {
                word.is_break = false;
                word.is_abbreviation = true;
            }
        }
    }

    /// What the case of a word says about whether a sentence starts with it.
    fn starts_sentence(&self, word: &Word<'_>) -> Option<bool> {
        if matches!(word.text, ";" | ":" | "," | "." | "!" | "?") {
            return Some(false);
        }
        let seen = self.orthography_of(word.kind_in_sentence());
        if word.begins_upper() && seen.any_of(Orthography::LOWER) && !seen.any_of(Orthography::INSIDE_UPPER) {
            Some(true)
        } else if word.begins_lower()
            && (seen.any_of(Orthography::UPPER) || !seen.any_of(Orthography::BEGIN_LOWER))
        {
            Some(false)
        } else {
            None
        }
    }
}
